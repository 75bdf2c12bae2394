"""The user's own cells as a population: read from any table alike, never in two splits, and nothing lost on the way."""

import h5py
import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training import populations as pop
from surrogate.training.labels import load_labels, make_labels
from surrogate.training.populations import read_cells

import surrogate
from surrogate import Status, cli

N = 600
SETTINGS = {"split": "train", "seed": 2, "rtol": 1e-4, "chunk": 100, "progress": False}


@pytest.fixture(scope="module")
def system():
    return get_system("ism-atomic")


@pytest.fixture(scope="module")
def columns(system):
    """What a run would leave: cells, time steps and the radiation in each, and something else."""
    cells, dt = pop.wide(system, N, 7)
    g0 = 10.0 ** np.random.default_rng(1).uniform(-2, 2, N)
    return dict(zip(system.names, cells.T)) | {"dt": dt, "G0": g0, "velocity": np.arange(N) / 7}


def structured(columns):
    table = np.empty(len(columns["T"]), [(name, float) for name in columns])
    for name, values in columns.items():
        table[name] = values
    return table


def write_h5(path, columns, group="", shape=(N,)):
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[f"{group}/{name}"] = values.reshape(shape)


def write_compound(path, columns):
    with h5py.File(path, "w") as file:
        file["run/cells"] = structured(columns)


def write_csv(path, columns):
    rows = [",".join(map(repr, row)) for row in zip(*(values.tolist() for values in columns.values()))]
    path.write_text("\n".join([", ".join(columns), *rows]) + "\n")


FORMATS = {
    "top.h5": write_h5,
    "fields.hdf5": lambda path, columns: write_h5(path, columns, "grid", (10, 20, 3)),
    "compound.h5": write_compound,
    "cells.npy": lambda path, columns: np.save(path, structured(columns)),
    "cells.npz": lambda path, columns: np.savez(path, **columns),
    "cells.csv": write_csv,
}


@pytest.fixture
def files(columns, tmp_path):
    for name, write in FORMATS.items():
        write(tmp_path / name, columns)
    return [tmp_path / name for name in FORMATS]


def rows_of(cells, table):
    """Number of the row of a table that each cell is, by all its bits."""
    known = {row.tobytes(): i for i, row in enumerate(table)}
    return np.array([known[np.ascontiguousarray(row).tobytes()] for row in cells])


def test_every_format_gives_the_same_labels_and_they_are_the_steppers(files, system, columns, tmp_path, capsys):
    made = [make_labels(system, tmp_path / f"{i}", cells=path, dts=2, **SETTINGS) for i, path in enumerate(files)]
    first, said = made[0], capsys.readouterr().err
    for labels, path in zip(made, files):
        for name in ("start", "dt", "end", "params"):
            assert getattr(labels, name).tobytes() == getattr(first, name).tobytes(), (path, name)
        assert labels.meta["cells_sha256"] == first.meta["cells_sha256"] and labels.meta["population"] == "cells"
        assert f"{path}: not used are the columns velocity" in said
    table = np.stack([columns[name] for name in system.names], axis=1)
    rows = rows_of(first.start, table)
    assert len(set(rows)) == len(rows) and not np.all(np.diff(rows) > 0)
    g0 = [p.name for p in system.parameters].index("G0")
    np.testing.assert_array_equal(first.params[:, g0], columns["G0"][rows])
    assert first.param_ranges == {"G0": (columns["G0"].min(), columns["G0"].max())}
    assert np.all((first.dt == columns["dt"][rows][:, None]).sum(1) == 1)
    stepper, cells = surrogate.load("ism-atomic").stepper(rtol=1e-4, net=False), table[rows]
    assert np.all(stepper.step(cells, first.dt[:, 0], params={"G0": columns["G0"][rows]}).status == Status.SOLVER)
    np.testing.assert_array_equal(first.end[:, 0], cells)


def test_no_two_splits_share_a_cell(files, system, columns, tmp_path):
    """Whatever the file, its order, or the time step that a cell comes with."""
    shuffled = np.random.default_rng(0).permutation(N)
    again = {name: values[shuffled] for name, values in columns.items()} | {"dt": 2 * columns["dt"]}
    np.savez(tmp_path / "again.npz", **again)
    table = np.stack([columns[name] for name in system.names], axis=1)
    parts = {}
    for split, path in (("train", files[0]), ("calibrate", tmp_path / "again.npz"), ("test", files[0])):
        labels = make_labels(system, tmp_path / split, cells=path, **SETTINGS | {"split": split, "seed": 0})
        parts[split] = set(rows_of(labels.start, table))
        assert labels.meta["n"] == len(parts[split])
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == N
    shares = [len(parts[split]) / N for split in ("train", "calibrate", "test")]
    np.testing.assert_allclose(shares, [0.7, 0.15, 0.15], atol=0.06)  # four standard deviations


def test_cells_come_again_when_all_have_come_but_not_where_they_are_counted(files, system, columns, tmp_path, capsys):
    np.savez(tmp_path / "timeless.npz", **{name: values for name, values in columns.items() if name != "dt"})
    given = SETTINGS | {"cells": tmp_path / "timeless.npz", "dt_range": (1e8, 1e12)}
    n = len(read_cells(given["cells"], system).of_split("train"))
    labels = make_labels(system, tmp_path / "a.h5", **given, n=2 * n)
    assert f"the {n} cells of the split 'train' come more than once" in capsys.readouterr().err
    np.testing.assert_array_equal(labels.start[:n], labels.start[n:])
    assert not np.any(labels.dt[:n] == labels.dt[n:]) and 1e8 <= labels.dt.min() < 1e9 < 1e11 < labels.dt.max() <= 1e12
    fewer = make_labels(system, tmp_path / "b.h5", **given, n=50)
    np.testing.assert_array_equal(fewer.start, labels.start[:50])
    with pytest.raises(
        ValueError, match=r"belong to the split 'calibrate', where none may count twice: give at most \d+"
    ):
        make_labels(system, tmp_path / "c.h5", **given | {"split": "calibrate"}, n=N)
    with pytest.raises(ValueError, match="dt_range is missing"):
        make_labels(system, tmp_path / "c.h5", **given | {"dt_range": None})


def test_an_interrupted_file_goes_on_and_a_changed_table_is_noticed(files, system, columns, tmp_path, monkeypatch):
    from surrogate.training.labels import make

    given = SETTINGS | {"cells": files[0], "dts": 2}
    whole = make_labels(system, tmp_path / "whole.h5", **given, processes=2)

    def interrupted(recipe, path, compute, progress, original=make._fill):
        def first(todo):
            yield from (chunk for chunk, _ in zip(compute(todo), range(2)))
            raise KeyboardInterrupt

        original(recipe, path, first, progress)

    with monkeypatch.context() as m:
        m.setattr(make, "_fill", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_labels(system, tmp_path / "a.h5", **given)
    assert 0 < len(load_labels(tmp_path / "a.h5", partial=True).dt) < len(whole.dt)
    with h5py.File(files[0], "r+") as file:
        file["T"][3] *= 1.5
    with pytest.raises(ValueError, match="was made with cells_sha256"):
        make_labels(system, tmp_path / "a.h5", **given)
    with h5py.File(files[0], "r+") as file:
        file["T"][3] = columns["T"][3]
    labels = make_labels(system, tmp_path / "a.h5", **given)
    for name in ("start", "dt", "end", "status", "params"):
        assert getattr(labels, name).tobytes() == getattr(whole, name).tobytes(), name


def test_electrons_follow_from_the_ions(system, columns, tmp_path):
    np.savez(tmp_path / "ions.npz", **{name: values for name, values in columns.items() if name != "e-"})
    cells = read_cells(tmp_path / "ions.npz", system).cells
    np.testing.assert_allclose(cells[:, system.names.index("e-")], columns["e-"], rtol=1e-12)
    np.savez(tmp_path / "anions.npz", **{name: np.full(3, float(name in ("H-", "T"))) for name in system.names[1:]})
    with pytest.raises(ValueError, match="no cell that ism-atomic can take: of 3 are 3 with e- outside"):
        read_cells(tmp_path / "anions.npz", system)


def test_bad_cells_are_left_out_and_counted(system, columns, tmp_path):
    bad = {name: values.copy() for name, values in columns.items()}
    bad["H"][[1, 5]], bad["T"][5], bad["He"][9], bad["T"][17] = np.nan, -1.0, -1e-30, 1e12
    bad["dt"][20], bad["G0"][21] = 0.0, np.inf
    write_csv(tmp_path / "bad.csv", bad)
    text = (tmp_path / "bad.csv").read_text().replace("nan", "")  # as tables leave out what is missing
    (tmp_path / "bad.csv").write_text(text)
    read = read_cells(tmp_path / "bad.csv", system)
    assert len(read.cells) == len(read.dt) == len(read.params["G0"]) == N - 6
    kept = np.delete(np.arange(N), [1, 5, 9, 17, 20, 21])
    np.testing.assert_array_equal(read.cells[:, -1], columns["T"][kept])
    counts = "6 of 600 cells are left out: 3 not finite, 1 with He outside 0..1e+15, 1 with T outside 1..1e+09, "
    assert counts + "1 with dt not positive" in read.notes[1]


def test_several_files_are_one_population(system, columns, tmp_path):
    """One number holds for all cells of a file; where a parameter is missing it has the system's own value."""
    halves = [{name: values[part] for name, values in columns.items()} for part in (slice(0, 100), slice(100, 300))]
    halves[0]["T"] = np.array(500.0)
    del halves[1]["G0"]
    for i, half in enumerate(halves):
        np.savez(tmp_path / f"{i}.npz", **half)
    read = read_cells([tmp_path / "0.npz", tmp_path / "1.npz"], system)
    assert len(read) == len(read.dt) == 300 and np.all(read.cells[:100, -1] == 500)
    own = next(p.value for p in system.parameters if p.name == "G0")
    np.testing.assert_array_equal(read.params["G0"], [*columns["G0"][:100], *[own] * 200])
    del halves[1]["dt"]
    np.savez(tmp_path / "1.npz", **halves[1])
    with pytest.raises(ValueError, match=r"only some files have a column dt \(.*0.npz\)"):
        read_cells([tmp_path / "0.npz", tmp_path / "1.npz"], system)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.npz", lambda p, c: np.savez(p, H=c["H"], T=c["T"], x=c["T"]), "has no column H-, H.*the file has H, T, x"),
        ("a.npz", lambda p, c: np.savez(p, **c | {"H": c["H"][1:]}), "different shapes"),
        ("a.npz", lambda p, c: np.savez(p, **c | {"H": np.array(["x"] * N)}), "column H is of <U1, no numbers"),
        ("a.npy", lambda p, c: np.save(p, c["T"]), "its columns have no names"),
        ("a.npy", lambda p, c: np.save(p, np.array([{}], object)), "cannot be read as a table"),
        ("a.h5", lambda p, c: p.write_text("no HDF5"), "cannot be read as a table"),
        ("a.npz", lambda p, c: p.write_bytes(b"PK no archive"), "cannot be read as a table"),
        ("a.txt", lambda p, c: p.write_text("T\n1\n"), "neither HDF5 nor one of .csv"),
        ("a.csv", lambda p, c: p.write_text(""), "has no column .*the file has none"),
        ("a.csv", lambda p, c: write_csv(p, {k: v[:0] for k, v in c.items()}), "has no cell"),
        ("a.csv", lambda p, c: p.write_text("H, T, H\n1,2,3\n"), "two columns are named H"),
        ("a.csv", lambda p, c: p.write_text("H, T\n1,warm\n"), "could not convert string 'warm'"),
        ("a.h5", lambda p, c: [write_h5(p, c), h5py.File(p, "a").copy("/", "b")], "several tables of cells: /, b"),
    ],
)
def test_what_is_no_table_of_cells_is_explained(name, write, message, system, columns, tmp_path):
    write(tmp_path / name, columns)
    with pytest.raises(ValueError, match=message):
        read_cells(tmp_path / name, system)


def test_other_misuse_is_explained(files, system, tmp_path, capsys):
    for given, message in (
        ({}, "neither is given"),
        ({"cells": files[0], "population": "wide"}, "both are given"),
        ({"population": "wide"}, "n is missing"),
        ({"cells": files[0], "param_ranges": {"G0": (1, 2)}}, "G0 is a column of the cells"),
        ({"cells": files[0], "dt_range": (2, 1)}, "time steps are of 2..1"),
    ):
        with pytest.raises(ValueError, match=message):
            make_labels(system, tmp_path / "a.h5", **SETTINGS | given)
    command = "labels ism-atomic --split test --seed 0 --rtol 1e-3 --quiet".split()
    assert cli.main([*command, "--out", str(tmp_path / "a.h5"), "--cells", str(tmp_path / "none.h5")]) == 1
    assert "none.h5: there is no such file of cells" in capsys.readouterr().err


def test_files_do_not_lead_elsewhere(system, columns, tmp_path):
    """Numbers that lie in another file are not fetched from there."""
    columns["T"].tofile(tmp_path / "raw")
    write_h5(tmp_path / "a.h5", {name: values for name, values in columns.items() if name != "T"})
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.create_dataset("T", (N,), float, external=[(str(tmp_path / "raw"), 0, 8 * N)])
    with pytest.raises(ValueError, match="kept in another file"):
        read_cells(tmp_path / "a.h5", system)


@pytest.mark.torch
def test_a_net_is_trained_on_own_cells(files, tmp_path, system, columns, monkeypatch):
    """Alone and with labels that vary nothing: parameters become inputs, also one that all of the cells agree in."""
    pytest.importorskip("torch", reason="the nets need PyTorch: pip install 'stiff-surrogate[training]'")
    from surrogate.training.fit.config import TrainConfig
    from surrogate.training.fit.pairs import read_pairs
    from surrogate.training.fit.trainer import Trainer
    from surrogate.training.nets import NetConfig
    from surrogate.training.nets.trained import load_model

    monkeypatch.chdir(tmp_path)
    np.savez("bright.npz", **columns | {"zeta": np.array(1e-15)})
    settings = {"rtol": 1e-4, "seed": 0, "progress": False}
    make_labels(system, "own.h5", cells="bright.npz", split="train", dts=3, **settings)
    make_labels(system, "check.h5", cells="bright.npz", split="calibrate", **settings)
    make_labels(system, "wide.h5", population="wide", split="train", n=300, **settings)
    g0 = tuple(np.sort(columns["G0"])[[0, -1]])
    assert read_pairs(["own.h5"], system).inputs == {"zeta": (3e-17, 1e-15), "G0": g0}
    own = next(p.value for p in system.parameters if p.name == "G0")
    train, check = read_pairs(["own.h5", "wide.h5"], system), read_pairs(["check.h5"], system)
    assert train.inputs == {"zeta": (3e-17, 1e-15), "G0": (own, g0[1])}
    trainer = Trainer(system, train, check, "net.h5", NetConfig(16, 2, (1, 1, 1)), TrainConfig(minutes=1, batch=256))
    losses = []
    for i in range(150):
        trainer.seconds = 0.4 * i  # the schedule follows the clock
        trainer._iterate()
        losses.append(trainer.sums["supervised"])
    assert np.diff(losses)[-20:].mean() < 0.97 * np.diff(losses)[:20].mean()
    trainer._save_model()
    assert load_model("net.h5", system)[0].encoding.inputs == train.inputs
