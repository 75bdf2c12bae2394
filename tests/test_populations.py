"""Populations: ranges, composition, neutrality, determinism, and splits that never share a seed."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training import populations as pop
from surrogate.training.systems.network import MYR, YEAR

import surrogate
from surrogate import Status

# electrons, H2 and T of the second cell, and the time steps, of wide(system, 3, seed=20)
WIDE_CELL = [21.872266009069328, 9.808029786846527e-05, 213268.64641246008]
WIDE_DT = [5122907233.865779, 36214050354.23555, 632252477375.4873]


@pytest.fixture(scope="module")
def system():
    return get_system("ism-molecular")


@pytest.fixture(scope="module")
def step():
    return surrogate.load("ism-molecular").stepper(rtol=1e-3, net=False).step


def _sum(system, cells, law):
    return cells @ np.array(system.conserved[law])


def _mass(system, cells, law):
    """Mass density of the species that hold an element."""
    members = np.array(system.conserved[law]) > 0
    return cells[:, members] @ np.array([v.mass for v in system.variables])[members]


def test_wide_fills_its_ranges(system):
    cells, dt = pop.draw("wide", system, 4096, 5)
    total, temp = cells[:, :-1].sum(1), cells[:, -1]
    for values, low, high in ((total, 1e-2, 1e3), (temp, 20, 1e6), (dt, 10 * YEAR, MYR)):
        share = np.log(values / low) / np.log(high / low)
        assert 0 <= share.min() < 1e-2 and 1 - 1e-2 < share.max() <= 1
        np.testing.assert_allclose(np.quantile(share, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03)


def test_wide_is_what_it_was(system):
    """Stored at the first release: files of labels depend on it."""
    cells, dt = pop.wide(system, 3, 20)
    np.testing.assert_allclose(cells[1, [0, 7, 9]], WIDE_CELL, rtol=1e-13)
    np.testing.assert_allclose(dt, WIDE_DT, rtol=1e-13)


@pytest.mark.parametrize("of", ["ism-molecular", "ism-atomic"])
def test_composition_and_neutrality(of):
    """Mass fractions of `wide` are X and Y to round-off, and evolving keeps the nuclei; free electrons weigh little."""
    system, step = get_system(of), surrogate.load(of).stepper(rtol=1e-3, net=False).step
    drawn = {name: pop.draw(name, system, 1500, 8, step)[0] for name in ("wide", "relaxed", "hydro")}
    for name, cells in drawn.items():
        assert np.all(cells >= 0) and cells.shape == (1500, len(system.names))
        assert np.all(np.abs(_sum(system, cells, "charge")) <= 1e-14 * cells[:, :-1].sum(1)), name
        fraction = _mass(system, cells, "H") / (_mass(system, cells, "H") + _mass(system, cells, "He"))
        np.testing.assert_allclose(fraction, pop.X, rtol=1e-14 if name == "wide" else 5e-4, err_msg=name)
    ratio = {name: _sum(system, cells, "He") / _sum(system, cells, "H") for name, cells in drawn.items()}
    np.testing.assert_allclose(ratio["relaxed"], ratio["wide"], rtol=1e-12)
    np.testing.assert_allclose(ratio["hydro"], ratio["hydro"][0], rtol=1e-12)
    mass = {v.name: v.mass for v in system.variables}
    assert ratio["hydro"][0] == pytest.approx(pop.Y / mass["He"] / (pop.X / mass["H"]), rel=1e-5)


@pytest.mark.parametrize("of", ["ism-molecular", "ism-atomic"])
def test_hydro_is_what_gas_dynamics_hands_over(of):
    system, step = get_system(of), surrogate.load(of).stepper(rtol=1e-3, net=False).step
    cells, dt = pop.draw("hydro", system, 3000, 3, step)
    low, high = pop.DT_RANGES["hydro"]
    assert low < dt.min() < 1e-2 * dt.max() and dt.max() <= high
    after = cells.copy()
    assert np.all(step(after, dt).status == Status.SOLVER)
    change = np.abs(after / cells - 1)
    temp, minus = cells[:, -1], system.names.index("H-")
    is_quiet, is_ionised = change[:, -1] < 1e-3, cells[:, 0] > 0.1 * cells[:, :-1].sum(1)
    assert is_quiet.mean() > 0.05
    # advection takes traces away from their quasi-steady values; without it 0.1 to 0.6 % of the cells are so
    assert np.mean(change[is_quiet, minus] > 1e-2) > 0.03
    assert np.mean(temp > 1e5) > 0.005  # the hot spots
    assert np.mean((temp > 1.2e4) & (temp < 1e5)) > 0.02  # shocks and mixing: the medium starts below 8000 K
    assert np.mean(is_ionised & (temp < 5e3)) > 0.02
    assert np.mean(cells[:, :-1].sum(1) > 10) > 0.05 and np.mean(cells[:, :-1].sum(1) < 0.1) > 0.05


def test_hydro_takes_further_species(system, step):
    """Those that the demo does not know start from zero and leave the others as they are."""
    names = (*system.names[:-1], "CO", "T")
    known = [k for k, name in enumerate(names) if name != "CO"]

    def advance(cells, dt):
        inner = cells[:, known]
        step(inner, dt)
        cells[:, known] = inner

    cells, dt = pop.hydro(SimpleNamespace(names=names), 300, 1, advance)
    expected = pop.hydro(system, 300, 1, step)
    np.testing.assert_array_equal(cells[:, known], expected[0])
    np.testing.assert_array_equal(dt, expected[1])
    assert not cells[:, -2].any()


def test_hydro_goes_on_where_cells_fail(system):
    """A solver that fails leaves cells as they are."""
    cells, dt = pop.draw("hydro", system, 1000, 2, lambda cells, dt: None)
    assert np.all(np.isfinite(cells)) and np.all(cells >= 0) and np.all(dt > 0)
    ratio = _sum(system, cells, "He") / _sum(system, cells, "H")
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)


@pytest.mark.parametrize(("name", "density"), [("ism-molecular", 100 * 1.0098), ("ism-atomic", 90.4)])
def test_single_is_one_neutral_cell_with_many_time_steps(name, density):
    system = get_system(name)
    cells, dt = pop.draw("single", system, 1000, 0)
    assert np.all(cells == cells[0]) and cells[0, -1] == 1000.0
    assert cells[0, :-1].sum() == pytest.approx(density, rel=1e-3)  # electrons as the reference gives them
    assert abs(cells[0] @ np.array(system.conserved["charge"])) < 1e-14 * density
    low, high = pop.DT_RANGES["single"]
    assert len(np.unique(dt)) == 1000 and low <= dt.min() < dt.max() <= high


def test_box_fills_the_sample_ranges():
    system = get_system("hodgkin-huxley")
    cells, dt = pop.draw("box", system, 1000, 1, dt_range=(1e-2, 10.0))
    assert cells.shape == (1000, 4) and cells.flags.c_contiguous and 1e-2 <= dt.min() and dt.max() <= 10.0
    for values, variable in zip(cells.T, system.variables):
        low, high = variable.sample
        assert low <= values.min() < values.max() <= high
        share = np.log(values / low) / np.log(high / low) if low > 0 else (values - low) / (high - low)
        np.testing.assert_allclose(np.quantile(share, [0.01, 0.5, 0.99]), [0.01, 0.5, 0.99], atol=0.01)


def test_params_vary_over_their_ranges_only(system):
    params = pop.draw_params(system, 500, 4, {"G0": (0.1, 10.0)})
    names = [p.name for p in system.parameters]
    assert 0.1 <= params[:, names.index("G0")].min() < 0.11 and 9 < params[:, names.index("G0")].max() <= 10
    others = [k for k, name in enumerate(names) if name != "G0"]
    assert np.all(params[:, others] == system.parameter_values[others])
    for ranges, message in (({"G": (1, 2)}, "no parameter 'G'"), ({"G0": (2, 1)}, "G0 ranges over 2..1")):
        with pytest.raises(ValueError, match=message):
            pop.draw_params(system, 1, 0, ranges)


def test_dts_increase_and_hold_the_cells_own():
    dt = np.geomspace(1.0, 10.0, 50)
    dts = pop.draw_dts(dt, 5, 0, (1.0, 10.0))
    assert dts.shape == (50, 5) and np.all(np.diff(dts) > 0) and np.all((dts == dt[:, None]).sum(1) == 1)


@pytest.mark.parametrize("name", ["wide", "relaxed", "hydro"])
def test_a_seed_fixes_a_population(name, system, step):
    first, again, other = (pop.draw(name, system, 300, seed, step) for seed in (2**40, 2**40, 2**40 + 1))
    for a, b, c in zip(first, again, other):
        np.testing.assert_array_equal(a, b)
        assert not np.any(a == c) or name == "hydro"  # whose longest steps and coldest cells are cut


def test_splits_are_disjoint():
    for a, b in itertools.combinations(pop.SPLITS.values(), 2):
        assert a.stop <= b.start or b.stop <= a.start
    ends = (0, 1, pop.SEEDS_PER_SET - 1)
    seeds = [pop.seed_of(split, k, part) for split in pop.SPLITS for k in ends for part in ends]
    assert len(set(seeds)) == len(seeds)
    assert all(pop.seed_of(split, k) in pop.SPLITS[split] for split in pop.SPLITS for k in ends)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("validation", 0), "no split"),
        (("train", -1), "seed is -1"),
        (("train", 2**20), "seed is 1048576"),
        (("train", 0, 2**20), "part is"),
    ],
)
def test_seeds_outside_a_split_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        pop.seed_of(*arguments)


@pytest.mark.parametrize(
    ("name", "of", "options", "message"),
    [
        ("wild", "ism-atomic", {}, "no population 'wild'"),
        ("wide", "pollu", {}, "choose box"),
        ("box", "ism-atomic", {"dt_range": (1, 2)}, "choose aged, hydro, mixed"),
        ("relaxed", "ism-atomic", {}, "give advance"),
        ("wide", "ism-atomic", {"dt_range": (1, 2)}, "leave out dt_range"),
        ("box", "pollu", {}, "dt_range is None"),
        ("box", "pollu", {"dt_range": (2, 1)}, r"dt_range is \(2, 1\)"),
        ("wide", "ism-atomic", {"seed": -1}, "seed is -1"),
        ("wide", "ism-atomic", {"seed": 3 * 2**40}, "see SPLITS"),
    ],
)
def test_misuse_is_explained(name, of, options, message):
    with pytest.raises(ValueError, match=message):
        pop.draw(name, get_system(of), 4, **{"seed": 0} | options)
