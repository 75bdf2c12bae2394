"""The solver says what is right, or that it does not know: cases in which solvers answer wrongly without a word.

References are exact, or SciPy's on the generated right-hand side in Python or numba.
"""

import json

import numpy as np
import pytest
import sympy as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from surrogate.training import get_system
from surrogate.training.codegen import numba_functions
from surrogate.training.codegen.library import export_model
from surrogate.training.populations import wide
from surrogate.training.systems import Parameter, System, Variable, symbol
from surrogate.training.systems.expressions import fexp, maximum, number
from surrogate.training.systems.mass_action import mass_action

import surrogate
from surrogate import Status

FLAGGED = Status.MASKED
RTOLS = (1e-1, 1e-2, 1e-4)


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """``make(system) -> Model``, compiled once."""
    models = {}

    def make_(system):
        if system.name not in models:
            models[system.name] = surrogate.load(export_model(system, tmp_path_factory.mktemp(system.name)))
        return models[system.name]

    return make_


def advance(model, cells, dt, rtol, params=None, **options):
    """New cells and their statuses; `params` one row of numbers in the model's order."""
    cells = np.array(cells, dtype=float)
    named = {p.name: float(value) for p, value in zip(model.parameters, params)} if params is not None else None
    return cells, model.stepper(rtol=rtol, net=False, **options).step(cells, dt, params=named)


# ---- growth ---------------------------------------------------------------------------------------------------------


def autocatalysis():
    return mass_action("autocatalysis", "AX", [("A + X -> X + X", 1.0)], {"A": 1.0}, (1e-8, 1.0))


@pytest.mark.parametrize("seed", [1e-3, 1e-10, 1e-14, 1e-16, 1e-20, 1e-25])
@pytest.mark.parametrize("rtol", RTOLS)
def test_what_grows_is_not_damped(rtol, seed, make):
    """A + X -> 2 X from any seed, far below the absolute tolerance too: X = 1/(1 + (1/seed - 1) e^-t) of 1."""
    model, times = make(autocatalysis()), np.array([0.3, 1.0, 5.0, 10.0, 20.0, 40.0, 70.0, 1e3, 1e6])
    cells, report = advance(model, np.tile([1.0 - seed, seed], (len(times), 1)), times, rtol)
    exact = 1 / (1 + (1 / seed - 1) * np.exp(-np.minimum(times, 700)))
    assert (report.status < FLAGGED).all()
    np.testing.assert_allclose(cells[:, 1], exact, rtol=10 * rtol)


def test_what_is_absent_stays_absent(make):
    """Without a seed nothing grows, however long, and that costs nothing."""
    cells, report = advance(make(autocatalysis()), [[1.0, 0.0]], 1e6, 1e-4)
    assert cells.tolist() == [[1.0, 0.0]] and report.cost[0] == 1


def test_hot_helium_cools(build):
    """n(He) = 1e6, T = 5e5 K, 1e10 s: thermally unstable on the way. SciPy's Radau has 920.30 K."""
    system, model = build("ism-molecular")
    cell = np.zeros((1, 10))
    cell[0, [system.names.index("He"), -1]] = 1e6, 5e5
    for rtol in RTOLS:
        cells, report = advance(model, cell, 1e10, rtol)
        assert report.status[0] < FLAGGED and cells[0, -1] == pytest.approx(920.30, rel=rtol)


# ---- explicit time --------------------------------------------------------------------------------------------------


def day_and_night():
    """A' = -1e-5 max(0, -cos(2 pi t/86400)) A: nothing at midnight, exp(-0.864/pi) a day."""
    sun = maximum(sp.Integer(0), -sp.cos(number(2 * np.pi / 86400) * sp.Symbol("t", real=True)))
    return System(
        "day",
        (Variable("A", lower=0.0, floor=0.0),),
        (-number("1e-5") * sun * symbol("A"),),
        parameters=(Parameter("t"),),
    )


def pulse(clock):
    """A' = -exp(-(t - 10)^2) A, with time explicit, or as a variable of its own."""
    t = symbol("z") if clock else sp.Symbol("t", real=True)
    rate = -fexp(-((t - 10) ** 2)) * symbol("A")
    a = Variable("A", lower=0.0, floor=0.0)
    if clock:
        return System("pulse-clock", (a, Variable("z")), (rate, sp.Integer(1)))
    return System("pulse", (a,), (rate,), parameters=(Parameter("t"),))


@pytest.mark.parametrize(
    ("rtol", "options"), [(1e-1, {}), (1e-2, {}), (1e-4, {"max_step": 1800.0}), (1e-6, {"max_step": 900.0})]
)
def test_the_sun_that_rises_within_a_step_is_seen(rtol, options, make):
    """The kinks at dawn and dusk cost digits at 1e-4 and below, which `max_step` brings back."""
    model = make(day_and_night())
    for days in (1, 3):
        cells, _ = advance(model, [[1.0]], days * 86400.0, rtol, **options)
        assert cells[0, 0] == pytest.approx(np.exp(-0.864 * days / np.pi), rel=10 * rtol)


@pytest.mark.parametrize("c", [0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-8])
def test_forcing_that_is_the_same_at_both_ends_of_a_step(rtol, c, build):
    """y' = C (sin t - y) from t = pi/2, y = 1, where y' = 0, over whole and half periods."""
    _, model = build("relax-forced")

    def forced(t):
        return c * (c * np.sin(t) - np.cos(t)) / (c**2 + 1)

    for periods in (0.5, 1, 2, 10):
        dt = 2 * np.pi * periods
        cells, start = np.ones((1, 1)), np.pi / 2
        model.stepper(rtol=rtol, net=False).step(cells, dt, params={"C": c, "t": start})
        exact = forced(start + dt) + (1 - forced(start)) * np.exp(-c * dt)
        assert cells[0, 0] == pytest.approx(exact, rel=10 * rtol, abs=rtol)


@pytest.mark.parametrize("rtol", RTOLS)
@pytest.mark.parametrize("clock", [False, True])
def test_a_pulse_in_the_middle_of_a_step_is_seen(clock, rtol, make):
    cells, _ = advance(make(pulse(clock)), [[1.0, 0.0][: 1 + clock]], 20.0, rtol)
    assert cells[0, 0] == pytest.approx(np.exp(-np.sqrt(np.pi)), rel=10 * rtol)


def test_max_step_shows_what_no_solver_can_see(make):
    """A pulse of width 1 somewhere in 1e4: per stepper, per call, per cell; results do not depend on the batch."""
    model = make(pulse(clock=False))
    kept, dt, exact = 1.0, 1e4, np.exp(-np.sqrt(np.pi))
    assert advance(model, [[kept]], dt, 1e-4)[0][0, 0] == pytest.approx(1.0)  # lost: nothing looks there
    assert advance(model, [[kept]], dt, 1e-4, max_step=0.5)[0][0, 0] == pytest.approx(exact, rel=1e-3)
    stepper, cells = model.stepper(rtol=1e-4, net=False), np.ones((3, 1))
    stepper.step(cells, dt, max_step=np.array([0.5, np.inf, 1.0]))
    np.testing.assert_allclose(cells[:, 0], [exact, 1.0, exact], rtol=1e-3)
    for bad in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=f"max_step is {bad}: give a positive time"):
            stepper.step(cells, dt, max_step=bad)
    assert stepper.step(cells, dt, max_step=np.array([1.0, -1.0, np.nan])).status.tolist() == [
        Status.SOLVER,
        Status.BAD_INPUT,
        Status.BAD_INPUT,
    ]


# ---- units ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1.0, 1e12])
def test_amounts_of_any_size(unit, make):
    """A -> B: what counts as nothing follows from the cell."""
    model = make(mass_action("decay", "AB", [("A -> B", 1.0)], {"A": 1.0}, (1e-8, 1.0)))
    for rtol in RTOLS:
        cells, _ = advance(model, [[unit, 0.0]], 3.0, rtol)
        np.testing.assert_allclose(cells[0], [unit * np.exp(-3), unit * (1 - np.exp(-3))], rtol=10 * rtol)


def test_a_chain_reaction_in_small_units(make):
    """X + Y -> 2 Y (1e13), Y -> Z (2000) from (1e-8, 1e-14, 0) over 1e-3; SciPy's Radau."""
    model = make(mass_action("chain", "XYZ", [("X + Y -> Y + Y", 1e13), ("Y -> Z", 2000.0)], {}, (1e-8, 1.0)))

    def rhs(t, y):
        return [-1e13 * y[0] * y[1], 1e13 * y[0] * y[1] - 2000 * y[1], 2000 * y[1]]

    expected = solve_ivp(rhs, (0, 1e-3), [1e-8, 1e-14, 0.0], "Radau", rtol=1e-10, atol=1e-24).y[:, -1]
    for rtol in RTOLS:
        cells, _ = advance(model, [[1e-8, 1e-14, 0.0]], 1e-3, rtol)
        np.testing.assert_allclose(cells[0, 1:], expected[1:], rtol=10 * rtol)
        assert cells[0, 0] < 1e-10 * 1e-8


def test_signed_variables_of_any_size(make):
    """An oscillator that starts at zero, in units from 1e-20 to 1e20: the range it moves over is its scale."""
    x, v = symbol("x"), symbol("v")
    model = make(System("oscillator", (Variable("x"), Variable("v")), (v, -x)))
    for unit in (1e-20, 1.0, 1e20):
        cells, report = advance(model, [[0.0, unit]], 2.0, 1e-4)
        np.testing.assert_allclose(cells[0] / unit, [np.sin(2), np.cos(2)], rtol=1e-3)
        assert report.cost[0] < 60


# ---- costs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [1e13, 1e15, 1e18, 1e20])
def test_robertson_at_late_times(t, build):
    """B = 0.04 A/1e4 keeps up and A' = -3e7 B^2 = -4.8e-4 A^2, so that A = 2083.3/t; in a few hundred attempts."""
    system, model = build("robertson")
    for rtol in RTOLS:
        cells, report = advance(model, system.initial[None, :], t, rtol, atol_frac=1e-30)
        assert report.status[0] < FLAGGED and report.cost[0] < 500
        assert cells[0, 0] * t == pytest.approx(2083.33, rel=10 * rtol)


@pytest.mark.parametrize(("n", "settled"), [(1e10, 1e14), (1e14, 1e9)])
def test_dense_gas_for_a_hubble_time(n, settled, build):
    """No metals, no dust, 3e17 s: the rates of fast reactions exceed 1/dt by more than a double has digits.

    The gas has settled long before, by a time that SciPy's Radau still reaches.
    """
    system, model = build("ism-molecular", metals="none")
    fractions = {"H": 0.76, "He": 0.06, "H+": 1e-4, "e-": 1e-4, "H2": 1e-6}
    cell = np.array([[n * fractions.get(name, 0.0) for name in system.names]])
    cell[0, -1] = 1000.0
    values = dict(zip((p.name for p in system.parameters), system.parameter_values)) | {"Z": 0.0, "d2g": 0.0}
    rhs, jacobian = numba_functions(system)
    p = np.array(list(values.values()))
    run = solve_ivp(
        lambda t, y: rhs(t, y, p),
        (0, settled),
        cell[0],
        "Radau",
        jac=lambda t, y: jacobian(t, y, p),
        rtol=1e-8,
        atol=1e-12 * n,
    )
    counted = [system.names.index(k) for k in ("H", "He", "H2", "T")]
    for rtol in (1e-2, 1e-4, 1e-6):
        cells, report = advance(model, cell, 3e17, rtol, values.values())
        assert report.status[0] < FLAGGED and report.cost[0] < 500
        np.testing.assert_allclose(cells[0][counted], run.y[counted, -1], rtol=1e-3)


@pytest.mark.parametrize("start", [{"H2+": 1e6}, {"H-": 2e6, "He++": 1e6}, {"H+": 1e6, "He": 1e5}])
def test_cells_out_of_charge_balance(start, build):
    """Without electrons, or of ions of both signs: it takes tens of attempts, and the charge is kept."""
    system, model = build("ism-molecular")
    cell = np.array([[start.get(name, 0.0) for name in system.names]])
    cell[0, -1] = 1e4
    charge = np.array(system.conserved["charge"])
    for rtol in (1e-1, 1e-2):
        cells, report = advance(model, cell, 3e10, rtol)
        assert report.status[0] < FLAGGED and report.cost[0] < 200
        assert cells[0] @ charge == pytest.approx(cell[0] @ charge, rel=1e-12, abs=1e-12 * cell.max())


def test_charge_of_traces_is_kept(build):
    """H = 0.2 in He = 1e10 at 5e4 K: electrons below the absolute tolerance belong to the charge all the same."""
    system, model = build("ism-molecular")
    cell = np.zeros((1, 10))
    cell[0, [system.names.index("H"), system.names.index("He"), -1]] = 0.2, 1e10, 5e4
    charge = np.array(system.conserved["charge"])
    for rtol in RTOLS:
        cells, _ = advance(model, cell, 316.0, rtol)
        assert abs(cells[0] @ charge) <= 1e-12 * (np.abs(charge) @ cells[0])


def test_temperatures_below_the_floor_do_not_jump(build):
    """Gas of 1.5 K is not set to 2.73 K at once."""
    _, model = build("ism-molecular")
    cells, dt = wide(get_system("ism-molecular"), 8, seed=2)
    cells[:, -1] = 1.5
    _, report = advance(model, cells, 1.0, 1e-2)
    end, _ = advance(model, cells, 1.0, 1e-2)
    assert (report.status < FLAGGED).all() and (end[:, -1] < 1.6).all() and (end[:, -1] >= 1.5).all()


@pytest.mark.parametrize("preset", ["krome2016", "literal"])
def test_rates_that_step_stall_few_cells_and_not_for_long(preset, build):
    """The published H+ + H2 rate starts as a step at 100 K, where cells may slide along it."""
    system, model = build("ism-molecular", preset=preset)
    cells, dt = wide(system, 20_000, seed=7)
    end, report = advance(model, cells, dt, 1e-2, threads=2)
    stuck = report.status >= FLAGGED
    assert stuck.sum() <= 5 and (report.status[stuck] == Status.STALLED).all()
    assert np.array_equal(end[stuck], cells[stuck]) and report.cost.max() < 2000


def test_a_cell_that_cannot_move_is_given_up_soon(make):
    """y' = 1e12 below 1, -1e12 above: y stays at 1, and every step across is wrong."""
    from surrogate.training.systems.expressions import where_lt

    y = symbol("y")
    model = make(System("sliding", (Variable("y"),), (where_lt(y, sp.Integer(1), number(1e12), number(-1e12)),)))
    cells, report = advance(model, [[0.0], [0.5]], [2.0, 1e-13], 1e-2)
    assert report.status.tolist() == [Status.STALLED, Status.SOLVER] and report.counts["stalled"] == 1
    stepper, kept = model.stepper(rtol=1e-2, net=False), np.array([[0.0], [0.5]])
    (culprit,) = stepper.failures(kept, [2.0, 1e-13], stepper.step(kept, [2.0, 1e-13]))
    assert culprit["cell"] == {"y": 0.0} and culprit["inputs"] == {"dt": 2.0} and culprit["status"] == "stalled"
    assert json.loads(json.dumps(culprit)) == culprit and culprit["system_hash"] == model.info["system_hash"]
    assert cells[0, 0] == 0.0 and cells[1, 0] == pytest.approx(0.6) and 100 < report.cost[0] < 2000


# ---- any system -----------------------------------------------------------------------------------------------------


def linear():
    names = [f"y{i}" for i in range(4)]
    rhs = [sp.Add(*(symbol(f"a{i}{j}") * symbol(names[j]) for j in range(4))) for i in range(4)]
    parameters = tuple(Parameter(f"a{i}{j}") for i in range(4) for j in range(4))
    return System("linear", tuple(Variable(name) for name in names), tuple(rhs), parameters=parameters)


ORDERS = np.array([1, 1, 1, 2, 2, 1, 2, 2, 1, 2, 2, 2])


def kinetics():
    """Twelve reactions of five species, two of them autocatalytic, with any coefficients."""
    equations = (
        "A -> B",
        "B -> A",
        "B -> C",
        "A + B -> C + D",
        "C + C -> D + A",
        "D -> A",
        "A + X -> X + X",
        "B + X -> D",
        "X -> C",
        "D + X -> X + C",
        "C + D -> A + A",
        "B + B -> B + C",
    )
    one = mass_action("kinetics", "ABCDX", [(e, 1.0) for e in equations], {}, (1e-8, 1.0))
    rates = tuple((name, symbol(f"k{i}") * rate) for i, (name, rate) in enumerate(one.definitions))
    parameters = tuple(Parameter(f"k{i}", value=1.0) for i in range(len(equations)))
    return System("kinetics", one.variables, one.rhs, definitions=rates, parameters=parameters)


SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["any", "compartments", "growing", "oscillating"]))
def test_linear_systems_against_the_exponential(make, seed, kind):
    """Within 10 rtol of the largest value on the way, in any units, or flagged."""
    rng, n = np.random.default_rng(seed), 4
    if kind == "any":
        a = rng.normal(size=(n, n)) * 10 ** rng.uniform(-6, 6)
    elif kind == "compartments":
        a = 10 ** rng.uniform(-8, 8, (n, n)) * (rng.random((n, n)) < 0.6)
        np.fill_diagonal(a, 0)
        a -= np.diag(a.sum(0))
    elif kind == "growing":
        v, rates = rng.normal(size=(n, n)), -(10 ** rng.uniform(-4, 8, n))
        rates[0] = 10 ** rng.uniform(-3, 0)
        a = v @ np.diag(rates) @ np.linalg.inv(v)
    else:
        a = np.zeros((n, n))
        for b in (0, 2):
            w = 10 ** rng.uniform(-2, 2)
            a[b : b + 2, b : b + 2] = np.array([[-0.01 * w, w], [-w, -0.01 * w]])
        q, _ = np.linalg.qr(rng.normal(size=(n, n)))
        a = q @ a @ q.T
    start = rng.normal(size=n) * 10 ** rng.uniform(-20, 20)
    values = np.linalg.eigvals(a)
    dt = 10 ** rng.uniform(-2, 6) / np.abs(values).max()
    dt = min(dt, 15 / max(values.real.max(), 1e-300), 30 / max(np.abs(values.imag).max(), 1e-300))
    way = np.array([expm(a * dt * x) @ start for x in np.linspace(0, 1, 33)])
    for rtol in (1e-1, 1e-3, 1e-6):
        cells, report = advance(make(linear()), [start], dt, rtol, a.ravel())
        assert report.status[0] >= FLAGGED or (np.abs(cells[0] - way[-1]) <= 20 * rtol * np.abs(way).max(0)).all(), rtol


@pytest.fixture(scope="module")
def kinetics_in_python():
    return numba_functions(kinetics())


@SETTINGS
@given(seed=st.integers(0, 10**6))
def test_kinetics_against_lsoda_in_any_units(make, kinetics_in_python, seed):
    """Species above 1e-10 of the total within 10 rtol, whatever the unit of density, or flagged."""
    rhs, jacobian = kinetics_in_python
    rng = np.random.default_rng(seed)
    k = 10 ** rng.uniform(-3, 5, len(ORDERS)) * (rng.random(len(ORDERS)) < 0.7)
    start = 10 ** rng.uniform(-18, 0, 5) * (rng.random(5) < 0.7)
    start[0] = max(start[0], 10 ** rng.uniform(-3, 0))
    dt, unit = 10 ** rng.uniform(-4, 4), 10 ** rng.uniform(-12, 12)
    run = solve_ivp(
        lambda t, y: rhs(t, y, k), (0, dt), start, "LSODA", jac=lambda t, y: jacobian(t, y, k), rtol=1e-10, atol=1e-25
    )
    expected = run.y[:, -1]
    counted = expected > 1e-10 * expected.sum()
    for rtol in (1e-1, 1e-3, 1e-6):
        cells, report = advance(make(kinetics()), [start * unit], dt, rtol, k * unit ** (1 - ORDERS))
        error = np.abs(cells[0][counted] / unit / expected[counted] - 1)
        assert report.status[0] >= FLAGGED or (error <= 20 * rtol).all(), rtol


# ---- around the solver ----------------------------------------------------------------------------------------------


def test_selftest_knows_terms_of_either_sign(make):
    """Production and loss of signed terms may cancel, or be negative: their magnitudes are the scale of round-off."""
    x, v = symbol("x"), symbol("v")
    rhs = (number("1e8") * x - number("1e8") * v, -number("1e8") * x + v)
    variables = (Variable("x", sample=(-1.0, 1.0)), Variable("v", sample=(-1.0, 1.0)))
    assert make(System("signed", variables, rhs)).selftest() < 1e-10


def test_a_species_needs_a_mass():
    with pytest.raises(ValueError, match="X is a species of mass 0.0 g: give the mass of a particle"):
        Variable("X", "cm^-3", lower=0.0, floor=0.0, role="species")
    with pytest.raises(ValueError, match="X: scale is 'mean': give a number, 'total' or 'range'"):
        Variable("X", scale="mean")


def test_no_radiation_is_the_limit_of_little(build):
    """Grain recombination is largest where the field vanishes."""
    system, model = build("ism-molecular")
    cells, dt = wide(system, 50, seed=9)
    ends = []
    for field in (0.0, 1e-30, 1e-20):
        ends.append(cells.copy())
        assert (model.stepper(rtol=1e-6, net=False).step(ends[-1], dt, params={"G0": field}).status < FLAGGED).all()
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(ends[0], ends[2], rtol=1e-4, atol=1e-12)
