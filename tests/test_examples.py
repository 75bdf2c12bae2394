"""The example programs; those in C and Fortran are run by ctest."""

import importlib.util
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

EXAMPLES = ROOT / "bindings" / "examples"


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


GUIDE = """
program guide
  use, intrinsic :: iso_c_binding
  use surrogate
  implicit none
  character(len=4), parameter :: species(9) = ['e-  ', 'H-  ', 'H   ', 'H+  ', 'He  ', 'He+ ', 'He++', 'H2  ', 'H2+ ']
  integer, parameter :: nx = 8, j = 1
  real(c_double) :: q(13, nx, 1), dt = 1
  integer(c_int32_t) :: code
  integer(c_int8_t) :: status(nx)
  integer :: k
  {declaration}
  q = 0 ! in units of the hydrogen mass, cm^-3, and 1.6e-8 erg/cm^3
  q(4, :, 1) = 1.2e-4_c_double
  q(5:13, :, 1) = spread([5.4e-5_c_double, 1e-9_c_double, 0.9_c_double, 0.1_c_double, 0.4_c_double, 1e-6_c_double, &
    1e-9_c_double, 1e-4_c_double, 1e-9_c_double], 2, nx)
  {statements}
  print *, code, maxval(status), trim(chemistry%message())
end program
"""


@pytest.mark.fortran
def test_fortran_of_the_guide(tmp_path):
    """The lines in bindings/README.md, in a program that has what they mention."""
    compiler = shutil.which("gfortran")
    if not compiler:
        pytest.skip("gfortran is not installed")
    (block,) = re.findall(r"```fortran\n(.*?)```", (ROOT / "bindings" / "README.md").read_text(), re.S)
    declaration, statements = block.split("\n", 1)
    (tmp_path / "guide.f90").write_text(GUIDE.format(declaration=declaration, statements=statements))
    config = [sys.executable, "-m", "surrogate", "config"]
    source, libs = (
        subprocess.run([*config, option], capture_output=True, text=True, check=True).stdout.split()
        for option in ("--fortran-source", "--libs")
    )
    subprocess.run([compiler, *source, "guide.f90", *libs, "-o", "guide"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "guide"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\s*0\s+[0-4]\s*", done.stdout), done.stdout
