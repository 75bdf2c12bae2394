"""The audit keeps the promise in the user's own run: a net that is wrong too often there is trusted less."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import surrogate
from surrogate.coverage import Coverage

ROOT = Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def liar(tmp_path_factory, cc):
    """The toy model with a net that says 0.02 and is off by 1 %, or, in cells hotter than 300 K, by 50 %."""
    directory = tmp_path_factory.mktemp("liar")
    source = (ROOT / "tests" / "c" / "toy_model.c").read_text()
    honest = "end[3 * c] *= 1.01001;"
    assert honest in source
    (directory / "liar.c").write_text(source.replace(honest, "end[3 * c] *= y[3 * c + 2] > 300.0 ? 1.5 : 1.01001;"))
    flags = [f"-I{ROOT / 'bindings' / 'kernel'}", "-DTOY_NET", "-O2", "-shared", "-fPIC"]
    subprocess.run([cc, *flags, directory / "liar.c", "-o", directory / "liar.so", "-lm"], check=True)
    return surrogate.load(directory / "liar.so")


def cells_of(n, hot):
    """Cells for the net, the share `hot` of which it is wrong about."""
    state = np.column_stack([1e-3 * RNG.uniform(0.5, 1.5, (n, 2)), np.where(RNG.random(n) < hot, 400.0, 100.0)])
    return state, np.full(n, 100.0)


def test_an_honest_net_is_trusted(liar):
    stepper = liar.stepper(rtol=0.1, audit=0.2)
    for _ in range(20):
        report = stepper.step(*cells_of(500, 0.0))
    assert stepper.trust == report.coverage.trust == 1.0
    assert report.coverage.wrong == 0 and 1500 < report.coverage.audited < 2500
    assert report.coverage.share == 1.0 and report.coverage.bound > 0.998
    assert "within rtol" in str(report)


def test_hostile_cells_change_half_way(liar):
    """At most 1 % of the audited cells are wrong in the long run, and what the rule needs to learn it."""
    stepper = liar.stepper(rtol=0.1, audit=0.2)
    shares = []
    for step in range(120):
        report = stepper.step(*cells_of(500, 0.3 if 20 <= step < 70 else 0.0))
        shares.append(report.fraction_accepted)
    coverage = report.coverage
    assert coverage.wrong <= 0.01 * coverage.audited + 0.7 / 0.05 + 30, "0.7 decades from 0.1 down to 0.02, 0.05 each"
    assert np.mean(shares[:20]) > 0.7 and min(shares[25:70]) == 0.0, "nothing is taken of what cannot be told apart"
    assert np.mean(shares[-10:]) > 0.7, "trusted again, as what lies just beyond the limit is right"


def test_trust_is_the_state_of_a_run(liar):
    """A run that goes on from a restart file repeats bit by bit."""
    lots = [cells_of(400, 0.3) for _ in range(12)]

    def run(stepper, part):
        result = []
        for state, dt in part:
            cells = state.copy()
            report = stepper.step(cells, dt)
            result.append((cells, report.status, stepper.trust))
        return result

    whole = run(liar.stepper(rtol=0.1, audit=0.1), lots)
    second = liar.stepper(rtol=0.1, audit=0.1)
    second.trust = whole[5][2]
    assert second.trust < 1.0
    for (cells, status, trust), (again, status_again, trust_again) in zip(whole[6:], run(second, lots[6:])):
        assert np.array_equal(cells, again) and np.array_equal(status, status_again) and trust == trust_again


def test_threads_and_batches_learn_the_same(liar):
    state, dt = cells_of(5000, 0.1)
    ends = []
    for threads in (1, 2, 3):
        stepper = liar.stepper(rtol=0.1, audit=0.3, threads=threads)
        cells = [state.copy() for _ in range(3)]
        trusts = [(stepper.step(x, dt), stepper.trust)[1] for x in cells]
        ends.append((cells, trusts))
    for cells, trusts in ends[1:]:
        assert np.array_equal(cells, ends[0][0]) and trusts == ends[0][1]


def test_without_audit_nothing_is_learned(liar):
    stepper = liar.stepper(rtol=0.1)
    report = stepper.step(*cells_of(500, 1.0))
    assert report.coverage is None and stepper.trust == 1.0


def test_misuse(liar):
    stepper = liar.stepper(rtol=0.1)
    for bad in (0.0, -1.0, 1.5, np.nan):
        with pytest.raises(ValueError, match="trust"):
            stepper.trust = bad
    with pytest.raises(ValueError, match="coverage is 1.5"):
        liar.stepper(rtol=0.1, coverage=1.5)


def test_bound_of_coverage():
    """Wilson's one-sided bound: 990 of 1000 (hand calculation with z = 1.6449)."""
    assert Coverage(1000, 10, 1.0).bound == pytest.approx(0.98335, abs=2e-4)
    assert np.isnan(Coverage(0, 0, 1.0).bound)
