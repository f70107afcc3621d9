"""`python -m gradcheck`: one clear line for a file of no use, the verdict's exit code otherwise."""

import contextlib
import io
import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from gradcheck.command_line import main

ROOT = Path(__file__).parents[2]
RIGHT, WRONG, UNUSABLE, INCONCLUSIVE = 0, 1, 2, 3

SQUARE = """
import numpy as np

class Square:
    def forward(self, x):
        self.x = x
        return x**2

    def backward(self, dout):
        return 2 * self.x * dout, {}
"""

LINEAR = """
import numpy as np

class Linear:
    def __init__(self, D, M, bias=True):
        rng = np.random.default_rng(0)
        self.params = {"W": rng.normal(size=(D, M)), "b": np.ones(M) * bias}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dout):
        grads = {"W": self.x.T @ dout, "b": dout.sum(axis=0)}
        return dout @ self.params["W"].T, grads
"""


def as_process(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "gradcheck", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def gradcheck(*arguments):
    """The same within this process; the file is loaded in another one in either case."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(a) for a in arguments])
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture
def file(tmp_path):
    """Writes a source to a file and returns the file's path."""

    def write(source, name="layer.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        return path

    return write


def assert_one_line(done, *words):
    assert done.returncode == UNUSABLE, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


# -- as a command ----------------------------------------------------------------------------


def test_command_gives_the_exit_code_and_the_report(file):
    path = file(SQUARE.replace("2 * self.x", "-2 * self.x"))
    done = as_process(path, "--x", "3,2", "--json")
    assert (done.returncode, done.stderr) == (WRONG, "")
    assert json.loads(done.stdout)["Square"]["verdict"] == "wrong"


def test_command_says_one_line_on_a_file_of_no_use(file):
    assert_one_line(as_process(file("def f(:"), "--x", "3"), "line 1")


def test_help_explains_the_exit_codes():
    done = as_process("--help")
    assert done.returncode == 0
    assert "3 inconclusive" in done.stdout


# -- verdicts ------------------------------------------------------------------------------


def test_right(file):
    done = gradcheck(file(SQUARE), "--x", "3,2")
    assert (done.returncode, done.stderr) == (RIGHT, "")
    assert "Square: right" in done.stdout


def test_wrong_names_the_gradient_and_the_cause(file):
    done = gradcheck(file(SQUARE.replace("2 * self.x", "self.x")), "--x", "3,2")
    assert (done.returncode, done.stderr) == (WRONG, "")
    assert "dx:" in done.stdout
    assert "[factor-of-two]" in done.stdout


def test_random_without_a_generator_is_inconclusive(file):
    source = SQUARE.replace("return x**2", "return x**2 + np.random.default_rng().normal()")
    assert gradcheck(file(source), "--x", "3,2").returncode == INCONCLUSIVE


def test_new_makes_the_layer_and_names_its_class(file):
    path = file(LINEAR + SQUARE)
    done = gradcheck(path, "--new", "Linear(5, 3, bias=False)", "--x", "4,5")
    assert done.returncode == RIGHT
    assert all(word in done.stdout for word in ("dx", "dW", "db"))


def test_class_is_chosen_by_name(file):
    wrong = SQUARE.replace("2 * self.x", "-2 * self.x").replace("Square", "Negated")
    path = file(SQUARE + wrong)
    assert gradcheck(f"{path}:Square", "--x", "3").returncode == RIGHT
    assert gradcheck(f"{path}:Negated", "--x", "3").returncode == WRONG


def test_several_inputs_and_whole_numbers(file):
    source = """
    import numpy as np

    class Take:
        def forward(self, x, i):
            assert i.dtype.kind == "i"
            self.shape, self.i = x.shape, i
            return x[i]

        def backward(self, dout):
            dx = np.zeros(self.shape)
            np.add.at(dx, self.i, dout)
            return (dx, None), {}
    """
    assert gradcheck(file(source), "--x", "4,3", "--x", "5:int").returncode == RIGHT


def test_seed_is_repeatable(file):
    path = file(SQUARE)

    def errors(seed):
        done = gradcheck(path, "--x", "3,2", "--seed", seed, "--json")
        return json.loads(done.stdout)["Square"]["rows"]

    assert errors(1) == errors(1)


def test_file_may_import_its_neighbour(file):
    file("FACTOR = 2.0", "neighbour.py")
    source = "from neighbour import FACTOR\n" + SQUARE.replace("2 * self.x", "FACTOR * self.x")
    assert gradcheck(file(source), "--x", "3").returncode == RIGHT


# -- json ----------------------------------------------------------------------------------


def test_json_is_one_document(file):
    done = gradcheck(file(SQUARE.replace("2 * self.x", "-2 * self.x")), "--x", "3,2", "--json")
    assert done.returncode == WRONG
    report = json.loads(done.stdout, parse_constant=pytest.fail)["Square"]
    assert report["verdict"] == "wrong"
    finding = report["findings"][0]
    assert (finding["about"], finding["cause"]) == ("dx", "sign-flipped")
    assert finding["got"] == pytest.approx(-finding["expected"], rel=1e-9)


def test_json_with_numbers_that_are_not_finite(file):
    source = SQUARE.replace("return 2 * self.x * dout", "return np.full(dout.shape, np.nan)")
    done = gradcheck(file(source), "--x", "3", "--json")
    assert done.returncode == WRONG
    report = json.loads(done.stdout, parse_constant=pytest.fail)["Square"]
    assert report["findings"][0]["cause"] == "not-finite"


def test_what_the_file_prints_stays_out_of_the_report(file):
    noise = """
    import os, subprocess, sys
    print("printed")
    print("complained", file=sys.stderr)
    os.write(1, b"raw")
    os.write(2, b"raw")
    sys.__stdout__.write("behind")
    sys.__stdout__.flush()
    subprocess.run(["echo", "child"])
    """
    source = textwrap.dedent(noise) + SQUARE.replace("self.x = x", "self.x = x; print(x)")
    done = gradcheck(file(source), "--x", "3,2", "--json")
    assert (done.returncode, done.stderr) == (RIGHT, "")
    assert json.loads(done.stdout)["Square"]["verdict"] == "right"


# -- a layer that misbehaves ---------------------------------------------------------------


def test_raising_in_init(file):
    source = SQUARE + "    def __init__(self):\n        raise RuntimeError('no\\nway')\n"
    assert_one_line(gradcheck(file(source), "--x", "3"), "Square()", "RuntimeError: no way")


def test_init_that_needs_arguments_says_how(file):
    assert_one_line(gradcheck(file(LINEAR), "--x", "3,2"), "TypeError", "--new")


def test_exit_in_init(file):
    source = SQUARE + "    def __init__(self):\n        raise SystemExit(0)\n"
    assert_one_line(gradcheck(file(source), "--x", "3"), "Square()", "SystemExit")


@pytest.mark.parametrize(
    ("line", "where"),
    [("return x**2", "forward"), ("return 2 * self.x * dout, {}", "backward")],
)
def test_raising_in_a_pass_is_a_finding(file, line, where):
    source = SQUARE.replace(line, "raise RuntimeError('no\\nway')")
    done = gradcheck(file(source), "--x", "3")
    assert done.returncode in (WRONG, INCONCLUSIVE)
    assert done.stderr == ""
    assert f"{where} raises RuntimeError: no" in done.stdout
    assert "Traceback" not in done.stdout


def test_raising_in_backward_is_wrong(file):
    source = SQUARE.replace("return 2 * self.x * dout, {}", "raise RuntimeError")
    assert gradcheck(file(source), "--x", "3").returncode == WRONG


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_exit_in_a_pass(file, where):
    line = {"forward": "return x**2", "backward": "return 2 * self.x * dout, {}"}[where]
    done = gradcheck(file(SQUARE.replace(line, "import sys; sys.exit(0)")), "--x", "3")
    assert_one_line(done, "SystemExit")


@pytest.mark.parametrize(
    "change",
    [
        ("return x**2", "return (x**2).astype(object)"),
        ("return 2 * self.x * dout, {}", "return (2 * self.x * dout).astype(object), {}"),
        ("return 2 * self.x * dout, {}", "return np.array([None, {}, 'a'], dtype=object), {}"),
        ("return 2 * self.x * dout, {}", "return None"),
        ("return 2 * self.x * dout, {}", "return 'gradient', {}"),
    ],
    ids=["forward", "backward", "backward-mixed", "None", "words"],
)
def test_result_that_is_no_array_of_floats_is_wrong(file, change):
    done = gradcheck(file(SQUARE.replace(*change)), "--x", "3")
    assert (done.returncode, done.stderr) == (WRONG, "")
    assert "Traceback" not in done.stdout


def test_recursion_without_end(file):
    source = SQUARE.replace("return x**2", "return self.forward(x)")
    done = gradcheck(file(source), "--x", "3")
    assert done.returncode in (WRONG, INCONCLUSIVE)
    assert "RecursionError" in done.stdout


def test_endless_loop_is_stopped(file):
    source = SQUARE.replace("return x**2", "\n        while True: pass")
    started = time.monotonic()
    done = gradcheck(file(source), "--x", "3", "--timeout", "3")
    assert_one_line(done, "not done after 3 s")
    assert time.monotonic() - started < 15


def test_endless_loop_that_left_a_child_behind_is_stopped(file):
    source = "import subprocess\nsubprocess.run(['sleep', '30'])\n" + SQUARE
    started = time.monotonic()
    assert_one_line(gradcheck(file(source), "--x", "3", "--timeout", "2"), "not done after 2 s")
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("code", [0, 2, 7])
def test_process_ended_when_loaded(file, code):
    source = f"import os\nos.write(1, b'right')\nos._exit({code})\n"
    assert_one_line(gradcheck(file(source), "--x", "3"), "ended its process")


def test_process_killed(file):
    source = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    assert_one_line(gradcheck(file(source), "--x", "3"), "ended its process", "signal 9")


# -- a file of no use ----------------------------------------------------------------------


def test_syntax_error_names_the_line(file):
    assert_one_line(gradcheck(file("x = 1\ndef f(:\n"), "--x", "3"), "layer.py", "line 2")


def test_null_bytes(tmp_path):
    path = tmp_path / "layer.py"
    path.write_bytes(b"\x00\xff\xfe")
    assert_one_line(gradcheck(path, "--x", "3"))


@pytest.mark.parametrize(
    "line", ["raise ValueError('a\\nb')", "import no_such_module", "exit(0)", "1 / 0"]
)
def test_raising_when_loaded(file, line):
    assert_one_line(gradcheck(file(line), "--x", "3"), "when loaded")


def test_interrupting_itself_when_loaded(file):
    assert_one_line(gradcheck(file("raise KeyboardInterrupt"), "--x", "3"), "KeyboardInterrupt")


def test_missing_file(tmp_path):
    assert_one_line(gradcheck(tmp_path / "nothing.py", "--x", "3"), "no such file")


def test_folder(tmp_path):
    assert_one_line(gradcheck(tmp_path, "--x", "3"), "is a folder")


def test_not_python(file):
    assert_one_line(gradcheck(file("words", "notes.txt"), "--x", "3"), ".py")


def test_no_class(file):
    assert_one_line(gradcheck(file("x = 1"), "--x", "3"), "no class with forward and backward")


def test_several_classes_without_a_name(file):
    done = gradcheck(file(SQUARE + LINEAR), "--x", "3")
    assert_one_line(done, "which class", "Linear, Square")


def test_unknown_class_names_what_there_is(file):
    assert_one_line(gradcheck(f"{file(SQUARE)}:Cube", "--x", "3"), "no class Cube", "Square")


def test_no_input(file):
    assert_one_line(gradcheck(file(SQUARE)), "no input", "--x")


# -- options -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "Linear(5, 3",
        "Linear",
        "Linear(5, D)",
        "Linear(open('a'))",
        "np.Linear(5)",
        "Linear(*[5, 3])",
        "Linear(**{'D': 5})",
        "",
        "(" * 500,
    ],
)
def test_new_that_is_no_call_with_literals(file, call):
    assert_one_line(gradcheck(file(LINEAR), "--new", call, "--x", "4,5"), "--new")


def test_new_with_the_wrong_arguments(file):
    done = gradcheck(file(LINEAR), "--new", "Linear(5)", "--x", "4,5")
    assert_one_line(done, "Linear(5)", "TypeError")


def test_new_of_another_class_than_named(file):
    done = gradcheck(f"{file(LINEAR)}:Linear", "--new", "Square()", "--x", "4,5")
    assert_one_line(done, "Square", "Linear")


@pytest.mark.parametrize(
    "shape", ["bad", "4,x", "-3", "0", "4;5", "4,5:complex", "1.5", "9999999999,9", "", "4,5:"]
)
def test_x_that_is_no_shape(file, shape):
    assert_one_line(gradcheck(file(SQUARE), f"--x={shape}"), "--x")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_timeout_that_is_no_time(file, seconds):
    assert_one_line(gradcheck(file(SQUARE), "--x", "3", f"--timeout={seconds}"), "--timeout")


@pytest.mark.parametrize("seed", ["-1", "one"])
def test_seed_that_is_no_seed(file, seed):
    assert_one_line(gradcheck(file(SQUARE), "--x", "3", f"--seed={seed}"), "--seed")


@pytest.mark.parametrize("arguments", [(), ("a.py", "--hurry")])
def test_wrong_usage(arguments):
    assert_one_line(gradcheck(*arguments))


# -- cases that the file declares ----------------------------------------------------------


def test_declared_cases_are_all_checked(file):
    declared = """
    class Wrong(Square):
        def backward(self, dout):
            return -2 * self.x * dout, {}

    gradcheck_cases = {"good": (Square(), np.ones((2, 2))), "bad": (Wrong, np.ones(3))}
    """
    path = file(SQUARE + textwrap.dedent(declared))
    done = gradcheck(path, "--json")
    assert done.returncode == WRONG
    assert {k: r["verdict"] for k, r in json.loads(done.stdout).items()} == {
        "good": "right",
        "bad": "wrong",
    }
    assert gradcheck(f"{path}:Square", "--x", "3").returncode == RIGHT


@pytest.mark.parametrize(
    "declared",
    ["[]", "{}", "{'a': Square()}", "{'a': (Square(),)}", "{'a': (3, np.ones(2))}", "None"],
)
def test_declared_cases_of_another_form(file, declared):
    done = gradcheck(file(f"{SQUARE}\ngradcheck_cases = {declared}\n"))
    assert_one_line(done)


def test_declared_factory_that_raises(file):
    declared = "def make():\n    raise RuntimeError('no')\ngradcheck_cases = {'a': (make, 1.0)}\n"
    assert_one_line(gradcheck(file(SQUARE + declared)), "a", "RuntimeError: no")
