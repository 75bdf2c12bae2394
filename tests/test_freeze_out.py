"""The degrees of freedom of the plasma, and freeze-out against independent integrations and the literature."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import kve
from surrogate.training.codegen.library import export_model
from surrogate.training.codegen.python import python_functions
from surrogate.training.systems.freeze_out import GEV2_CM3_S, PLANCK_MASS, freeze_out
from surrogate.training.systems.plasma import BOSON, FERMION, DegreesOfFreedom, degrees_of_freedom, ideal_gas

import surrogate
from surrogate.apps.relic import OMEGA_PER_MASS, Y_START

# T [GeV], h, g: Saikawa & Shirai 2020 (JCAP 08, 011); the first outside the QCD transition, the second about it
OUTSIDE = (
    (1e-5, 3.931, 3.383),
    (1.04e-4, 4.915, 4.444),
    (4.956e-4, 10.012, 9.985),
    (5.155e-3, 10.728, 10.728),
    (3.629e-2, 13.065, 13.332),
    (1.217, 70.988, 71.972),
    (3.926, 79.251, 79.637),
    (12.66, 80.790, 80.925),
    (27.64, 83.84, 84.36),
    (60.34, 94.497, 95.428),
    (131.7, 102.645, 103.360),
    (627.6, 103.775, 103.791),
    (1.003e5, 104.255, 104.261),
)
WITHIN = (
    (0.117, 18.808, 19.403),
    (0.1729, 32.088, 34.773),
    (0.2555, 45.646, 48.366),
    (0.3775, 54.864, 56.903),
    (0.5577, 61.521, 63.032),
    (0.824, 66.611, 67.771),
)


def test_ideal_gases_have_their_limits():
    """Massless: 1 for bosons, 7/8 for fermions; heavy: 45/(4 sqrt2 pi^(7/2)) u^(5/2) e^-u (1 + 27/(8u)...)."""
    assert np.allclose(ideal_gas(0.0, BOSON), 1.0, rtol=1e-9)
    assert np.allclose(ideal_gas(0.0, FERMION), 7 / 8, rtol=1e-9)
    u = 200.0
    number = 45 / (4 * np.sqrt(2) * np.pi**3.5) * u**1.5 * np.exp(-u) * (1 + 15 / (8 * u))
    assert ideal_gas(u, FERMION)[0] == pytest.approx(number * (u + 2.5), rel=1e-3)


@pytest.mark.parametrize(("points", "bound"), [(OUTSIDE, 0.02), (WITHIN, 0.036)])
def test_degrees_of_freedom_agree_with_lattice_and_perturbation_theory(points, bound):
    t, h, g = np.transpose(points)
    dof = degrees_of_freedom()
    assert np.abs(np.interp(np.log(t), dof.ln_t, dof.h) / h - 1).max() < bound
    assert np.abs(np.interp(np.log(t), dof.ln_t, dof.g) / g - 1).max() < bound


def integrate(dof, mass, sigma_v, x_end, g=2, gamma=0.0, x_t=500.0, p_wave=0.0):
    """Omega h^2 by Radau on ln Y, from formulas of its own, with scipy's K_2."""

    def table(values, t):
        return np.interp(np.log(t), dof.ln_t, values)

    def terms(z, w):
        x = np.exp(z)
        t = mass / x
        y_eq = 45 / (4 * np.pi**4) * g / table(dof.h, t) * x**2 * kve(2, x)
        factor = (x_t / x) ** gamma if x < x_t else 1.0
        rate = np.sqrt(np.pi / 45) * PLANCK_MASS * mass * (sigma_v + 6 * p_wave / x) / GEV2_CM3_S * table(dof.sqrt_g, t)
        return rate / x / factor, np.exp(2 * (np.log(y_eq) - x) - w), np.exp(w)

    def rhs(z, w):
        rate, production, loss = terms(z, w[0])
        return [rate * (production - loss)]

    def jacobian(z, w):
        rate, production, loss = terms(z, w[0])
        return [[-rate * (production + loss)]]

    run = solve_ivp(
        rhs, (0, np.log(x_end)), [np.log(Y_START * g)], "Radau", rtol=1e-8, atol=1e-8, jac=jacobian, first_step=1e-10
    )
    return OMEGA_PER_MASS * mass * np.exp(run.y[0, -1])


@pytest.mark.parametrize(
    "case",
    [
        {"mass": 100.0, "sigma_v": 2.1e-26},
        {"mass": 2.0, "sigma_v": 4e-26, "g": 4.0},
        {"mass": 1e4, "sigma_v": 2e-25, "gamma": 2.0},
        {"mass": 30.0, "sigma_v": 4e-27, "gamma": -2 / 3, "x_t": 2000.0},
        {"mass": 300.0, "sigma_v": 1e-27, "p_wave": 2e-25},
    ],
)
def test_relic_density_is_that_of_radau(case):
    """The solver, through the public function; 1e-4 is what linear interpolation of the tables costs Radau."""
    expected = integrate(degrees_of_freedom(), x_end=1e8, **case)
    keywords = {"x_transition" if k == "x_t" else k: v for k, v in case.items()}
    if "gamma" in case:
        keywords.setdefault("x_transition", 500.0)
    assert surrogate.relic_density(**keywords, rtol=1e-7) == pytest.approx(expected, rel=3e-4)
    assert surrogate.relic_density(**keywords) == pytest.approx(expected, rel=1.5e-3)


def test_omega_of_an_independent_table():
    """<sigma v> for Omega h^2 = 0.12 on the table of Saikawa & Shirai 2020 (own integration); ours differs by 2 %."""
    mass = np.array([0.3, 1, 3, 10, 30, 100, 1000])
    sigma_v = 1e-26 * np.array([4.585, 4.350, 3.632, 2.390, 2.164, 2.113, 2.185])
    assert np.abs(surrogate.relic_density(mass, sigma_v) / 0.12 - 1).max() < 0.02


@pytest.fixture(scope="module")
def pre_lattice(tmp_path_factory):
    """The model on the table that hazma ships, from before the lattice results, and hazma."""
    hazma = pytest.importorskip("hazma.relic_density", reason="pip install --no-deps hazma, to compare with it")
    t, sqrt_g, h, g = np.genfromtxt(Path(hazma.__file__).parent / "smdof.dat", delimiter=",", skip_header=1).T
    ln_t = np.arange(-432, 320) / 40
    values = [np.exp(np.interp(ln_t, np.log(t), np.log(v))) for v in (h, g, sqrt_g)]
    system = freeze_out(DegreesOfFreedom(ln_t, *values))
    return surrogate.load(export_model(system, tmp_path_factory.mktemp("hazma"))), hazma


def omega(model, mass, sigma_v, x_end=1e8):
    """Omega h^2 of a Majorana fermion by the solver of a model; ndarray."""
    mass, sigma_v = np.broadcast_arrays(np.atleast_1d(np.asarray(mass, float)), sigma_v)
    cells = np.stack([mass, sigma_v, 2.0 + 0 * mass, 0.5 + 0 * mass, 500.0 + 0 * mass, 2 * Y_START + 0 * mass], 1)
    model.stepper(rtol=1e-7).step(cells, np.log(x_end))
    return OMEGA_PER_MASS * cells[:, 0] * cells[:, 5]


@pytest.mark.parametrize("mass", [10.0, 100.0, 1000.0])
def test_hazma_finds_the_same_relic_density(pre_lattice, mass):
    """Same table, same interval, 0.3 %."""
    from hazma.parameters import rho_crit, sm_entropy_density_today

    model, hazma = pre_lattice

    class Particle:
        mx = 1e3 * mass  # MeV

        def thermal_cross_section(self, x):
            return 2e-26 / GEV2_CM3_S * 1e-6  # MeV^-2

    theirs = hazma.relic_density(Particle(), semi_analytic=False, rtol=1e-8, atol=1e-8)
    ours = omega(model, mass, 2e-26, x_end=1000.0)[0] / OMEGA_PER_MASS * sm_entropy_density_today / rho_crit * 1e3
    assert ours == pytest.approx(theirs, rel=3e-3)


def test_steigman_dasgupta_beacom_2012(pre_lattice):
    """arXiv:1204.3622, for Omega h^2 = 0.11 and a table of their time: 2.2e-26 cm^3/s at high mass, and a maximum of
    5.2e-26 near 0.3 GeV."""
    model, _ = pre_lattice
    mass = np.geomspace(0.1, 1e4, 61)
    low, high = np.full(61, -27.0), np.full(61, -24.0)
    for _ in range(30):
        middle = 0.5 * (low + high)
        too_much = omega(model, mass, 10**middle) > 0.11
        low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
    sigma_v = 10**low
    assert np.interp(np.log([100.0]), np.log(mass), sigma_v) == pytest.approx(2.2e-26, rel=0.05)
    assert sigma_v[(mass > 20)].max() / sigma_v[(mass > 20)].min() < 1.1
    assert sigma_v.max() == pytest.approx(5.2e-26, rel=0.05)
    assert 0.1 < mass[sigma_v.argmax()] < 0.6


def domain_points(n, seed):
    """Random particles and cosmologies within the domain of the shipped net."""
    u = np.random.default_rng(seed).random((5, n))
    return {
        "mass": 10 ** (5 * u[0]),
        "sigma_v": 10 ** (-28 + 6 * u[1]),
        "g": 1 + 11 * u[2],
        "gamma": -1 + 3 * u[3],
        "x_transition": 10 ** (1 + 2.5 * u[4]),
    }


def test_the_net_is_as_good_as_promised():
    """Omega h^2 over the domain: within 1e-4 in half and 1e-3 in 99 % of all points, which the net takes nearly all."""
    points = domain_points(4000, seed=7)
    exact = surrogate.relic_density(**points, rtol=1e-7)
    error = np.abs(surrogate.relic_density(**points) / exact - 1)
    assert np.quantile(error, 0.5) < 1e-4
    assert np.quantile(error, 0.99) < 1e-3
    cells = np.stack(
        [
            points["mass"],
            points["sigma_v"],
            points["g"],
            0.5 + points["gamma"] / 4,
            points["x_transition"],
            Y_START * points["g"],
        ],
        1,
    )
    report = surrogate.load("freeze-out").stepper(rtol=1e-3).step(cells, np.log(1e8))
    assert report.fraction_accepted > 0.9
    assert report.counts["outside"] < 40  # in corners that no training point came close to


def test_abundance_on_the_way():
    """Equilibrium first, then constant; the net where it can be trusted, the solver elsewhere."""
    x = np.geomspace(2, 1e8, 60)
    y = surrogate.relic_abundance(x, 100.0, 2e-26)
    exact = surrogate.relic_abundance(x, 100.0, 2e-26, rtol=1e-7)
    assert np.abs(y / exact - 1).max() < 5e-3
    equilibrium = 45 / (4 * np.pi**4) * 2 / 83 * x**2 * kve(2, x) * np.exp(-x)
    assert y[:8] == pytest.approx(equilibrium[:8], rel=0.3)
    assert y[-1] == pytest.approx(y[-10], rel=1e-3)


@pytest.mark.parametrize(("gamma", "x_transition"), [(0.0, None), (-2 / 3, 500.0), (2.0, 500.0)])
def test_cross_section_is_the_inverse(gamma, x_transition):
    mass = np.geomspace(1, 1e5, 40)
    sigma_v = surrogate.relic_cross_section(mass, 0.12, gamma=gamma, x_transition=x_transition)
    density = surrogate.relic_density(mass, sigma_v, gamma=gamma, x_transition=x_transition, rtol=1e-7)
    assert np.abs(density / 0.12 - 1).max() < 2e-3


def test_arguments_broadcast_and_scalars_stay_scalars():
    assert isinstance(surrogate.relic_density(100, 2e-26), float)
    assert isinstance(surrogate.relic_cross_section(100), float)
    grid = surrogate.relic_density(np.array([[1.0], [10.0]]), [1e-26, 2e-26, 3e-26])
    assert grid.shape == (2, 3)
    assert grid[1, 2] == surrogate.relic_density(10.0, 3e-26)
    assert surrogate.relic_density(np.ones((0, 3)), 2e-26).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: surrogate.relic_density(np.array([100.0, -1.0]), 2e-26), "mass is -1.0: give 1e-05..1e[+]19"),
        (lambda: surrogate.relic_density(np.nan, 2e-26), "mass is nan"),
        (lambda: surrogate.relic_density(100.0, 0.0), "sigma_v is 0.0"),
        (lambda: surrogate.relic_density(100.0, 2e-26, gamma=-2.0, x_transition=500), "gamma is -2.0"),
        (lambda: surrogate.relic_density(100.0, 2e-26, p_wave=-1.0), "p_wave is -1.0"),
        (lambda: surrogate.relic_abundance(np.array([2.0, 0.5]), 100.0, 2e-26), "x is 0.5"),
        (lambda: surrogate.relic_cross_section(100.0, np.array([0.1, 0.0])), "omega is 0.0"),
        (lambda: surrogate.relic_density(100.0, 2e-26, gamma=2), "x_transition is missing, and gamma is 2"),
        (lambda: surrogate.relic_density(np.ones(2), np.ones(3)), "broadcast"),
        (lambda: surrogate.relic_cross_section(100.0, 1e30), "no cross section .* leaves omega = 1e[+]30"),
    ],
)
def test_values_without_sense_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


#: Omega h^2 by Radau at rtol 1e-8 in ln Y, with these tables evaluated as they are
HEAVY = [
    (1e6, 2e-26, 0.150786),
    (1e4, 1e-10, 6.20602e-17),
    (1e-3, 2e-26, 0.281235),
    (1e13, 1e-10, 8.03594e-17),
    (1e10, 2e-26, 0.19432),
    (100.0, 2.1e-26, 0.120687),
]


@pytest.mark.parametrize("rtol", [1e-1, 1e-2, 1e-3, 1e-6])
def test_masses_and_cross_sections_of_any_size(rtol):
    mass, sigma_v, expected = np.array(HEAVY).T
    density = surrogate.relic_density(mass, sigma_v, rtol=rtol)
    assert np.abs(density / expected - 1).max() < max(3 * rtol, 1e-5)
    sigma = surrogate.relic_cross_section(np.array([1e6, 1e13]), 0.12)
    np.testing.assert_allclose(surrogate.relic_density(np.array([1e6, 1e13]), sigma, rtol=1e-6), 0.12, rtol=3e-3)


def test_random_particles_and_cosmologies_against_radau_in_the_logarithm():
    """The whole box of the function, p-wave included; dW/dz = f(e^W)/e^W for W = ln Y with the system's own f."""
    rhs, jacobian, _ = python_functions(freeze_out())
    rng = np.random.default_rng(8)
    n = 16
    mass, sigma_v = 10 ** rng.uniform(-3, 13, n), 10 ** rng.uniform(-40, -10, n)
    g, x_t = rng.uniform(1, 12, n), 10 ** rng.uniform(0.1, 6, n)
    gamma = np.where(rng.random(n) < 0.5, 0.0, rng.uniform(-1.9, 5, n))
    p_wave = np.where(rng.random(n) < 0.7, 0.0, 10 ** rng.uniform(-36, -11, n))
    expected = np.empty(n)
    for i in range(n):
        y = np.array([mass[i], sigma_v[i], g[i], 0.5 + 0.25 * gamma[i], x_t[i], 0.0])

        def slope(z, w, y=y, p=(0.0, p_wave[i])):
            y[5] = np.exp(w[0])
            return [rhs(z, y, p)[5] / y[5]]

        def slope_of_slope(z, w, y=y, p=(0.0, p_wave[i])):
            y[5] = np.exp(w[0])
            return [[jacobian(z, y, p)[5, 5] - rhs(z, y, p)[5] / y[5]]]

        run = solve_ivp(
            slope, (0, np.log(1e8)), [np.log(Y_START * g[i])], "Radau", jac=slope_of_slope, rtol=1e-7, atol=1e-8
        )
        expected[i] = OMEGA_PER_MASS * mass[i] * np.exp(run.y[0, -1])
    for rtol in (1e-1, 1e-2, 1e-3):
        density = surrogate.relic_density(mass, sigma_v, g, gamma, x_t, p_wave=p_wave, rtol=rtol)
        assert np.abs(density / expected - 1).max() < 3 * rtol, rtol


def test_relic_density_needs_numpy_and_cffi_alone():
    program = (
        "import sys\n"
        "for name in ('torch', 'sympy', 'h5py', 'matplotlib', 'scipy', 'yaml', 'numba'): sys.modules[name] = None\n"
        "import surrogate; print(surrogate.relic_density(100.0, 2.1e-26), surrogate.relic_cross_section(100.0))"
    )
    run = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    omega_, sigma_v = map(float, run.stdout.split())
    assert omega_ == pytest.approx(0.12, rel=0.02)
    assert sigma_v == pytest.approx(2.1e-26, rel=0.02)
