"""Label files: right, whatever the processes, whatever the interruptions; and errors that say what is wrong."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training import populations as pop
from surrogate.training.labels import load_labels, make_labels

import surrogate
from surrogate import Status, cli

ARRAYS = ("start", "dt", "end", "status", "params")

#: a user's solver, y' = -C y, and one that counts its calls in a file to be killed at one of them
USER = """
import os
import numpy as np

def decay(cells, dt, params=None):
    if (count := os.environ.get("LABELS_CALLS")) is not None:
        with open(count, "a") as file:
            file.write("x")
    return cells * np.exp(-(params["C"] if params else 100.0) * dt)[:, None]

def decay_until_one(cells, dt):
    return np.where(dt[:, None] > 0.02, np.nan, decay(cells, dt))
"""
DECAY = {
    "population": "box",
    "n": 500,
    "dts": 3,
    "split": "train",
    "seed": 4,
    "dt_range": (1e-3, 0.1),
    "chunk": 64,
    "advance": "user_solver:decay",
    "progress": False,
}


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Directory with user_solver.py, importable here and in subprocesses."""
    (tmp_path / "user_solver.py").write_text(USER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield tmp_path
    sys.modules.pop("user_solver", None)


def assert_same(a, b):
    for name in ARRAYS:
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None), name
        if x is not None:
            assert x.tobytes() == y.tobytes(), name


def test_labels_are_what_the_stepper_gives(tmp_path):
    settings = {"population": "wide", "n": 300, "dts": 3, "split": "test", "seed": 0, "chunk": 256, "progress": False}
    labels = make_labels("ism-molecular", tmp_path / "a.h5", rtol=1e-4, **settings)
    system = get_system("ism-molecular")
    assert labels.end.shape == (300, 3, 10) and labels.params is None and np.all(labels.status == Status.SOLVER)
    assert labels.meta["system_hash"] == system.hash and labels.meta["variables"] == list(system.names)
    start, dt = pop.draw("wide", system, 256, pop.seed_of("test", 0, 0))
    np.testing.assert_array_equal(labels.start[:256], start)
    assert np.all(np.any(labels.dt[:256] == dt[:, None], axis=1)) and np.all(np.diff(labels.dt) > 0)

    stepper = surrogate.load("ism-molecular").stepper(rtol=1e-4, net=False)
    cells, before = labels.start.copy(), 0.0
    for k in range(3):
        stepper.step(cells, labels.dt[:, k] - before)
        before = labels.dt[:, k]
        np.testing.assert_array_equal(labels.end[:, k], cells)
    direct = labels.start.copy()
    stepper.step(direct, labels.dt[:, 2])
    counted = direct > 1e-10 * direct[:, :-1].sum(1, keepdims=True)
    assert np.quantile(np.abs(labels.end[:, 2] / direct - 1)[counted], 0.99) < 1e-3


@pytest.mark.parametrize("population", ["relaxed", "hydro"])
def test_evolved_populations(population, tmp_path):
    labels = make_labels(
        "ism-atomic",
        tmp_path / "a.h5",
        population=population,
        n=100,
        dts=2,
        rtol=1e-3,
        split="calibrate",
        seed=1,
        progress=False,
    )
    step = surrogate.load("ism-atomic").stepper(rtol=1e-3, atol_frac=1e-13, net=False).step
    start, _ = pop.draw(population, get_system("ism-atomic"), 100, pop.seed_of("calibrate", 1), step)
    np.testing.assert_array_equal(labels.start, start)
    assert np.all(labels.status == Status.SOLVER)


def test_parameters_vary_also_while_cells_relax(tmp_path):
    labels = make_labels(
        "ism-atomic",
        tmp_path / "a.h5",
        population="relaxed",
        n=64,
        rtol=1e-3,
        split="train",
        seed=0,
        param_ranges={"G0": (0.1, 10)},
        progress=False,
    )
    names = labels.meta["parameters"]
    params = dict(zip(names, labels.params.T))
    assert 0.1 <= params["G0"].min() < 1 < params["G0"].max() <= 10 and labels.meta["param_ranges"] == "G0=0.1:10.0"
    stepper = surrogate.load("ism-atomic").stepper(rtol=1e-3, net=False)
    start, _ = pop.draw(
        "relaxed",
        get_system("ism-atomic"),
        64,
        pop.seed_of("train", 0),
        lambda cells, dt: stepper.step(cells, dt, params=params),
    )
    np.testing.assert_array_equal(labels.start, start)
    stepper.step(start, labels.dt[:, 0], params=params)
    np.testing.assert_array_equal(labels.end[:, 0], start)


def test_user_solver_and_explicit_time(tmp_path):
    """y' = C (sin t - y), solved exactly: right only if every call starts where the one before ended."""

    def advance(cells, dt, params):
        c, t = params["C"], params["t"]
        forced = [c * (c * np.sin(x) - np.cos(x)) / (c**2 + 1) for x in (t, t + dt)]
        return (forced[1] + (cells[:, 0] - forced[0]) * np.exp(-c * dt))[:, None]

    settings = {
        "population": "box",
        "n": 50,
        "split": "test",
        "seed": 0,
        "dt_range": (0.1, 5),
        "advance": advance,
        "param_ranges": {"C": (0.5, 2), "t": (0, 1)},
        "progress": False,
    }
    labels = make_labels("relax-forced", tmp_path / "a.h5", dts=4, **settings)
    params = dict(zip(labels.meta["parameters"], labels.params.T))
    for k in range(4):
        np.testing.assert_allclose(labels.end[:, k], advance(labels.start, labels.dt[:, k], params), rtol=1e-11)
    assert labels.meta["solver"].endswith("advance") and "rtol" not in labels.meta
    with pytest.raises(ValueError, match="cannot be sent to other processes"):
        make_labels("relax-forced", tmp_path / "b.h5", processes=2, **settings)


def test_what_fails_is_nan_from_there_on(user):
    labels = make_labels("decay-linear", user / "a.h5", **DECAY | {"advance": "user_solver:decay_until_one"})
    steps = np.diff(labels.dt, axis=1, prepend=0.0)
    failed = np.logical_or.accumulate(steps > 0.02, axis=1)
    assert 0 < failed.mean() < 1
    np.testing.assert_array_equal(labels.status, np.where(failed, Status.FAILED, Status.SOLVER))
    np.testing.assert_array_equal(np.isnan(labels.end[..., 0]), failed)


def test_processes_do_not_matter(user):
    one = make_labels("decay-linear", user / "1.h5", param_ranges={"C": (10, 100)}, **DECAY)
    two = make_labels("decay-linear", user / "2.h5", param_ranges={"C": (10, 100)}, processes=2, **DECAY)
    assert_same(one, two)
    exact = one.start[:, None] * np.exp(-one.params[:, :1] * one.dt)[..., None]
    np.testing.assert_allclose(one.end, exact, rtol=1e-12)


KILLED = """
import os, signal, sys
import numpy as np
from surrogate.training.labels import make as labels

left = int(sys.argv[2])

def flush(array, original=np.memmap.flush):
    global left
    left -= 1
    if left == 0:  # before or after the numbers reach the disk
        if sys.argv[3] == "after":
            original(array)
        os.kill(os.getpid(), signal.SIGKILL)
    original(array)

np.memmap.flush = flush
labels.make_labels("decay-linear", sys.argv[1], **{settings})
"""


def test_kill_at_any_point_of_a_write_loses_nothing(user):
    """Five flushes per chunk (start, dt, end, status, checksum): die at each of them in turn, go on, compare."""
    path, script = user / "killed.h5", user / "killed.py"
    script.write_text(KILLED.replace("{settings}", repr(DECAY)))
    whole = make_labels("decay-linear", user / "whole.h5", **DECAY)
    n_done = 0
    for left, when in ((3, "before"), (5, "before"), (10, "after"), (14, "before")):
        done = subprocess.run([sys.executable, script, path, str(left), when], check=False)
        assert done.returncode == -signal.SIGKILL
        rows = load_labels(path, partial=True)
        n_done += left // 5 * 64
        assert len(rows.dt) == n_done
        assert rows.end.tobytes() == whole.end[:n_done].tobytes()
        with pytest.raises(ValueError, match=f"has {n_done // 64} of 8 chunks"):
            load_labels(path)
    assert 0 < n_done < 500
    assert_same(make_labels("decay-linear", path, **DECAY), whole)


def test_kill_at_random_moments_loses_nothing(user, monkeypatch):
    """Two processes and their parent, which is killed while they work: they leave with it, and a rerun completes."""
    settings = DECAY | {"n": 6000, "processes": 2}
    path, calls = user / "killed.h5", user / "calls"
    monkeypatch.setenv("LABELS_CALLS", str(calls))
    script = user / "run.py"
    script.write_text(
        "import sys\nfrom surrogate.training.labels import make_labels\n"
        "if __name__ == '__main__':\n"
        f"    make_labels('decay-linear', {str(path)!r}, **{settings})\n"
    )
    rng = np.random.default_rng(1)
    for _ in range(2):
        calls.write_text("")
        run = subprocess.Popen([sys.executable, script], start_new_session=True)
        wait_until(lambda: calls.stat().st_size > 0)
        time.sleep(0.1 * rng.random())
        run.kill()
        assert run.wait() in (-signal.SIGKILL, 0)
        wait_until(partial(no_process_of, run.pid))
    rows = load_labels(path, partial=True)
    assert len(rows.dt) > 0
    monkeypatch.delenv("LABELS_CALLS")
    whole = make_labels("decay-linear", user / "whole.h5", **settings | {"processes": 1})
    assert_same(make_labels("decay-linear", path, **settings | {"processes": 1}), whole)


def wait_until(happens, seconds=30):
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def no_process_of(group):
    """Whether no process of the group runs; zombies, which nobody in a container may reap, do not count."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            return False
    return True


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"n": 499}, "n"),
        ({"dts": 2}, "dts"),
        ({"seed": 5}, "seed"),
        ({"split": "test"}, "split"),
        ({"chunk": 32}, "chunk"),
        ({"dt_range": (1e-3, 0.2)}, "dt_range"),
        ({"param_ranges": {"C": (1, 2)}}, "param_ranges"),
        ({"advance": "user_solver:decay_until_one"}, "solver"),
    ],
)
def test_other_settings_are_refused_by_name(changed, name, user):
    first = make_labels("decay-linear", user / "a.h5", **DECAY)
    before = (user / "a.h5").read_bytes()
    with pytest.raises(ValueError, match=f"was made with {name} = "):
        make_labels("decay-linear", user / "a.h5", **DECAY | changed)
    assert (user / "a.h5").read_bytes() == before
    assert_same(make_labels("decay-linear", user / "a.h5", **DECAY), first)  # the same ones are not


def test_other_systems_and_models_are_refused(user):
    path = user / "a.h5"
    make_labels("decay-linear", path, **DECAY)
    with pytest.raises(ValueError, match="was made with system = 'decay-linear'"):
        make_labels("decay-quadratic", path, **DECAY)
    with pytest.raises(ValueError, match="the labels are of decay-linear"):
        load_labels(path, system=get_system("decay-quadratic"))
    assert load_labels(path, system=get_system("decay-linear")).dt.shape == (500, 3)
    wide = {"population": "wide", "n": 1, "rtol": 1e-3, "split": "test", "seed": 0}
    with pytest.raises(surrogate.ModelError, match="hashes of their equations differ"):
        make_labels(get_system("ism-atomic", preset="literal"), user / "b.h5", **wide)
    with pytest.raises(surrogate.ModelError, match="surrogate export pollu"):
        make_labels("pollu", user / "b.h5", **wide | {"population": "box", "dt_range": (1, 2)})
    assert not (user / "b.h5").exists()


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"n": 0}, ValueError, "n is 0"),
        ({"n": 1e6}, TypeError, "integer"),
        ({"rtol": 1e-3}, ValueError, "leave them"),
        ({"advance": None}, ValueError, "rtol is missing"),
        ({"advance": "user_solver:none"}, ValueError, "user_solver"),
        ({"advance": "nowhere:none"}, ValueError, "module:function"),
        ({"advance": "none"}, ValueError, "module:function"),
        ({"advance": lambda cells, dt: None}, ValueError, "must return the new cells"),
        ({"advance": lambda cells, dt: cells[1:]}, ValueError, "of shape"),
        ({"population": "wide"}, ValueError, "choose box"),
        ({"param_ranges": {"D": (1, 2)}}, ValueError, "no parameter"),
        ({"split": "tset"}, ValueError, "no split"),
        ({"seed": -1}, ValueError, "seed is -1"),
    ],
)
def test_misuse_is_explained(changed, error, message, user):
    with pytest.raises(error, match=message):
        make_labels("decay-linear", user / "a.h5", **DECAY | changed)


def test_damaged_and_foreign_files_are_recognised(user):
    path, copy = user / "a.h5", user / "b.h5"
    make_labels("decay-linear", path, **DECAY)
    (user / "text.h5").write_text("not HDF5")
    copy.write_bytes(path.read_bytes()[:10000])
    for bad in (user / "text.h5", copy):
        with pytest.raises(ValueError, match="is not a label file, or damaged"):
            load_labels(bad)
    with h5py.File(user / "other.h5", "w") as file:
        file["x"] = 1.0
    with pytest.raises(ValueError, match="not one of labels"):
        load_labels(user / "other.h5")
    with pytest.raises(ValueError, match="not one of labels"):
        make_labels("decay-linear", user / "other.h5", **DECAY)
    with pytest.raises(FileNotFoundError):
        load_labels(user / "none.h5")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.attrs.modify("format_version", 3), "format version 3"),
        (lambda file: file.attrs.modify("seed", 5), "attributes are not what was written"),
        (lambda file: file.attrs.modify("n", 501), "where its attributes ask"),
        (lambda file: file.__delitem__("status"), "is damaged: it holds"),
        (lambda file: file.attrs.__delitem__("dts"), "attribute 'dts' is missing"),
    ],
)
def test_damage_inside_is_recognised(damage, message, user):
    make_labels("decay-linear", user / "a.h5", **DECAY)
    with h5py.File(user / "a.h5", "r+") as file:
        damage(file)
    with pytest.raises(ValueError, match=message):
        load_labels(user / "a.h5")


def test_repacked_file_can_be_read(user):
    labels = make_labels("decay-linear", user / "a.h5", **DECAY)
    with h5py.File(user / "a.h5") as old, h5py.File(user / "b.h5", "w") as new:
        new.attrs.update(old.attrs)
        for name, dataset in old.items():
            new.create_dataset(name, data=dataset[()], compression="gzip")
    assert_same(load_labels(user / "b.h5"), labels)


def test_a_second_writer_is_kept_out(user):
    def advance(cells, dt):
        with pytest.raises(ValueError, match="is being written by another process"):
            make_labels("decay-linear", user / "a.h5", **DECAY | {"advance": advance})
        return cells

    make_labels("decay-linear", user / "a.h5", **DECAY | {"advance": advance, "n": 1, "dts": 1})


def test_command_line(user, capsys, monkeypatch):
    monkeypatch.chdir(user)
    arguments = [
        "labels",
        "decay-linear",
        "--population",
        "box",
        "--dt-range",
        "1e-3",
        "0.1",
        "--n",
        "20",
        "--dts",
        "2",
        "--advance",
        "user_solver:decay",
        "--split",
        "train",
        "--seed",
        "4",
        "--out",
        "a.h5",
        "--param",
        "C=10:100",
        "--processes",
        "1",
    ]
    assert cli.main(arguments) == 0
    out, err = capsys.readouterr()
    assert out == "a.h5: 40 labels of decay-linear, 0 failed\n" and "labels/s" in err
    assert load_labels("a.h5").params.shape == (20, 1)
    assert cli.main([*arguments, "--n", "21", "--quiet"]) == 1
    assert "a.h5 was made with n = 20" in capsys.readouterr().err
    assert cli.main([*arguments, "--out", "no/such/a.h5"]) == 1
    assert "no/such/a.h5" in capsys.readouterr().err


def test_import_stays_light():
    code = "import sys, surrogate; assert not {'h5py', 'tqdm', 'scipy', 'sympy', 'mpi4py'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.mpi
@pytest.mark.parametrize("n_ranks", [1, 2])
def test_ranks_do_not_matter(n_ranks, user):
    launcher = shutil.which("mpiexec", path=sysconfig.get_path("scripts")) or shutil.which("mpiexec")
    if not launcher or not importlib.util.find_spec("mpi4py"):
        pytest.skip("MPI is not installed: pip install 'stiff-surrogate[mpi]'")
    environment = os.environ | {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    script = (
        "from surrogate.training.labels import make_labels\n"
        f"make_labels('decay-linear', 'mpi.h5', **{DECAY | {'mpi': True}})"
    )
    done = subprocess.run(
        [launcher, "-n", str(n_ranks), sys.executable, "-W", "error", "-c", script],
        cwd=user,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same(load_labels(user / "mpi.h5"), make_labels("decay-linear", user / "whole.h5", **DECAY))
