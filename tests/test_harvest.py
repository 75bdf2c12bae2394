"""The harvest of a run from Python: which cells, that they come as they were, and the file, whole at any time.

The file is its own MPI program: pytest starts it under mpiexec, where it calls `on_ranks`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import surrogate
from surrogate import harvest as harvest_module
from surrogate.launch import find_mpiexec, run_ranks

N = 20_000


@pytest.fixture(scope="module")
def model(toys):
    """The toy model with a net: outside from 1000 K on, cheap from 500 K on, and asked at 100 K."""
    return surrogate.load(toys / "toy_net.so")


def make_cells(n=N):
    """Cells of which three in five are for the net or outside, and their time steps."""
    c = np.arange(n)
    temperature = np.choose(c % 5, [2000.0, 700.0, 100.0, 100.0, -1.0])
    return np.column_stack([1 + 1e-3 * c, np.full(n, 2.0), temperature]), 10 + 1e-6 * c


def read(*paths):
    """Rows of harvest files in ascending order: A, B, T, dt, rate, cooling."""
    rows = []
    for path in paths:
        with h5py.File(path, "r") as file:
            assert list(file) == sorted(["A", "B", "T", "dt", "rate", "cooling"])
            rows.append(np.column_stack([file[name][:] for name in ("A", "B", "T", "dt", "rate", "cooling")]))
    rows = np.concatenate(rows)
    return rows[np.argsort(rows[:, 0], kind="stable")]


def harvest(model, path, *, share=0.1, batch=N, cells=None, **options):
    cells, dt = (x.copy() for x in (cells or make_cells()))
    stepper = model.stepper(rtol=0.1, harvest=share, harvest_file=path, **options)
    reports = [
        stepper.step(cells[i : i + batch], dt[i : i + batch], params={"rate": 2e-3})
        for i in range(0, len(cells), batch)
    ]
    stepper.harvest.write()
    return cells, reports


def test_cells_are_kept_as_they_came(model, tmp_path):
    start, dt = make_cells()
    end, reports = harvest(model, tmp_path / "run.h5", share=1.0)
    rows = read(tmp_path / "run.h5")
    wanted = np.isin(start[:, 2], [2000.0, 100.0])  # neither bad nor cheap
    np.testing.assert_array_equal(rows[:, :3], start[wanted])
    np.testing.assert_array_equal(rows[:, 3], dt[wanted])
    assert (rows[:, 4] == 2e-3).all() and (rows[:, 5] == model.parameters[1].value).all()
    assert sum(r.harvest.cells for r in reports) == wanted.sum() and str(reports[-1].harvest) in str(reports[-1])

    expected, share = wanted.sum(), 0.1
    some = harvest(model, tmp_path / "some.h5", share=share)[1][0].harvest
    assert abs(some.cells - share * expected) < 4 * np.sqrt(share * (1 - share) * expected)

    plain = make_cells()[0]
    model.stepper(rtol=0.1).step(plain, dt, params={"rate": 2e-3})
    np.testing.assert_array_equal(end, plain)


def test_masked_cells_are_not_kept_and_all_are_without_a_net(model, tmp_path):
    cells, dt = make_cells()
    stepper = model.stepper(rtol=0.1, net=False, harvest=1.0, harvest_file=tmp_path / "run.h5")
    report = stepper.step(cells, dt, mask=np.arange(N) < N // 2)
    assert report.harvest.cells == (cells[N // 2 :, 2] > 0).sum()


@pytest.mark.parametrize("options", [{"threads": 3}, {"batch": 777}, {"threads": 3, "batch": 4096, "audit": 0.3}])
def test_same_cells_in_any_way(model, tmp_path, options):
    harvest(model, tmp_path / "one.h5")
    harvest(model, tmp_path / "other.h5", **options)
    one = read(tmp_path / "one.h5")
    assert len(one) > 1000
    np.testing.assert_array_equal(one, read(tmp_path / "other.h5"))


@pytest.mark.mpi
def test_same_cells_on_any_ranks(model, tmp_path):
    if find_mpiexec() is None:
        pytest.skip("MPI is not installed: pip install 'stiff-surrogate[mpi]'")
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    arguments = [__file__, str(model.path), str(tmp_path / "run.h5")]
    done = run_ranks(3, arguments, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    harvest(model, tmp_path / "one.h5")
    files = sorted(tmp_path.glob("run.*.h5"))
    assert [f.name for f in files] == ["run.0.h5", "run.1.h5", "run.2.h5"]
    np.testing.assert_array_equal(read(*files), read(tmp_path / "one.h5"))


def on_ranks(library, path):
    """A third of the cells each, in shares of different length."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    cells, dt = make_cells()
    own = slice(comm.rank**2 * N // 9, (comm.rank + 1) ** 2 * N // 9)
    stepper = surrogate.load(library).stepper(rtol=0.1, comm=comm, harvest=0.1, harvest_file=path)
    report = stepper.step(cells[own], dt[own], params={"rate": 2e-3})
    stepper.harvest.write()
    with h5py.File(stepper.harvest.path) as file:
        assert report.harvest.held == len(file["dt"])
    assert report.harvest.cells == comm.allreduce(report.harvest.held)


def test_full_file_stays_a_sample_of_the_run(model, tmp_path, monkeypatch):
    monkeypatch.setattr(harvest_module, "MOST_CELLS", 200)
    monkeypatch.setattr(harvest_module, "PAUSE", 0.0)
    reports = harvest(model, tmp_path / "run.h5", share=1.0, batch=500)[1]
    rows = read(tmp_path / "run.h5")
    place = (rows[:, 0] - 1) * 1e3 / N
    assert len(rows) == reports[-1].harvest.held == 200 and "full" in str(reports[-1])
    assert len(np.unique(place)) == 200 and abs(place.mean() - 0.5) < 4 / np.sqrt(12 * 200)
    with pytest.raises(ValueError, match="holds 200 cells already, 10 are allowed"):
        harvest_module.HarvestFile(model, tmp_path / "run.h5", 10)


WRITER = """
import sys, surrogate
from surrogate import harvest
from test_harvest import make_cells
harvest.PAUSE, harvest.PART = 0.0, 1.0
stepper = surrogate.load(sys.argv[1]).stepper(rtol=0.1, harvest=0.5, harvest_file=sys.argv[2])
print("begun", flush=True)
while True:
    cells, dt = make_cells()
    stepper.step(cells, dt)
"""


def test_killed_writer_leaves_a_whole_file_that_is_continued(model, tmp_path):
    path, before = tmp_path / "run.h5", 0
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    for i in range(2):
        command = [sys.executable, "-c", WRITER, model.path, path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as run:
            run.stdout.readline()
            time.sleep(0.2 + 0.013 * i)
            run.send_signal(signal.SIGKILL)
        rows = read(path)
        assert len(rows) > before
        before = len(rows)


def test_what_waits_is_written_at_the_end(model, tmp_path):
    code = WRITER.replace("harvest.PAUSE, harvest.PART = 0.0, 1.0", "harvest.PAUSE = 1e9").replace(
        "while True:", "for i in range(3):"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", code, model.path, tmp_path / "run.h5"], check=True, env=environment)
    rows = read(tmp_path / "run.h5")
    assert len(rows) > 1000 and (np.unique(rows[:, 0], return_counts=True)[1] == 3).all()


def test_two_runs_do_not_share_a_file(model, tmp_path):
    cells, dt = make_cells()
    steppers = [model.stepper(rtol=0.1, harvest=0.1, harvest_file=tmp_path / "run.h5") for _ in range(2)]
    steppers[0].step(cells.copy(), dt)
    with pytest.warns(RuntimeWarning, match="another run has written it"):
        report = steppers[1].step(cells.copy(), dt)
    assert "another run" in report.harvest.note and len(read(tmp_path / "run.h5")) == steppers[0].harvest._held


@pytest.mark.parametrize(
    "options, match",
    [
        ({"harvest": 1e-3}, "give both"),
        ({"harvest_file": "run.h5"}, "give both"),
        ({"harvest": 1e-3, "harvest_file": "run.csv"}, "ends in .h5"),
        ({"harvest": 1e-3, "harvest_file": "nowhere/run.h5"}, "no such directory"),
        ({"harvest": 2.0, "harvest_file": "run.h5"}, r"share to harvest is 2: give 0\.\.1"),
        ({"harvest": 1e-3, "harvest_file": "text.h5"}, "no harvest: name another"),
        ({"harvest": 1e-3, "harvest_file": "other.h5"}, "cells of another model"),
    ],
)
def test_misuse(model, tmp_path, monkeypatch, options, match):
    monkeypatch.chdir(tmp_path)
    Path("text.h5").write_text("mine")
    with h5py.File("other.h5", "w") as file:
        file["dt"] = file["X"] = np.zeros(3)
    with pytest.raises(ValueError, match=match):
        model.stepper(rtol=0.1, **options)


def test_one_liner(model, tmp_path):
    cells, dt = make_cells(1000)
    report = surrogate.step(cells, dt, model=model.path, rtol=0.1, harvest=1.0, harvest_file=tmp_path / "run.h5")
    assert report.harvest.cells == 600


if __name__ == "__main__":
    on_ranks(*sys.argv[1:])
