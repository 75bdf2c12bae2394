"""The stiff solver: published solutions, order, conservation, robustness, independence of the batch."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from surrogate.training.codegen import numba_functions
from surrogate.training.populations import relaxed, wide
from surrogate.training.systems.network import MYR, YEAR, abundances

from benchmarks.errors import relative_errors, worst_errors
from surrogate import Status

# Bari/CWI test set for initial value problem solvers (Mazzia & Magherini); reproduced with Radau at rtol 1e-11
ROBER_T, ROBER_Y = 1e11, [0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050]
POLLU_T = 60.0
POLLU_Y = [
    0.5646255480022769e-1,
    0.1342484130422339,
    0.4139734331099427e-8,
    0.5523140207484359e-2,
    0.2018977262302196e-6,
    0.1464541863493966e-6,
    0.7784249118997964e-1,
    0.3245075353396018,
    0.7494013383880406e-2,
    0.1622293157301561e-7,
    0.1135863833257075e-7,
    0.2230505975721359e-2,
    0.2087162882798630e-3,
    0.1396921016840158e-4,
    0.8964884856898295e-2,
    0.4352846369330103e-17,
    0.6899219696263405e-2,
    0.1007803037365946e-3,
    0.1772146513969984e-5,
    0.5682943292316392e-4,
]


def _advance(model, cells, dt, rtol, **options):
    cells = np.array(cells, float)
    return cells, model.stepper(rtol=rtol, net=False, **options).step(cells, dt)


@pytest.mark.parametrize(("name", "t", "expected"), [("robertson", ROBER_T, ROBER_Y), ("pollu", POLLU_T, POLLU_Y)])
def test_published_solution_is_met(name, t, expected, build):
    system, model = build(name)
    cells, report = _advance(model, system.initial[None, :], t, 1e-9, atol_frac=1e-22)
    assert report.status[0] == Status.SOLVER
    np.testing.assert_allclose(cells[0], expected, rtol=1e-6)


def test_measured_order_is_five(build):
    """Global error against the number of steps on the smooth periodic toy: slope within 0.3 of the nominal order.

    The step is adaptive, so the tolerance takes the place of h: error ~ steps^-5.
    """
    system, model = build("toy-periodic")
    start = system.initial[None, :]
    reference, _ = _advance(model, start, 4.0, 1e-12, atol_frac=1e-14)
    steps, errors = [], []
    for rtol in np.geomspace(1e-4, 1e-9, 11):
        cells, report = _advance(model, start, 4.0, rtol, atol_frac=rtol)
        steps.append(report.solver_steps)
        errors.append(np.abs(cells - reference).max())
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope - 5) < 0.3, f"measured order {slope:.2f}"


@pytest.mark.parametrize("c", [1.0, 100.0, 1e4])
def test_explicit_time_follows_the_exact_solution(c, build):
    """y' = C (sin t - y), y(0) = 1, in two calls: the second starts at t = 1."""
    _, model = build("relax-forced")
    stepper, cells = model.stepper(rtol=1e-9, net=False), np.ones((1, 1))
    for t in (0.0, 1.0):
        stepper.step(cells, 1.0, params={"t": t, "C": c})
    exact = c**2 / (c**2 + 1) * (np.sin(2) - np.cos(2) / c) + (1 + c / (c**2 + 1)) * np.exp(-2 * c)
    assert cells[0, 0] == pytest.approx(exact, rel=1e-7)


@pytest.mark.parametrize("c", 10.0 ** np.arange(-20, 11, 5))
def test_rates_from_1e_minus_20_to_1e10_per_second(c, build):
    """First-step selection: y' = -C y over 3/C, whatever C."""
    _, model = build("decay-linear")
    stepper, cells = model.stepper(rtol=1e-6, atol_frac=1e-12, net=False), np.ones((1, 1))
    report = stepper.step(cells, 3.0 / c, params={"C": c})
    assert cells[0, 0] == pytest.approx(np.exp(-3), rel=1e-5)
    assert report.solver_steps < 60


@pytest.mark.parametrize(("gamma", "c"), [(-2 / 3, 27.636016), (0.0, 29.203782), (2.0, 31.702257)])
def test_freeze_out_from_a_jacobian_of_5e9(gamma, c, build):
    """W at x = 5e4 for the interaction strengths that give the same relic density in three cosmologies.

    Strengths from Radau at 1e-11 with the K&T constants (W_f = -26.1586 to the digits of C).
    """
    system, model = build("freeze-out-constant")
    cells = system.initial[None, :].copy()
    report = model.stepper(rtol=1e-9, net=False).step(cells, np.log(5e4), params={"C": c, "gamma": gamma})
    assert report.status[0] == Status.SOLVER
    assert cells[0, 0] == pytest.approx(-26.1586, abs=2e-6)


def test_hodgkin_huxley_fires_with_the_known_period(build):
    """Limit cycle at I = 10 uA/cm^2: 14.636 ms (from an independent integration at rtol 1e-10)."""
    system, model = build("hodgkin-huxley")
    stepper, cells, dt = model.stepper(rtol=1e-8, net=False), system.initial[None, :].copy(), 0.01
    voltage = []
    for _ in range(12000):
        stepper.step(cells, dt)
        voltage.append(cells[0, 0])
    v = np.array(voltage)
    up = np.flatnonzero((v[:-1] < 0) & (v[1:] >= 0))
    crossings = up + -v[up] / (v[up + 1] - v[up])
    assert np.diff(crossings)[-3:] * dt == pytest.approx(14.6362, abs=2e-3)


@pytest.fixture(scope="module")
def wide_cells(build):
    system, _ = build("ism-molecular")
    return wide(system, 10_000, seed=101)


@pytest.mark.parametrize("rtol", [1e-1, 1e-2, 1e-4])
def test_wide_cells_conserve_stay_positive_and_never_fail(rtol, build, wide_cells):
    system, model = build("ism-molecular")
    start, dt = wide_cells
    cells, report = _advance(model, start, dt, rtol)
    assert (report.status == Status.SOLVER).all()
    assert (cells[:, :-1] >= 0).all()
    assert (cells[:, -1] >= 2.73).all()
    laws = np.array(list(system.conserved.values()))
    before, after = start @ laws.T, cells @ laws.T
    assert np.abs(after[:, :2] / before[:, :2] - 1).max() < 1e-12
    charges = np.abs(laws[2]) * cells  # relative to what carries the charge
    assert (np.abs(after - before)[:, 2] <= 1e-12 * charges.sum(1)).all()


def test_one_million_years_in_steps_conserves(build, wide_cells):
    system, model = build("ism-molecular")
    cells = wide_cells[0].copy()
    stepper = model.stepper(rtol=1e-2, threads=2, net=False)
    for _ in range(20):
        assert (stepper.step(cells, MYR / 20).status == Status.SOLVER).all()
    laws = np.array(list(system.conserved.values()))[:2]
    assert np.abs((cells @ laws.T) / (wide_cells[0] @ laws.T) - 1).max() < 1e-12


@pytest.mark.parametrize("n", [100])
def test_tight_solution_agrees_with_radau(n, build, wide_cells):
    """Our solver at 1e-8 against SciPy's Radau at 1e-11 with the numba right-hand side."""
    system, model = build("ism-molecular")
    start, dt = wide_cells[0][:n], wide_cells[1][:n]
    rhs, jacobian = numba_functions(system)
    p = system.parameter_values
    reference = np.array(
        [
            solve_ivp(
                lambda t, y: rhs(t, y, p),
                (0, step),
                y,
                "Radau",
                jac=lambda t, y: jacobian(t, y, p),
                rtol=1e-11,
                atol=1e-20 * y.sum(),
            ).y[:, -1]
            for y, step in zip(start, dt)
        ]
    )
    cells, _ = _advance(model, start, dt, 1e-8)
    assert relative_errors(cells, reference).max() < 1e-6


def test_incurred_error_follows_the_tolerance(build, wide_cells):
    """99 % of 1e5 errors stay below rtol/3, 99.9 % below rtol; the rest are cells at a thermal instability."""
    _, model = build("ism-molecular")
    start, dt = wide_cells
    reference, _ = _advance(model, start, dt, 1e-8, atol_frac=1e-20)
    for rtol in (1e-1, 1e-2, 1e-3):
        cells, _ = _advance(model, start, dt, rtol)
        errors = relative_errors(cells, reference)
        assert np.quantile(errors, 0.99) < rtol / 3, rtol
        assert np.quantile(errors, 0.999) < rtol, rtol
        assert errors.max() < 20 * rtol, rtol


def test_relaxed_population_is_cheap(build):
    system, model = build("ism-molecular")
    stepper = model.stepper(rtol=1e-2, net=False)
    cells, dt = relaxed(system, 2000, 5, lambda cells, age: stepper.step(cells, age))
    report = stepper.step(cells, dt)
    assert (report.status == Status.SOLVER).all()
    assert report.solver_steps / 2000 < 12


@pytest.mark.parametrize("rtol", [1e-1, 1e-2])
def test_displaced_traces_do_not_make_for_short_steps(rtol, build):
    """As after a hydro step: traces a little off their balance decay at once, in gas that takes long to change."""
    system, model = build("ism-molecular")
    stepper = model.stepper(rtol=1e-4, net=False)
    cells, _ = relaxed(system, 200, 4, stepper.step)
    stepper.step(cells, 10 * MYR)
    names, charges = system.names, system.conserved["charge"]
    for name in ("H-", "H2+"):
        added = 0.3 * rtol * cells[:, names.index(name)]
        cells[:, names.index(name)] += added
        cells[:, names.index("e-")] += charges[names.index(name)] * added
    end, report = _advance(model, cells, 1000 * YEAR, rtol)
    assert np.mean(report.cost == 1) > 0.95
    reference, _ = _advance(model, cells, 1000 * YEAR, 1e-8)
    assert np.quantile(worst_errors(end, reference), 0.99) < rtol


def test_result_is_bitwise_independent_of_batch_order_and_threads(build, wide_cells):
    _, model = build("ism-molecular")
    start, dt = wide_cells[0][:1500], wide_cells[1][:1500]
    whole, _ = _advance(model, start, dt, 1e-2)
    for threads in (2, 3):
        assert np.array_equal(_advance(model, start, dt, 1e-2, threads=threads)[0], whole)
    order = np.random.default_rng(0).permutation(1500)
    assert np.array_equal(_advance(model, start[order], dt[order], 1e-2)[0], whole[order])
    stepper = model.stepper(rtol=1e-2, net=False)
    pieces = start.copy()
    for first, last in ((0, 1), (1, 8), (8, 41), (41, 1500)):
        stepper.step(pieces[first:last], dt[first:last])
    assert np.array_equal(pieces, whole)


def test_bad_cells_do_not_disturb_their_neighbours(build, wide_cells):
    _, model = build("ism-molecular")
    start, dt = wide_cells[0][:64].copy(), wide_cells[1][:64].copy()
    whole, _ = _advance(model, start, dt, 1e-2)
    broken = start.copy()
    bad = {3: (0, np.nan), 10: (2, np.inf), 17: (7, -1.0), 30: (9, -5.0), 31: (9, 1e12), 40: (9, 0.0)}
    for c, (k, value) in bad.items():
        broken[c, k] = value
    broken[50, :-1] = 0.0
    bad[50] = None
    before = broken.copy()
    cells, report = _advance(model, broken, dt, 1e-2)
    good = np.setdiff1d(np.arange(64), list(bad))
    assert (report.status[list(bad)] == Status.BAD_INPUT).all()
    assert np.array_equal(cells[list(bad)], before[list(bad)], equal_nan=True)
    assert np.array_equal(cells[good], whole[good])


def test_cell_that_exceeds_its_steps_fails_untouched(build, wide_cells):
    _, model = build("ism-molecular")
    start, dt = wide_cells[0][:200], wide_cells[1][:200]
    whole, _ = _advance(model, start, dt, 1e-4)
    cells, report = _advance(model, start, dt, 1e-4, max_solver_steps=100)
    failed = report.status == Status.FAILED
    assert 0 < failed.sum() < 200
    assert np.array_equal(cells[failed], start[failed])
    assert np.array_equal(cells[~failed], whole[~failed])


@pytest.mark.parametrize("isa", ["base", "v3"])
def test_instruction_sets_agree(isa, build, wide_cells):
    """Different rounding (FMA or not) may tip a step decision: agreement is to the tolerance, not bitwise."""
    _, model = build("ism-molecular")
    start, dt = wide_cells[0][:500], wide_cells[1][:500]
    reference, _ = _advance(model, start, dt, 1e-6)
    cells, _ = _advance(model, start, dt, 1e-6, isa=isa)
    assert relative_errors(cells, reference).max() < 1e-4


def test_tiny_and_huge_steps(build):
    """From a millisecond to 1e10 years in one call."""
    system, model = build("ism-molecular")
    start, _ = wide(system, 200, seed=3)
    for dt in (1e-3, 1e3 * YEAR, 1e4 * MYR):
        cells, report = _advance(model, start, dt, 1e-2)
        assert (report.status == Status.SOLVER).all()
        assert np.isfinite(cells).all()


@pytest.mark.parametrize(
    ("preset", "d2g", "expected"), [("corrected", 0.3, 5.5), ("corrected", 1.0, 8.6), ("krome2016", 0.3, 0.019)]
)
def test_molecular_hydrogen_of_the_reference_cell(preset, d2g, expected, build):
    """n(H2) after 1 Myr of the reference paper's single cell (n = 100 cm^-3, T = 1000 K).

    The values, given to two digits, are those of an independent integration of the same rates with SciPy; the
    published fit of reaction G11 (krome2016) destroys the molecules.
    """
    system, model = build("ism-molecular", preset=preset)
    fractions = {
        "H": 0.6241,
        "H-": 0.001,
        "H2": 0.104,
        "He": 0.26,
        "H+": 0.0062,
        "H2+": 0.001,
        "He+": 0.0026,
        "He++": 0.0007,
    }
    cells = abundances(system, 100.0, fractions)[None, :]
    cells[0, -1] = 1000.0
    model.stepper(rtol=1e-6, net=False).step(cells, MYR, params={"d2g": d2g})
    assert cells[0, system.names.index("H2")] == pytest.approx(expected, rel=0.03)
