"""The benchmarks: each runs at its smallest size, and the pages say what the records say."""

import importlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import surrogate
from benchmarks import contenders, readme_tables
from benchmarks.cases import make_case
from benchmarks.errors import P99, QUANTILES, worst_errors
from surrogate.launch import find_mpiexec

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = {
    "solver_cost": ["--no-opponents"],
    "accuracy_vs_cost": ["--no-opponents"],
    "cost_variance": ["--no-opponents"],
    "surrogate_accuracy": [],
    "rollout_drift": [],
    "hydro_drift": [],
    "calibration": [],
    "trust": [],
    "net_calls": [],
    "training_cost": [],
    "routing": ["--rtol", "0.1"],
    "net_kernel": [],
    "memory": [],
    "grackle_cost": [],
    "strong_scaling": [],
    "weak_scaling": [],
    "load_balance": [],
    "balance_simulation": [],
    "hodgkin_huxley": ["--only", "ours", "no physics"],
    "label_free": ["--general", "ism-atomic", "--ingredients"],
    "pinn_methods": ["--only", "vanilla"],
}
#: what some need beyond the extras `test` and `training`
NEEDS = {
    "grackle_cost": (lambda: find_spec("gracklepy"), "Grackle is not installed (pip install gracklepy)"),
    **dict.fromkeys(
        ("strong_scaling", "weak_scaling", "load_balance", "balance_simulation"),
        (find_mpiexec, "MPI is not installed (pip install 'stiff-surrogate[mpi]')"),
    ),
}


@pytest.fixture
def core():
    """Scripts bind the process to one core: give it back."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    yield
    if allowed:
        os.sched_setaffinity(0, allowed)


@pytest.mark.benchmark
@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("name", SCRIPTS)
def test_quick_run(name, tmp_path, capsys):
    is_there, reason = NEEDS.get(name, (lambda: True, ""))
    if not is_there():
        pytest.skip(reason)
    record = tmp_path / "record.json"
    importlib.import_module(f"benchmarks.{name}").main(["--quick", "--json", str(record), *SCRIPTS[name]])
    written = json.loads(record.read_text())
    assert {"machine", "compiler", "commit", "command"} < written.keys()
    assert "nan" not in capsys.readouterr().out.lower()


def test_list_of_questions():
    listed = subprocess.run([sys.executable, "-m", "benchmarks"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in SCRIPTS:
        assert f"  {name} " in listed.stdout
    assert "timing" not in listed.stdout


@pytest.mark.parametrize("page", readme_tables.PAGES, ids=lambda page: page.parent.name)
def test_pages_agree_with_records(page):
    text = page.read_text()
    assert readme_tables.MARKED.search(text), "no marked table: the test would test nothing"
    assert readme_tables.fill(text) == text, "run `make tables`"


def test_cost_at_equal_error():
    def row(us, error):
        errors = [error] * len(QUANTILES)
        return {"us": us, "errors": errors}

    rows = [row(100.0, 1e-4), row(10.0, 1e-2), row(50.0, 3e-3)]
    assert contenders.cost_at(rows, 1e-2) == pytest.approx(10.0)
    assert contenders.cost_at(rows, 1e-4) == pytest.approx(100.0)
    assert contenders.cost_at(rows[:2], 1e-3) == pytest.approx(np.sqrt(1000.0))
    assert contenders.cost_at(rows, 1.0) == pytest.approx(10.0), "no cheaper than its loosest row"
    assert contenders.cost_at(rows, 1e-5) is None
    assert contenders.cost_at([*rows, row(80.0, 5e-3)], 5e-3) < 50.0, "what is beaten does not count"


def test_case_knows_its_reference():
    model = surrogate.load("ism-molecular")
    cells = np.tile([6.4e-1, 1e-3, 6.2e1, 6.2e-1, 2.6e1, 2.6e-1, 7e-2, 1e1, 1e-1, 1e3], (4, 1))
    case = make_case(model, "one", cells, np.geomspace(1e9, 1e12, 4))
    assert case.noise[-1] < 1e-6 < case.nothing[P99]
    assert worst_errors(case.reference, case.reference).max() == 0
    assert worst_errors(cells, case.reference).shape == (4,)
