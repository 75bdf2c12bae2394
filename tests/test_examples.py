"""The example programs; those in C and Fortran are run by ctest."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "bindings" / "examples"


def test_python_example():
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "python" / "advance.py"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert re.search("one cell: status [0124],", done.stdout) and "100000 cells" in done.stdout


PYCLAW = """
import sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
import numpy as np
import pyclaw_shock as host

state, names, reports = host.run(64, 20.0)
q = state.q
velocity, pressure = host.primitive(q)
temp = pressure / (host.K_B * q[host.SPECIES:].sum(axis=0))
mass = np.array([host.MASS[name] for name in names]) @ q[host.SPECIES:]
assert all(r.counts["bad input"] + r.counts["failed"] == 0 for r in reports) and len(reports) > 20
assert 20 < q[0].max() / q[0].min() < 100, "the shock cools and is nearly isothermal"
assert q[host.SPECIES:].min() > 0 and abs(mass / q[0] - 1).max() < 1e-12

# the stepper writes into PyClaw's own array, which is in Fortran order
stepper = host.surrogate.load("ism-molecular").stepper(rtol=0.1)
cells = np.column_stack([*q[host.SPECIES:], temp])
own = np.asfortranarray(q)
stepper.step(cells, 1e9)
host.make_source(stepper, names, [])(None, SimpleNamespace(q=own), 1e9)
assert np.array_equal(own[host.SPECIES:], cells[:, :-1].T)
host.main(32, 2.0)
"""


@pytest.mark.skipif(
    not importlib.util.find_spec("clawpack"), reason="PyClaw is not installed: pip install 'stiff-surrogate[pyclaw]'"
)
def test_pyclaw_host(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PYCLAW, EXAMPLES / "python"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "us/cell" in done.stdout


def test_hydro_pictures(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    import numpy as np

    np.concatenate([[4.0], np.linspace(0, 1, 64)]).tofile(tmp_path / "blast.dat")
    script = EXAMPLES / "hydro" / "plot.py"
    subprocess.run([sys.executable, "-W", "error", script, "blast.dat"], cwd=tmp_path, check=True)
    assert (tmp_path / "blast.png").stat().st_size > 1000
