"""A run that was interrupted and goes on ends where an uninterrupted one does, to the bit."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import solver as program
from data import MappedRows
from experiment import folder as folder_module
from experiment.checkpoint import encode
from experiment.errors import ConfigError
from experiment.snapshot import digest
from layers import BatchNorm, Dropout, Linear, ReLU, Sequential
from losses import L2, SoftmaxCrossEntropy
from losses.objective import Objective
from optim import (
    LBFGS,
    SGD,
    Adam,
    AdamW,
    Constant,
    CosineDecay,
    ExponentialDecay,
    PlateauDecay,
    RMSProp,
    StepDecay,
)
from solver import Checkpoints, Diverged, Interrupted, Solver

rng = np.random.default_rng(0)
CENTRES = 1.5 * rng.standard_normal((3, 5))
Y = np.arange(90) % 3
X = (CENTRES[Y] + rng.standard_normal((90, 5))).astype(np.float32)
TRAIN, VALIDATION = (X[:50], Y[:50]), (X[50:], Y[50:])
EPOCHS, STEPS = 4, 7  # 50 samples in batches of 8: the last is smaller

OPTIMIZERS = {
    "sgd": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.1, momentum=0.9),
    "nesterov": lambda: SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: RMSProp(0.01),
    "adam": lambda: Adam(0.02),
    "adamw": lambda: AdamW(0.02, weight_decay=0.1),
}
SCHEDULES = {
    "constant": Constant,
    "step": lambda: StepDecay(every=1.5, factor=0.5),
    "exponential": lambda: ExponentialDecay(0.8),
    "cosine": lambda: CosineDecay(EPOCHS, warmup=0.5),
    "plateau": lambda: PlateauDecay(patience=1, factor=0.5),
}
BITS = {"pcg64": np.random.PCG64, "mt19937": np.random.MT19937, "philox": np.random.Philox}


def make(optimizer="adam", schedule="constant", folder=None, every="never", seed=0, **options):
    bits = BITS[options.pop("bits", "pcg64")]
    net = Sequential(
        Linear(5, 8, rng=seed),
        BatchNorm(8),
        ReLU(),
        Dropout(0.3, rng=np.random.Generator(bits(5))),
        Linear(8, 3, rng=seed + 1),
    )
    objective = Objective(net, SoftmaxCrossEntropy(), [L2(1e-3)])
    checkpoints = None if folder is None else Checkpoints(folder, every)
    options = {"epochs": EPOCHS, "batch_size": 8, "quiet": True} | options
    return Solver(
        objective, OPTIMIZERS[optimizer](), schedule=SCHEDULES[schedule](),
        checkpoints=checkpoints, **options,
    )  # fmt: skip


def outcome(solver):
    """Every bit that a run leaves: weights, running statistics, history but for the seconds."""
    history = [{k: v for k, v in record.items() if k != "seconds"} for record in solver.history]
    arrays = [solver.objective.theta, *solver.net.state.values()]
    best = solver.best_epoch, solver.best_score, solver.best_loss
    return [array.tobytes() for array in arrays], json.dumps(history), best


def interrupted_after(solver, updates):
    """Have it asked to stop after so many updates from now."""
    gradient = solver.objective.data_loss_and_grad

    def counting(*arguments, **options):
        nonlocal updates
        updates -= 1
        if updates == 0:
            solver.interrupt()
        return gradient(*arguments, **options)

    solver.objective.data_loss_and_grad = counting
    return solver


def run_in_pieces(folder, pieces, validation=VALIDATION, **options):
    """Interrupted after the numbers of updates in `pieces`, each time by a new Solver."""
    resume = None
    for updates in pieces:
        solver = interrupted_after(make(folder=folder, **options), updates)
        try:
            solver.train(TRAIN, validation, resume=resume)
        except Interrupted:
            resume = Checkpoints(folder).newest()
        else:
            return solver
    solver = make(folder=folder, **options)
    solver.train(TRAIN, validation, resume=resume)
    return solver


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_optimizer_and_schedule(tmp_path, optimizer, schedule):
    whole = make(optimizer, schedule)
    whole.train(TRAIN, VALIDATION)
    # In the middle of an epoch, at its end, after its first step, and in the last.
    options = {"optimizer": optimizer, "schedule": schedule}
    pieces = run_in_pieces(tmp_path / "c", [3, 4, 8, 10], **options)
    assert outcome(pieces) == outcome(whole)


@settings(max_examples=25)
@given(
    pieces=st.lists(st.integers(1, EPOCHS * STEPS), max_size=5),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    schedule=st.sampled_from(sorted(SCHEDULES)),
    bits=st.sampled_from(sorted(BITS)),
    every=st.sampled_from(["never", "1 epoch", "1 step", "3 steps", "0.001 seconds"]),
    validation=st.sampled_from([None, VALIDATION]),
    clip_norm=st.sampled_from([None, 0.5]),
    patience=st.sampled_from([None, 1]),
)
def test_any_interruptions(tmp_path_factory, pieces, validation, **options):
    every = options.pop("every")
    whole = make(**options)
    whole.train(TRAIN, validation)
    folder = tmp_path_factory.mktemp("run") / "c"
    assert outcome(run_in_pieces(folder, pieces, validation, every=every, **options)) == outcome(
        whole
    )


@pytest.mark.long
@settings(max_examples=1000)
@given(
    pieces=st.lists(st.integers(1, EPOCHS * STEPS), max_size=8),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    schedule=st.sampled_from(sorted(SCHEDULES)),
    every=st.sampled_from(["never", "1 epoch", "1 step", "3 steps"]),
)
def test_any_interruptions_at_length(tmp_path_factory, pieces, every, **options):
    whole = make(**options)
    whole.train(TRAIN, VALIDATION)
    folder = tmp_path_factory.mktemp("run") / "c"
    assert outcome(run_in_pieces(folder, pieces, every=every, **options)) == outcome(whole)


@pytest.mark.parametrize("validation", [None, VALIDATION])
def test_any_checkpoint_of_a_run_will_do(tmp_path, validation):
    """Not the one of an interruption alone: as after a power cut."""
    whole = make("momentum", "plateau")
    whole.train(TRAIN, validation)
    kept = make("momentum", "plateau", tmp_path, "1 step")
    kept.checkpoints.keep = 1000
    kept.train(TRAIN, validation)
    assert outcome(kept) == outcome(whole)
    paths = kept.checkpoints.paths()
    assert len(paths) == EPOCHS * STEPS + 1
    for path in paths:
        again = make("momentum", "plateau", tmp_path, "never")
        again.train(TRAIN, validation, resume=again.checkpoints.newest())
        assert outcome(again) == outcome(whole)
        path.unlink()


def test_lbfgs_goes_on_to_the_same_bits(tmp_path):
    def make_it(folder=None):
        net = Sequential(Linear(5, 8, rng=0), BatchNorm(8), ReLU(), Linear(8, 3, rng=1))
        objective = Objective(net, SoftmaxCrossEntropy(), [L2(1e-2)])
        checkpoints = None if folder is None else Checkpoints(folder, tell=told.append)
        return Solver(objective, LBFGS(12), checkpoints=checkpoints, quiet=True)

    told = []
    whole = make_it()
    whole.train(TRAIN, VALIDATION)
    resume = None
    for stop in (5, 3, 9):  # the second while the first five are computed again
        solver = make_it(tmp_path)
        solver.callbacks = (
            lambda solver, record, stop=stop: solver.interrupt() if record["epoch"] == stop else 0,
        )
        with pytest.raises(Interrupted):
            solver.train(TRAIN, VALIDATION, resume=resume)
        resume = solver.checkpoints.newest()
    last = make_it(tmp_path)
    last.train(TRAIN, VALIDATION, resume=resume)
    assert outcome(last) == outcome(whole)
    assert "computed again from the start" in told[0]


def test_overfit_goes_on_too(tmp_path):
    whole = make(epochs=40)
    whole.overfit(TRAIN, 20)
    solver = interrupted_after(make(folder=tmp_path, epochs=40), 10)
    with pytest.raises(Interrupted):
        solver.overfit(TRAIN, 20)
    again = make(folder=tmp_path, epochs=40)
    again.overfit(TRAIN, 20, resume=again.checkpoints.newest())
    assert outcome(again) == outcome(whole)


def test_checkpoints_change_nothing_and_the_seconds_go_on(tmp_path):
    whole, kept = make(), make(folder=tmp_path, every="1 step")
    whole.train(TRAIN, VALIDATION)
    kept.train(TRAIN, VALIDATION)
    assert outcome(kept) == outcome(whole)
    resume = kept.checkpoints.newest()
    resume.facts.seconds += 1000
    again = make(folder=tmp_path, epochs=EPOCHS + 1)
    again.train(TRAIN, VALIDATION, resume=resume)
    assert 1000 < again.history[-1]["seconds"] < 1100


def test_no_checkpoint_holds_what_is_not_finite(tmp_path):
    """A rate beyond all bounds makes the weights infinite, before any loss can tell."""
    solver = make("sgd", folder=tmp_path, every="1 step")
    factor = {0: 1.0, 1: 1.0, 2: 1e45}
    solver.schedule.factor = lambda epoch: factor[round(epoch * STEPS)]
    with pytest.raises(Diverged, match=r"not finite in epoch 1, before step 4: linear1: parameter"):
        solver.train(TRAIN)
    newest = solver.checkpoints.newest()
    assert newest.facts.place.step == 2
    assert all(np.isfinite(array).all() for array in newest.arrays.values())


# -- what may not differ ---------------------------------------------------------------------


@pytest.fixture
def interrupted(tmp_path):
    """The folder of a run that was interrupted in the middle of its second epoch."""
    with pytest.raises(Interrupted):
        interrupted_after(make(folder=tmp_path, every="1 epoch"), STEPS + 3).train(TRAIN)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "rmsprop"}, "checkpoint is of Adam, the optimizer is RMSProp"),
        ({"batch_size": 16}, "batch_size was 8, is now 16: it cannot change in the middle"),
        ({"seed": 3}, "seed was 0, is now 3"),
        ({"schedule": "plateau"}, "does not fit: PlateauDecay"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_solver_is_refused(interrupted, options, message):
    solver = make(folder=interrupted, **options)
    if "seed" in options:
        solver = make(folder=interrupted)
        solver.seed = 3
    with pytest.raises(ConfigError, match=message):
        solver.train(TRAIN, resume=solver.checkpoints.newest())


def test_another_network_is_refused(interrupted):
    resume = Checkpoints(interrupted).newest()
    for layers, message in (
        (
            (Linear(5, 9, rng=0), ReLU(), Linear(9, 3, rng=0)),
            "has params/batchnorm1.beta, which the",
        ),
        ((Linear(5, 9, rng=0), BatchNorm(9), Linear(9, 3, rng=0)), "linear1.W is float32"),
        ((Linear(5, 8, rng=0), BatchNorm(8)), "has params/linear2.W, which the network has not"),
    ):
        net = Sequential(*layers)
        solver = Solver(Objective(net, SoftmaxCrossEntropy()), Adam(0.02), batch_size=8)
        with pytest.raises(ConfigError, match=message):
            solver.train(TRAIN, resume=resume)
    wider = make().net.astype(np.float64)
    solver = Solver(Objective(wider, SoftmaxCrossEntropy()), Adam(0.02), batch_size=8, quiet=True)
    with pytest.raises(ConfigError, match="float32"):
        solver.train(TRAIN, resume=resume)


def test_other_data_is_refused_unless_allowed(interrupted):
    resume = Checkpoints(interrupted).newest()
    x = X[:50].copy()
    x[49, 4] = np.nextafter(x[49, 4], np.float32(9), dtype=np.float32)  # one bit
    with pytest.raises(ConfigError, match="the data is not what the run began with"):
        make().train((x, Y[:50]), resume=resume)
    for train in ((X[:50], Y[:50][::-1]), (X[:50].astype(np.float64), Y[:50])):
        with pytest.raises(ConfigError, match="the data is not"):
            make().train(train, resume=resume)
    solver = make(folder=interrupted)
    solver.checkpoints.allow_other_data = True
    solver.train((x, Y[:50]), resume=resume)
    assert len(solver.history) == EPOCHS


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside),
    max_leaves=5,
)


def leaves(value, way=()):
    """The ways to everything inside a JSON value."""
    yield way
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from leaves(item, (*way, key))


@given(data=st.data())
def test_a_checkpoint_by_a_stranger_with_a_right_checksum_is_refused_or_harmless(
    tmp_path_factory, data
):
    """Facts or history changed anywhere, and the file written as we write it."""
    folder = tmp_path_factory.mktemp("strange")
    with pytest.raises(Interrupted):
        interrupted_after(make(schedule="plateau", folder=folder), STEPS + 3).train(TRAIN)
    checkpoint = Checkpoints(folder).newest()
    facts = {"facts": msgspec.to_builtins(checkpoint.facts), "history": checkpoint.history}
    way = data.draw(st.sampled_from([way for way in leaves(facts) if way]))
    inside = facts
    for key in way[:-1]:
        inside = inside[key]
    inside[way[-1]] = data.draw(ODD)
    strange = Strange(checkpoint.arrays, facts["facts"], facts["history"])
    (path,) = Checkpoints(folder).paths()
    path.write_bytes(b"".join(encode(strange)))
    solver = make(schedule="plateau", folder=folder)
    solver.checkpoints.tell = lambda text: None
    with suppress(ConfigError, Diverged):
        solver.train(TRAIN, resume=solver.checkpoints.newest())


@dataclass
class Strange:
    """What `encode` takes for a checkpoint."""

    arrays: dict
    facts: object
    history: object


def test_a_new_run_does_not_overwrite_another(interrupted):
    before = [path.name for path in Checkpoints(interrupted).paths()]
    with pytest.raises(ConfigError, match="holds the checkpoints of a run"):
        make(folder=interrupted).train(TRAIN)
    assert [path.name for path in Checkpoints(interrupted).paths()] == before


def test_what_no_checkpoint_can_hold_is_refused_at_once(tmp_path):
    class Rule:
        lr = 0.1

        def update(self, theta, grad, n_decayed=None):
            pass

    class Rate:
        def factor(self, epoch):
            return 1.0

        def observe(self, score):
            pass

    objective = make().objective
    with pytest.raises(TypeError, match="Rule has no `state`"):
        Solver(objective, Rule(), checkpoints=tmp_path)
    with pytest.raises(TypeError, match="Rate has no `state_dict`"):
        Solver(objective, Adam(), schedule=Rate(), checkpoints=tmp_path)
    solver = make(folder=tmp_path)
    solver.net.children["dropout1"].rng = np.random.RandomState(0)
    solver.net.children["dropout1"].drop = 0
    solver.interrupt()
    with pytest.raises(TypeError, match="dropout1: its rng is a RandomState"):
        solver.train(TRAIN)


def test_another_blas_is_told_of(interrupted):
    resume = Checkpoints(interrupted).newest()
    resume.facts.numerics["BLAS num threads"] = "64"
    solver = make(folder=interrupted)
    told = []
    solver.checkpoints.tell = told.append
    solver.train(TRAIN, resume=resume)
    assert len(told) == 1
    assert told[0].startswith("BLAS num threads was 64, is now ")
    assert told[0].endswith("the last bits may differ")


# -- the command line ------------------------------------------------------------------------

CONFIG = """
[data]
name = "csv"
path = "points.csv"
[net]
hidden = [16]
normalization = "batch_norm"
dropout = 0.2
[loss]
name = "softmax"
[optim]
name = "adamw"
lr = 0.02
[solver]
epochs = 8
batch_size = 16
checkpoint_every = "5 steps"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a configuration, its data, and a whole run of it; no pictures, for speed."""
    monkeypatch.setattr("experiment.plots.available", lambda: False)
    rows = [f"{x[0]:.6f},{x[1]:.6f},{label}" for x, label in zip(X, Y, strict=True)]
    (tmp_path / "points.csv").write_text("a,b,kind\n" + "\n".join(rows) + "\n")
    (tmp_path / "config.toml").write_text(CONFIG)
    assert start(tmp_path, "whole") == 0
    return tmp_path


def start(place, name, *more):
    config = str(place / "config.toml")
    return program.main(["--config", config, "--out", str(place / name), "--quiet", *more])


def cut_off(place, name, epoch, monkeypatch):
    """A run that dies after an epoch, as if by a power cut: nothing is tidied up."""
    add = folder_module.RunFolder.add

    def dying(folder, record):
        add(folder, record)
        if record["epoch"] == epoch:
            raise SystemExit("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(folder_module.RunFolder, "add", dying)
        with pytest.raises(SystemExit):
            start(place, name)
    return place / name


def go_on(run, *more):
    return program.main(["--resume", str(run), *more])


def same_files(run, whole):
    for name in ("weights.safetensors", "manifest.json", "config.toml"):
        if (run / name).read_bytes() != (whole / name).read_bytes():
            return False
    seconds = re.compile(r'"seconds": [^,}]+|in [\d.]+ s,')
    return all(
        seconds.sub("", (run / name).read_text()) == seconds.sub("", (whole / name).read_text())
        for name in ("metrics.jsonl", "summary.txt")
    )


def test_a_run_goes_on_to_the_same_files(place, monkeypatch, capsys):
    run = cut_off(place, "run", 5, monkeypatch)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 6, "data_lo')  # a line that was not written out
    assert go_on(run) == 0
    assert "test        accuracy" in capsys.readouterr().out
    assert same_files(run, place / "whole")
    assert go_on(run) == 0
    assert capsys.readouterr().out == f"{run}: this run is finished\n"


def test_a_run_of_lbfgs_goes_on_to_the_same_files(place, monkeypatch, capsys):
    config = place / "config.toml"
    config.write_text(CONFIG.replace("adamw", "lbfgs").replace("lr = 0.02", "").replace(
        "dropout = 0.2", ""))  # fmt: skip
    assert start(place, "other") == 0
    run = cut_off(place, "run", 5, monkeypatch)
    assert go_on(run, "--quiet") == 0
    assert "its iterations are computed again from the start" in capsys.readouterr().err
    assert same_files(run, place / "other")


def test_data_in_a_file_is_digested_as_if_it_were_in_memory(tmp_path, monkeypatch):
    whole = digest((X, Y))
    monkeypatch.setattr("experiment.snapshot.DIGEST_BYTES", 3 * X[0].nbytes)
    assert digest((X, Y)) == whole
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert digest((MappedRows(mapped, np.arange(90)), Y)) == whole
    assert digest((np.asfortranarray(X), Y)) == whole
    order = np.arange(90)
    order[:2] = 1, 0
    assert digest((MappedRows(mapped, order), Y)) != whole
    assert digest((X[:, ::-1], Y)) != whole
    assert digest((X.reshape(45, 10), Y)) != whole


def test_a_changed_configuration_says_what_differs(place, monkeypatch, capsys):
    run = cut_off(place, "run", 5, monkeypatch)
    capsys.readouterr()
    stored = (run / "config.toml").read_text()
    for settings_given in (["--set", "optim.lr=0.01", "--seed", "3"], []):
        if not settings_given:  # the run's own file, edited
            edited = stored.replace("lr = 0.02", "lr = 0.01").replace("\nseed = 0", "\nseed = 3")
            (run / "config.toml").write_text(edited)
        assert go_on(run, *settings_given) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "optim.lr was 0.02, is now 0.01; solver.seed was 0, is now 3" in err
        assert "--allow-change optim.lr --allow-change solver.seed" in err
    (run / "config.toml").write_text(stored)
    assert go_on(run, "--set", "optim.lr=0.01", "--allow-change", "optim.lt") == 2
    err = capsys.readouterr().err
    assert "--allow-change optim.lt: no such key; did you mean 'optim.lr'?" in err
    assert go_on(run, "--set", "net.hidden=[17]", "--allow-change", "net") == 2
    assert "linear1.W is float32 (2, 16), but of the network it is" in capsys.readouterr().err
    other = place / "other.toml"
    other.write_text(CONFIG.replace("epochs = 8", "epochs = 9"))
    assert go_on(run, "--config", str(other)) == 2
    assert "solver.epochs was 8, is now 9" in capsys.readouterr().err
    # None of this has harmed the run; how often it writes may change without a word.
    assert go_on(run, "--config", str(place / "config.toml"),
                 "--set", 'solver.checkpoint_every="1 epoch"') == 0  # fmt: skip
    assert (run / "weights.safetensors").read_bytes() == (
        place / "whole" / "weights.safetensors"
    ).read_bytes()


def test_a_finished_run_can_be_made_longer(place):
    assert start(place, "longer", "--set", "solver.epochs=11") == 0
    settings_given = ["--set", "solver.epochs=11", "--allow-change", "solver.epochs", "--quiet"]
    assert go_on(place / "whole", *settings_given) == 0
    assert same_files(place / "whole", place / "longer")


def test_a_run_cannot_be_made_shorter_than_it_is(place, capsys):
    settings_given = ["--set", "solver.epochs=3", "--allow-change", "solver.epochs"]
    kept = {path.name: path.read_bytes() for path in (place / "whole").glob("*.*")}
    assert go_on(place / "whole", *settings_given) == 2
    assert (
        "solver.epochs is 3, but the run has come to epoch 8: expected at least 8"
        in capsys.readouterr().err
    )
    assert {path.name: path.read_bytes() for path in (place / "whole").glob("*.*")} == kept


def test_a_folder_that_is_none_or_not_a_runs_is_an_error(place, capsys):
    (place / "foreign").mkdir()
    (place / "empty").mkdir()
    (place / "empty" / "config.toml").write_text((place / "whole" / "config.toml").read_text())
    for name, message in (
        ("none", "no such folder"),
        ("config.toml", "is no folder"),
        ("foreign", "not the folder of a run, it has no config.toml"),
        ("empty", "no checkpoint to go on from"),
    ):
        before = sorted(place.rglob("*"))
        assert go_on(place / name) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"error: --resume {place / name}: ")
        assert message in err
        assert err.count("\n") == 1
        assert sorted(place.rglob("*")) == before


def test_a_changed_data_file_is_noticed(place, monkeypatch, capsys):
    run = cut_off(place, "run", 5, monkeypatch)
    capsys.readouterr()
    data = place / "points.csv"
    text = data.read_text()
    number = text.splitlines()[40].split(",")[0]
    data.write_text(text.replace(number, number[:-1] + str((int(number[-1]) + 1) % 10)))
    assert go_on(run) == 2
    err = capsys.readouterr().err
    assert "the data is not what the run began with" in err
    assert err.count("\n") == 1
    assert go_on(run, "--allow-change", "data", "--quiet") == 0


def test_a_damaged_newest_checkpoint_costs_nothing_but_time(place, monkeypatch, capsys):
    run = cut_off(place, "run", 5, monkeypatch)
    newest = sorted((run / "checkpoints").glob("*.safetensors"))[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    capsys.readouterr()
    assert go_on(run, "--quiet") == 0
    err = capsys.readouterr().err
    assert "is damaged" in err
    assert "going on from the one before it" in err
    assert same_files(run, place / "whole")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "x", "--out", "y"], "--out: does not go with --resume"),
        (["--resume", "x", "--sanity"], "--sanity: does not go with --resume"),
        (["--resume", "x", "--predict", "y"], "--predict: does not go with --resume"),
        (["--config", "x", "--allow-change", "y"], "--allow-change: does not go with --config"),
        ([], "expected --config FILE, --resume RUN or --predict RUN"),
    ],
)
def test_options_that_do_not_go_together(arguments, message, capsys):
    assert program.main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", ["net.hidden=[5]", "optim.momentum=0.0"], ids=["a layer", "no moments"]
)
def test_a_refused_resume_leaves_the_run_as_it_was(tmp_path, capsys, change):
    config, folder = tmp_path / "run.toml", tmp_path / "run"
    config.write_text(
        '[data]\nname = "blobs"\nsamples = 60\n[net]\nhidden = [4]\n'
        '[loss]\nname = "softmax"\n[optim]\nname = "sgd"\nlr = 0.1\nmomentum = 0.9\n'
        '[solver]\nepochs = 2\ncheckpoint_every = "1 epoch"\n'
    )
    assert program.main(["--config", str(config), "--out", str(folder), "--quiet"]) == 0
    names = ("config.toml", "metrics.jsonl", "summary.txt")
    before = {name: (folder / name).read_bytes() for name in names}
    arguments = ["--resume", str(folder), "--quiet", "--set", change, "--set", "solver.epochs=4"]
    arguments += ["--allow-change", change.split("=")[0], "--allow-change", "solver.epochs"]
    assert program.main(arguments) == 2
    assert {name: (folder / name).read_bytes() for name in names} == before
