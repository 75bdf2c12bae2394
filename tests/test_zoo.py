"""The shipped models, as a simulation uses them."""

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training.populations import draw, draw_params, wide

import surrogate
from benchmarks.errors import relative_errors, worst_errors
from surrogate import Status

YEAR = 3.1536e7


def _error(cells, truth):
    return np.quantile(relative_errors(cells, truth), 0.99)


@pytest.mark.parametrize("rtol", [1e-2, 1e-1])
def test_errors_of_successive_steps_do_not_add_up(rtol):
    """100 steps of 10,000 years: never beyond three times the tolerance that the first step kept."""
    model = surrogate.load("ism-molecular")
    net, exact = model.stepper(rtol=rtol), model.stepper(rtol=1e-5, net=False)
    cells = wide(get_system("ism-molecular"), 300, seed=11)[0]
    truth, taken = cells.copy(), 0
    for _ in range(100):
        taken += net.step(cells, 1e4 * YEAR).counts["net"]
        exact.step(truth, 1e4 * YEAR)
        assert _error(cells, truth) < 3 * rtol
    assert taken > 0


@pytest.mark.parametrize(("name", "share"), [("ism-molecular", 0.5), ("ism-atomic", 0.6)])
def test_net_takes_most_cells_at_a_tenth_and_keeps_it(name, share):
    model = surrogate.load(name)
    cells, dt = wide(get_system(name), 2000, seed=12)
    truth = cells.copy()
    report = model.stepper(rtol=0.1).step(cells, dt)
    model.stepper(rtol=1e-6, net=False).step(truth, dt)
    assert report.counts["net"] > share * len(dt)
    assert _error(cells, truth) < 0.1


@pytest.mark.parametrize("name", ["ism-molecular", "ism-atomic"])
def test_net_takes_cells_in_any_field_and_keeps_it(name):
    """Each cell with parameters of its own, an eighth of the cells without each, on gas that has just changed."""
    model, system = surrogate.load(name), get_system(name)
    ranges = {"zeta": (0, 1e-18, 1e-14), "G0": (0, 1e-3, 1e3), "Z": (0, 0.01, 3), "d2g": (0, 0.01, 3), "clump": (1, 10)}
    n, names = 4000, [p.name for p in system.parameters]
    params = {k: x.copy() for k, x in zip(names, draw_params(system, n, 15, ranges).T) if k in ranges}
    solver = model.stepper(rtol=1e-6, net=False)
    cells, dt = draw("stepped", system, n, 15, lambda cells, dt: solver.step(cells, dt, params=params))
    truth = cells.copy()
    report = model.stepper(rtol=0.1).step(cells, dt, params=params)
    solver.step(truth, dt, params=params)
    taken = report.status == Status.NET
    assert taken.mean() > 0.25 and report.counts["outside"] < 0.05 * n
    assert (worst_errors(cells, truth)[taken] <= 0.1).mean() > 0.985
    some = model.stepper(rtol=0.1).step(cells[:100], dt[:100], params={"G0": 2e3})
    assert some.counts["outside"] == 100 and some.outside["G0"] > 80


def test_cells_of_a_running_simulation_are_solved_exactly():
    """Short steps near equilibrium take the solver two attempts; there the net has no say."""
    model = surrogate.load("ism-molecular")
    step = model.stepper(rtol=1e-3, net=False).step
    cells, _ = draw("relaxed", get_system("ism-molecular"), 1000, 13, step)
    step(cells, 1e7 * YEAR)
    report = model.stepper(rtol=1e-2).step(cells, 100 * YEAR)
    assert report.counts["solver"] > 950 and report.cost.mean() < 2.0


@pytest.mark.parametrize("name", ["ism-molecular", "ism-atomic"])
def test_models_of_one_start_follow_it_and_solve_all_else(name):
    model, system = surrogate.load(f"{name}-single"), get_system(name)
    cells, dt = draw("single", system, 1000, 14)
    truth = cells.copy()
    report = model.stepper(rtol=1e-2).step(cells, dt)
    model.stepper(rtol=1e-6, net=False).step(truth, dt)
    assert report.counts["net"] > 900 and np.abs(cells / truth - 1)[:, -1].max() < 1e-2
    other, dt = wide(system, 100, seed=15)
    assert (model.stepper(rtol=1e-2).step(other, dt).status == Status.OUTSIDE).all()


def test_selftests_pass():
    for model in surrogate.models().values():
        assert model.selftest() < 1e-10


def test_one_liner_needs_cells_and_time_alone():
    cells = wide(get_system("ism-molecular"), 50, seed=16)[0]
    same = cells.copy()
    report = surrogate.step(cells, 1e4 * YEAR)
    surrogate.load("ism-molecular").stepper(rtol=1e-2).step(same, 1e4 * YEAR)
    assert report.n_cells == 50 and np.array_equal(cells, same)


@pytest.mark.parametrize("name", ["ism-molecular", "ism-atomic"])
@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_gas_denser_or_thinner_than_any_trained_is_solved(name, factor):
    """The net was trained on 0.01 to 1000 cm^-3; some cold cells of a simulation beyond that do not open the rest."""
    cells, dt = wide(get_system(name), 500, seed=17)
    edge = {10.0: 1e3, 0.1: 1e-2}[factor]
    cells[:, :-1] *= factor * edge / cells[:, :-1].sum(1, keepdims=True)
    report = surrogate.load(name).stepper(rtol=0.3).step(cells, dt)
    assert (report.status == Status.OUTSIDE).all()


def test_net_takes_cells_in_single_precision():
    """Whose parameters are the model's own as far as single precision goes."""
    cells, dt = wide(get_system("ism-molecular"), 1000, seed=18)
    single, steps = cells.astype(np.float32), dt.astype(np.float32)
    double = single.astype(float)
    stepper = surrogate.load("ism-molecular").stepper(rtol=0.1)
    expected, report = stepper.step(double, steps.astype(float)), stepper.step(single, steps)
    assert report.counts["net"] == expected.counts["net"] > 500
    np.testing.assert_array_equal(single, double.astype(np.float32))


def _readme(temperature):
    """The cells of the README's first example."""
    n = np.geomspace(1e-2, 1e3, 400)
    cells = np.empty((len(n), 10))
    cells[:, :9] = n[:, None] * [0, 1e-10, 0.99, 0.01, 0.1071, 1e-4, 1e-10, 1e-6, 1e-10]
    cells[:, 0] = cells[:, [3, 5, 6, 6, 8]].sum(1) - cells[:, 1]
    cells[:, 9] = temperature
    return cells, 3.1536e12


def _atomic(temperature):
    """What a host's first step looks like: atoms, a tenth of them ionised, and nothing else at all."""
    n = np.geomspace(1e-2, 1e3, 400)
    cells = np.zeros((len(n), 10))
    cells[:, :6] = n[:, None] * [0, 0, 0.9, 0.1, 0.0964, 0.0107]
    cells[:, 0] = cells[:, 3] + cells[:, 5]
    cells[:, 9] = temperature
    return cells, np.geomspace(3.2e8, 3.1e13, len(n))


@pytest.mark.parametrize("rtol", [0.1, 0.03, 0.01])
@pytest.mark.parametrize(
    ("start", "temperature"), [(_readme, 3000.0), (_readme, 1e5), *((_atomic, t) for t in (1e2, 1e3, 1e4, 1e5, 7e5))]
)
def test_what_the_net_takes_of_cells_it_has_not_seen_is_within_the_tolerance(start, temperature, rtol):
    """None of these is like the cells of the training; what is taken all the same must be right in 99 % of cells."""
    model = surrogate.load("ism-molecular")
    cells, dt = start(temperature)
    truth = cells.copy()
    model.stepper(rtol=1e-6, net=False).step(truth, dt)
    report = model.stepper(rtol=rtol).step(cells, dt)
    taken = report.status == Status.NET
    assert (report.status < Status.MASKED).all()
    assert not taken.any() or (worst_errors(cells, truth)[taken] <= rtol).mean() >= 0.99
