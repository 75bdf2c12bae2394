"""Adapting a model to the cells of a run: nothing is claimed that does not hold, nothing is lost on interruption."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from surrogate import cli

torch = pytest.importorskip("torch", reason="the nets need PyTorch: pip install 'stiff-surrogate[training]'")
pytestmark = pytest.mark.torch

from surrogate.training import get_system  # noqa: E402
from surrogate.training.evaluation.compare import outcomes, table  # noqa: E402
from surrogate.training.fit import adapt as adapting  # noqa: E402
from surrogate.training.fit import predictors, rehearsal  # noqa: E402
from surrogate.training.fit.config import TrainConfig  # noqa: E402
from surrogate.training.fit.pairs import read_pairs  # noqa: E402
from surrogate.training.fit.trainer import Trainer  # noqa: E402
from surrogate.training.labels import make_labels  # noqa: E402
from surrogate.training.nets.calibration import Calibration, from_plain  # noqa: E402
from surrogate.training.nets.experts import NetConfig  # noqa: E402
from surrogate.training.nets.model_file import read_arrays  # noqa: E402

SMALL = {"train": 2000, "calibrate": 2500, "test": 1500}
RATE = 100.0
#: so narrow that the linear part of a net, which is fitted and not trained, is right to 1e-3
DT_RANGE = (1e-2, 1.1e-2)


def decay(cells, dt):
    """Exact solution of y' = -C y."""
    return cells * np.exp(-RATE * dt)[:, None]


def write_table(path, cells, dt, **params):
    """A harvest as a stepper writes it."""
    with h5py.File(path, "w") as file:
        for name, column in ({"y": cells[:, 0], "dt": dt} | params).items():
            file[name] = column


def cells_of_run(n=6000, seed=5):
    """Cells larger than those that the net knows."""
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(0.3, 1.3, (n, 1)), rng.uniform(*DT_RANGE, n)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Directory with a small calibrated net of decay-linear, and cells of a run, which are outside of its domain."""
    folder, system = tmp_path_factory.mktemp("adapt"), get_system("decay-linear")
    options = {"population": "box", "dt_range": DT_RANGE, "advance": decay, "seed": 0, "progress": False}
    for split in ("train", "calibrate"):
        make_labels(system, folder / f"{split}.h5", n=SMALL[split], split=split, dts=2, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictors, "ITERATIONS", 150)
        pairs = [read_pairs([folder / f"{split}.h5"], system) for split in ("train", "calibrate")]
        net = NetConfig(width=8, depth=1, regions=(1, 1, 1))
        Trainer(system, *pairs, folder / "net.h5", net, TrainConfig(minutes=0.03, batch=64)).run()
    labels = ["--labels", str(folder / "calibrate.h5"), "--cheap", "0"]
    assert cli.main(["calibrate", str(folder / "net.h5"), *labels]) == 0
    cells, dt = cells_of_run()
    write_table(folder / "run.h5", np.repeat(cells, 2, 0), np.repeat(dt, 2))
    return folder


@pytest.fixture
def quick(place, monkeypatch):
    """In that directory, with small rehearsals and little patience."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(predictors, "ITERATIONS", 150)
    monkeypatch.setattr(rehearsal, "REHEARSED", SMALL)
    monkeypatch.setattr(adapting, "REHEARSED", SMALL)


def command(out, model="net.h5", cells="run.h5", minutes="0.03"):
    return ["adapt", model, "--cells", cells, "--minutes", minutes, "--out", out]


def test_interrupted_run_goes_on_and_claims_nothing_that_does_not_hold(quick, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", interrupt)
        assert cli.main(command("mine.h5")) == 130
    assert "the same command continues" in capsys.readouterr().err and not Path("mine.h5").exists()
    labels = {path: path.stat().st_mtime_ns for path in Path("mine.h5.work").glob("*-*.h5")}
    assert len(labels) == 4  # of two populations, to train and to calibrate
    with monkeypatch.context() as patch:  # in the midst of the calibration
        patch.setattr(adapting, "calibrate_model", interrupt)
        assert cli.main(command("mine.h5")) == 130
    assert {path: path.stat().st_mtime_ns for path in labels} == labels
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", lambda *_: pytest.fail("it is trained already"))
        kept, adapt = [], adapting.adapt
        patch.setattr("surrogate.training.commands.adapt.adapt", lambda *a, **k: kept.append(adapt(*a, **k)) or kept[0])
        assert cli.main(command("mine.h5")) == 0
    said, adapted = capsys.readouterr().out, kept[0]
    assert table(adapted.before, adapted.after) in said and not Path("mine.h5.work").exists()

    assert list(adapted.after) == [rehearsal.RUN, "box"]
    assert not any(row.taken for row in adapted.before[rehearsal.RUN])  # all are outside
    assert adapted.before["box"][0].taken > 0.05
    for rows in (*adapted.before.values(), *adapted.after.values()):
        for row in rows:
            n = row.taken * row.hard
            assert not n or row.within >= 0.99 - 3 * np.sqrt(0.01 * 0.99 / n), row
    metadata = read_arrays("mine.h5")[1]
    assert set(metadata["held_out"]) == {rehearsal.RUN, "box"} and "adapt" in metadata["command"]
    assert metadata["system_source"] == "decay-linear"
    assert cli.main(command("mine.h5")) == 0 and "finished already" in capsys.readouterr().out
    assert cli.main(command("mine.h5", minutes="0.04")) == 1 and "made by another command" in capsys.readouterr().err


def test_outcomes_are_those_of_a_count(place):
    """Shares and costs of `outcomes`, counted one by one."""
    from surrogate.training.evaluation.measure import label_tensors, measure
    from surrogate.training.labels import load_labels
    from surrogate.training.nets.domain import Domain
    from surrogate.training.nets.trained import load_trained

    _, net, metadata = load_trained(place / "net.h5")
    domain, calibration = from_plain(Domain, metadata["domain"]), from_plain(Calibration, metadata["calibration"])
    labels = label_tensors(load_labels(place / "calibrate.h5"), 1)
    n = len(labels[1])
    attempts = {r: np.random.default_rng(1).integers(1, 30, n).astype(float) for r in (0.5, 1e-2)}
    row = outcomes(net, domain, calibration, labels, attempts, (0.5,))[0]
    measured, inside = measure(net, *labels), domain.holds(net.encoding, *labels[:2])
    taken = inside & (calibration.bound(measured) <= 0.5)
    assert taken.sum() > 50
    cost = [
        (2.0 if i and g >= 0.0 else 0.0) + (0.0 if t else a)
        for i, g, t, a in zip(inside, measured.attempts, taken, attempts[0.5])
    ]
    hard = attempts[1e-2] >= 0.0
    assert row.cost == pytest.approx(np.mean(cost)) and row.solver_cost == pytest.approx(attempts[0.5].mean())
    assert row.taken == taken[hard].mean() and row.within == (measured.worst[taken] <= 0.5).mean()


def test_cells_are_divided_by_their_content(place):
    cells = rehearsal.read_harvest([place / "run.h5"], get_system("decay-linear"))
    assert len(cells) == 6000  # none twice
    splits = [set(cells.of_split(split)) for split in ("train", "calibrate", "test")]
    assert set.union(*splits) == set(range(6000)) and sum(map(len, splits)) == 6000
    half = rehearsal.UserCells(cells.cells[::2].copy(), cells.dt[::2])
    assert set(2 * half.of_split("test")) == {i for i in splits[2] if i % 2 == 0}


@pytest.mark.parametrize(
    "flaw, match",
    [
        ("no dt", "has no column dt"),
        ("few", "harvest more, at least 300"),
        ("C", r"C is 1 to 300 in these cells, and always 100 in net.h5, .*--param C=1:300"),
        ("not calibrated", "run `surrogate calibrate`"),
        ("nowhere", "is no directory"),
        ("another", "belongs to another run"),
        ("minutes", "give a positive number"),
    ],
)
def test_misuse(quick, flaw, match, capsys, tmp_path):
    cells, dt = cells_of_run(100 if flaw == "few" else 5000)
    write_table("other.h5", cells, dt, **({"C": np.linspace(1, 300, len(dt))} if flaw == "C" else {}))
    if flaw == "no dt":
        with h5py.File("other.h5", "r+") as file:
            del file["dt"]
    if flaw == "not calibrated":
        from surrogate.training.nets.model_file import save_model
        from surrogate.training.nets.trained import load_trained

        _, net, metadata = load_trained("net.h5")
        kept = {k: v for k, v in metadata.items() if k not in ("calibration", "net", "dt_lower")}
        save_model("raw.h5", net, **kept)
    if flaw == "another":
        work = Path(tmp_path / "out.h5.work")
        work.mkdir()
        (work / "run.json").write_text("{}")
    out = tmp_path / ("nowhere/out.h5" if flaw == "nowhere" else "out.h5")
    model = "raw.h5" if flaw == "not calibrated" else "net.h5"
    minutes = "0" if flaw == "minutes" else "0.03"
    assert cli.main(command(str(out), model, "other.h5", minutes)) == 1
    error = capsys.readouterr().err
    assert re.search(match, error), error
    assert not out.exists()
