"""Reading a configuration file, checked against the schema."""

from __future__ import annotations

import math
import re
import tomllib
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from experiment.errors import ConfigError, choices, cut, inert
from experiment.graph import check_nodes
from experiment.schema import Config, DropoutLayer, Idx, Lbfgs, Net

MAX_BYTES = 1_000_000
MAX_DEPTH = 16  # of brackets and dotted keys; the schema needs 6
PATHS = ("path", "labels", "test_path", "test_labels")  # of a data file

TOKENS = re.compile(
    r"""
      \#[^\n]*+
    | (?P<word>
        (?: \"{3} [^"\\]*+ (?: (?: \\. | "(?!"") ) [^"\\]*+ )*+ (?: "{3} | \Z )
        |   '{3} [^']*+ (?: '(?!'') [^']*+ )*+ (?: '{3} | \Z )
        |   " [^"\\\n]*+ (?: \\[^\n] [^"\\\n]*+ )*+ "?
        |   ' [^'\n]*+ '?
        |   [\w+-]++
        )
      )
    | (?P<space> [ \t]++ )
    | (?P<dot> \. )
    | (?P<open> [\[{] )
    | (?P<close> [\]}] )
    | [^\w+"'\#.\[\]{} \t-]
    """,
    re.VERBOSE | re.DOTALL,
)
"""What TOML consists of, as far as depth is concerned."""


def read(path: Path | str, settings: Iterable[str] = ()) -> Config:
    """The configuration in a TOML file, with `section.key=value` settings laid over it.

    Raises ConfigError with one line: the file, the key, what is wrong, what would be right.
    """
    path = Path(path)
    where = inert(str(path))
    table, settings = _parse(path, where), list(settings)
    for setting in settings:
        _override(table, setting)
    if settings:
        where += inert(cut(f" with --set {' '.join(settings)}", 100))
    try:
        check_names(table, Config)
        config = msgspec.convert(table, Config)
        _check_together(config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_readable(str(error), table)}") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    for key in PATHS:
        value = getattr(config.data, key, None)
        if isinstance(value, str):
            setattr(config.data, key, _absolute(path.parent, value, f"{where}: data.{key}"))
    return config


def _absolute(folder: Path, value: str, where: str) -> str:
    """A data file's path, which is relative to the configuration.

    It may lead anywhere: who may read the file may train on it, and nothing is written there.
    """
    path = str((folder / value).absolute())
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{where}: {inert(path)} is not UTF-8, expected another name") from None
    return path


def as_toml(config: Config) -> str:
    """The configuration with every default written out."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(config)))


def _without_none(value: Any) -> Any:
    """TOML has no null: what is not set is left out."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def _parse(path: Path, where: str) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise ConfigError(f"{where}: is {what}, expected a TOML file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError(f"{where}: larger than {MAX_BYTES:,} bytes")
        return _loads(content.decode("utf-8-sig").replace("\r\n", "\n"), where)
    except FileNotFoundError:
        near = _nearest_file(path)
        raise ConfigError(f"{where}: no such file{near}") from None
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: not UTF-8 text (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not valid TOML: {inert(str(error))}") from None
    except ConfigError:
        raise
    except ValueError as error:  # a whole number of thousands of digits
        raise ConfigError(f"{where}: not valid TOML: {inert(str(error))}") from None


def _loads(text: str, where: str) -> dict[str, Any]:
    """Parse TOML, unless it is nested so deeply that parsing would take for ever."""
    depth = dots = 0
    for token in TOKENS.finditer(text):
        kind = token.lastgroup
        depth += (kind == "open") - (kind == "close")
        dots = dots + (kind == "dot") if kind in ("dot", "word", "space") else 0
        if depth > MAX_DEPTH or dots > MAX_DEPTH:
            line = text.count("\n", 0, token.start()) + 1
            raise ConfigError(f"{where}: line {line}: nested too deeply")
    return tomllib.loads(text)


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    names = [other.name for other in path.parent.glob("*.toml")]
    hint = choices(path.name, names) if names else ""
    return hint.split(" (valid")[0]


def _override(table: dict[str, Any], setting: str) -> None:
    """Lay `optim.lr=0.05` over the table; a value that is not TOML is taken as a word."""
    key, equals, text = setting.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names) or len(names) > MAX_DEPTH:
        raise ConfigError(f"--set {inert(setting)}: expected section.key=value")
    value: Any
    try:
        value = _loads(f"value = {text}", "--set")["value"]
    except ValueError:  # not TOML
        value = text.strip()
    for name in names[:-1]:
        inside = table.setdefault(name, {})
        if not isinstance(inside, dict):
            raise ConfigError(f"--set {inert(setting)}: {inert(name)} is not a section")
        table = inside
    table[names[-1]] = value


# -- names -------------------------------------------------------------------------------


def check_names(value: Any, kind: Any, where: str = "") -> None:
    """Raise ConfigError at a key or a tag that the schema does not know, naming the nearest.

    Also at a number that is not finite. Types and ranges are left to msgspec.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: is {value}, expected a finite number")
    members = _structs(kind)
    if isinstance(value, str) and (valid := _literals(kind)) and value not in valid:
        raise ConfigError(f"{where}: unknown name {inert(value)!r}{choices(value, valid)}")
    if isinstance(value, list):
        for i, item in enumerate(value):
            check_names(item, next(iter(_items(kind)), object), f"{where}[{i}]")
    if not isinstance(value, dict) or not members:
        return
    tag_field = members[0].__struct_config__.tag_field
    if tag_field is not None and len(members) + bool(members[0].__struct_config__.tag) > 1:
        by_tag = {member.__struct_config__.tag: member for member in members}
        tag = value.get(tag_field)
        here = f"{where}.{tag_field}" if where else tag_field
        if tag is None:
            raise ConfigError(f"{here}: missing (valid: {', '.join(sorted(map(str, by_tag)))})")
        if not isinstance(tag, str):
            raise ConfigError(f"{here}: expected text, got {_shown(tag)}")
        if tag not in by_tag:
            raise ConfigError(f"{here}: unknown name {inert(tag)!r}{choices(tag, by_tag)}")
        member = by_tag[tag]
    else:
        member, tag_field = members[0], None
    hints = typing.get_type_hints(member, include_extras=True)
    for key, item in value.items():
        here = f"{where}.{key}" if where else key
        if key == tag_field:
            continue
        if key not in hints:
            near = "" if where else _in_a_section(key, hints, value)
            raise ConfigError(f"{inert(here)}: unknown key{near or choices(key, hints)}")
        check_names(item, hints[key], here)


def _in_a_section(key: str, sections: dict[str, Any], table: dict[str, Any]) -> str:
    """A hint, if a section, as the table chooses it, has a key that was given outside of it."""
    near = []
    for section, kind in sections.items():
        members, inside = _structs(kind), table.get(section)
        for member in members:
            how = member.__struct_config__
            chosen = isinstance(inside, dict) and inside.get(how.tag_field) == how.tag
            if key in member.__struct_fields__ and (chosen or len(members) == 1):
                near.append(f"{section}.{key}")
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _structs(kind: Any) -> list[Any]:
    """The sections that a type admits, through unions."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [struct for inside in typing.get_args(kind) for struct in _structs(inside)]
    return []


def _literals(kind: Any) -> list[str]:
    """The words that a type admits, through unions."""
    if typing.get_origin(kind) is typing.Literal:
        return list(typing.get_args(kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [word for inside in typing.get_args(kind) for word in _literals(inside)]
    return []


def _items(kind: Any) -> list[Any]:
    """The types of the items of the lists that a type admits."""
    if typing.get_origin(kind) is list:
        return list(typing.get_args(kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [item for inside in typing.get_args(kind) for item in _items(inside)]
    return []


def _readable(message: str, table: dict[str, Any]) -> str:
    """`optim.lr: expected a number > 0, got -1` from msgspec's message."""
    text, _, at = message.partition(" - at `$")
    key = at.rstrip("`").lstrip(".")
    missing = re.match(r"Object missing required field `(\w+)`", text)
    if missing:
        name = missing[1]
        what = "a section" if not key else "a key"
        return f"{key}.{name}: missing".lstrip(".") + f", expected {what} [{name}]" * (not key)
    text = text[0].lower() + text[1:]
    text = re.sub(r"`([^`]*)`", lambda quoted: _type_names(quoted[1]), text)
    got = _look_up(table, key)
    shown = f" (it is {_shown(got)})" if got is not None else ""
    return f"{key}: {text}{shown}" if key else text + shown


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        text = "a number of thousands of digits"
    return inert(cut(text, 80))


def _type_names(names: str) -> str:
    """`float | null` in words; what may be left out goes without saying."""
    words = {
        "float": "a number",
        "int": "a whole number",
        "str": "text",
        "bool": "true or false",
        "array": "a list",
        "object": "a section",
        "null": "nothing",
    }
    parts = [name for name in names.split(" | ") if name != "null"] or ["null"]
    return " or ".join(words.get(name, name) for name in parts)


def _look_up(table: Any, key: str) -> Any:
    for part in re.findall(r"\w+", key):
        try:
            table = table[int(part)] if isinstance(table, list) else table[part]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return table


# -- keys that must agree ------------------------------------------------------------------


def _check_together(config: Config) -> None:
    """Rules that span several keys."""
    net, data = config.net, config.data
    check_net(net)
    if data.validation + data.test >= 1:
        raise ConfigError(
            f"data.validation + data.test = {data.validation + data.test:g}, expected less than 1"
        )
    if isinstance(data, Idx) and (data.test_path is None) != (data.test_labels is None):
        raise ConfigError("data.test_path and data.test_labels go together")
    if isinstance(config.optim, Lbfgs) and (
        net.dropout
        or any(isinstance(layer, DropoutLayer) for layer in net.layers or net.nodes or ())
    ):
        raise ConfigError(
            "optim.name: lbfgs needs the same loss twice; expected a net without dropout"
        )
    if getattr(config.optim, "nesterov", False) and config.optim.momentum == 0:  # type: ignore[union-attr]
        raise ConfigError("optim.nesterov: needs optim.momentum > 0")


def check_net(net: Net) -> None:
    """Raise ConfigError unless the keys of [net] agree with one another."""
    ways = [key for key in ("hidden", "layers", "nodes", "random") if getattr(net, key) is not None]
    if len(ways) != 1:
        given = f"; got {' and '.join(ways)}" if ways else ""
        raise ConfigError(
            "net: expected either hidden = [100] or layers = [...], nodes = [...], "
            f"random = {{...}}, one of them{given}"
        )
    for key in ("activation", "normalization", "dropout", "init"):
        if ways != ["hidden"] and getattr(net, key) is not None:
            raise ConfigError(f"net.{key}: goes with net.hidden; write it into net.{ways[0]}")
    if net.output is not None and net.nodes is None:
        raise ConfigError("net.output: goes with net.nodes")
    if net.layers is not None:
        if not net.layers:
            raise ConfigError("net.layers: is empty, expected at least one layer")
        for i, layer in enumerate(net.layers):
            for key in ("name", "input", "inputs"):
                if getattr(layer, key) is not None:
                    raise ConfigError(f"net.layers[{i}].{key}: goes with net.nodes")
    if net.nodes is not None:
        check_nodes(net.nodes, net.output)
