"""Mechanisms imported from Cantera: rates, right-hand sides, Jacobians and ignition are Cantera's."""

import re

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training.codegen import library, python_functions

import surrogate
from surrogate import cli

ct = pytest.importorskip("cantera", reason="needs Cantera: pip install 'stiff-surrogate[cantera]'")

ct.suppress_thermo_warnings()
BLOWERS = {
    "- {equation: X + H <=> XH(1), r": "- {equation: X + H <=> XH(1), type: Blowers-Masel, r",
    "b: -0.5, Ea: 100.0}}": "b: -0.5, Ea0: 100.0, w: 1.0e6}}",
}


def changed(text, changes):
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


#: every form of rate and of thermodynamics once, for gases that do not exist
MINIATURE = """
units: {length: cm, quantity: mol, activation-energy: K}
phases:
- {name: toy, thermo: ideal-gas, elements: [H, O, Ar], species: all, kinetics: gas, reactions: all}
species:
- name: X2
  composition: {O: 2}
  thermo: {model: NASA7, temperature-ranges: [200, 1000, 4000], data: [
    [3.7, -2.0e-3, 6.0e-6, -5.0e-9, 2.0e-12, -1050.0, 3.6], [3.3, 1.1e-3, -3.0e-7, 5.0e-11, -3.0e-15, -1000.0, 5.4]]}
- name: X
  composition: {O: 1}
  thermo: {model: NASA9, temperature-ranges: [200, 1000, 6000], data: [
    [-7950.0, 160.7, 1.96, 1.0e-3, -1.1e-6, 6.1e-10, -1.4e-13, 28400.0, 8.4],
    [261020.0, -729.7, 3.3, -4.3e-4, 1.0e-7, -9.4e-12, 2.7e-16, 33920.0, -0.6]]}
- name: XH(1)
  composition: {O: 1, H: 1}
  thermo: {model: NASA7, temperature-ranges: [200, 4000], data: [
    [3.6, 1.0e-3, -3.0e-7, 5.0e-11, -3.0e-15, 3600.0, 1.0]]}
- name: H
  composition: {H: 1}
  thermo: {model: constant-cp, h0: 218.0 kJ/mol, s0: 114.7 J/mol/K, cp0: 20.8 J/mol/K}
- name: HX-H
  composition: {H: 2, O: 1}
  thermo: {model: Shomate, temperature-ranges: [300, 1700, 6000], data: [
    [30.1, 6.8, 6.8, -2.5, 0.08, -250.9, 223.4], [41.9, 8.6, -1.5, 0.1, -11.2, -272.2, 219.8]]}
- name: AR
  composition: {Ar: 1}
  thermo: {model: constant-cp, cp0: 20.8 J/mol/K}
reactions:
- {equation: X + H <=> XH(1), rate-constant: {A: 3.0e15, b: -0.5, Ea: 100.0}}
- {equation: 2 X + M <=> X2 + M, rate-constant: {A: 1.2e17, b: -1, Ea: 0}, efficiencies: {H: 2.4, AR: 0.7}}
- {equation: H + X + AR <=> XH(1) + AR, rate-constant: {A: 2.0e16, b: -0.8, Ea: 0}}
- {equation: XH(1) + H (+M) <=> HX-H (+M), type: falloff, low-P-rate-constant: {A: 4.0e22, b: -2, Ea: 200.0},
   high-P-rate-constant: {A: 3.0e14, b: 0, Ea: 50.0}}
- {equation: 2 XH(1) (+M) <=> HX-H + X (+M), type: falloff, low-P-rate-constant: {A: 2.3e18, b: -0.9, Ea: -855.0},
   high-P-rate-constant: {A: 7.4e13, b: -0.37, Ea: 0}, Troe: {A: 0.73, T3: 94, T1: 1756, T2: 5182},
   efficiencies: {H: 2}}
- {equation: X2 (+M) <=> 2 X (+M), type: falloff, low-P-rate-constant: {A: 2.0e16, b: -0.5, Ea: 40000.0},
   high-P-rate-constant: {A: 1.0e14, b: 0, Ea: 50000.0}, Troe: {A: 0.5, T3: 1.0e-30, T1: 1.0e+30}, duplicate: true}
- {equation: X2 (+AR) <=> 2 X (+AR), type: falloff, low-P-rate-constant: {A: 2.0e16, b: -0.5, Ea: 41000.0},
   high-P-rate-constant: {A: 1.0e14, b: 0, Ea: 50000.0}, SRI: {A: 0.54, B: 201.0, C: 1024.0}, duplicate: true}
- {equation: HX-H (+M) <=> H + XH(1) (+M), type: falloff, low-P-rate-constant: {A: 1.0e24, b: -1.5, Ea: 55000.0},
   high-P-rate-constant: {A: 1.0e15, b: 0, Ea: 58000.0}, SRI: {A: 1.1, B: 700.0, C: 1234.0, D: 56.0, E: 0.7},
   duplicate: true}
- {equation: HX-H (+M) <=> H + XH(1) (+M), type: falloff, low-P-rate-constant: {A: 1.0e24, b: -1.5, Ea: 55000.0},
   high-P-rate-constant: {A: 1.0e15, b: 0, Ea: 58000.0}, Tsang: {A: 0.95, B: -1.0e-4}, duplicate: true}
- {equation: 2 XH(1) (+M) <=> X2 + 2 H (+M), type: chemically-activated,
   low-P-rate-constant: {A: 282.0, b: -1.5, Ea: 600.0}, high-P-rate-constant: {A: 6.0e-8, b: 1.1, Ea: 500.0},
   Troe: {A: 0.6, T3: 100, T1: 1000}}
- {equation: X2 + H <=> XH(1) + X, type: pressure-dependent-Arrhenius, rate-constants: [
   {P: 0.01 atm, A: 1.0e13, b: 0, Ea: 8000.0}, {P: 1 atm, A: 1.0e14, b: 0, Ea: 8500.0},
   {P: 1 atm, A: -2.0e12, b: 0.1, Ea: 8000.0}, {P: 10 atm, A: 3.0e14, b: 0, Ea: 9000.0}]}
- {equation: HX-H + X <=> 2 XH(1), type: Chebyshev, temperature-range: [290, 3000],
   pressure-range: [0.01 bar, 100 bar],
   data: [[8.2, -0.3, 0.01], [0.9, 0.4, -0.05], [-0.1, 0.03, 0.02], [0.02, -0.01, 0.003]]}
- {equation: 1.5 XH(1) + 0.5 XH(1) => X2 + 2 H, rate-constant: {A: 1.0e9, b: 0, Ea: 300.0},
   orders: {XH(1): 1.5, X: -0.25},
   nonreactant-orders: true, negative-orders: true}
- {equation: XH(1) + HX-H => 3 H + X2, rate-constant: {A: 1.0e12, b: 0.3, Ea: 3000.0}, duplicate: true}
- {equation: XH(1) + HX-H => 3 H + X2, rate-constant: {A: -2.0e11, b: 0.3, Ea: 3000.0}, negative-A: true,
   duplicate: true}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(MINIATURE)
    return tmp_path


def imported(mechanism, reactor, out="mine.yaml"):
    assert cli.main(["import", "cantera", mechanism, "--reactor", reactor, "--out", str(out)]) == 0
    return get_system(str(out))


def states(gas, n, seed=3):
    """Random states of T 300..3000 K, p 1e3..1e7 Pa and mole fractions over eight decades."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        x = 10.0 ** rng.uniform(-8, 0, gas.n_species)
        gas.TPX = rng.uniform(300, 3000), 10 ** rng.uniform(3, 7), x / x.sum()
        yield gas


def compare(system, gas, reactor, n):
    """Largest errors of the rates and of dT/dt, in units of what cancels in them."""
    rhs, gross = python_functions(system, ("rhs", "gross"))
    worst = np.zeros(2)
    for _ in states(gas, n):
        at_pressure = reactor == "constant-pressure"
        y, p = np.append(gas.Y if at_pressure else gas.concentrations, gas.T), np.array([gas.P][: int(at_pressure)])
        unit = gas.molecular_weights / gas.density if at_pressure else 1.0
        energy = gas.partial_molar_enthalpies if at_pressure else gas.partial_molar_int_energies
        capacity = gas.density * (gas.cp_mass if at_pressure else gas.cv_mass)
        w, both = gas.net_production_rates, gas.creation_rates + gas.destruction_rates
        f = rhs(0.0, y, p)
        error = abs(f[:-1] - w * unit) / (both * unit + 1e-300)
        assert (gross(0.0, y, p)[:-1] >= abs(f[:-1]) * (1 - 1e-12)).all()
        warming = 0.0 if reactor == "isothermal" else -(energy @ w) / capacity
        worst = np.maximum(worst, [error.max(), abs(f[-1] - warming) / (abs(energy) @ both / capacity)])
    return worst


@pytest.mark.parametrize("reactor", ["constant-volume", "constant-pressure", "isothermal"])
def test_every_form_of_rate_and_of_thermodynamics_is_canteras(reactor, place):
    """To 1e-10 of production and loss together; fractions and orders included."""
    system, gas = imported("toy.yaml", reactor), ct.Solution("toy.yaml")
    assert system.names == (*gas.species_names, "T")
    assert compare(system, gas, reactor, 100).max() < 1e-10
    assert [*system.conserved][:3] == ["O", "H", "Ar"]  # and T, where it is given
    forms = {r.rate.split("(")[0] for r in system.reactions}
    assert forms >= {"arrhenius", "lindemann", "troe", "sri", "tsang", "activated_troe", "plog", "chebyshev"}


def test_the_jacobian_is_that_of_canteras_rates(place):
    """By central differences of Cantera's own production rates, concentrations and T as variables."""
    system, gas = imported("toy.yaml", "isothermal"), ct.Solution("toy.yaml")
    (jacobian,) = python_functions(system, ("jacobian",))

    def rates(c, t):
        gas.TD = t, c @ gas.molecular_weights
        gas.concentrations = c
        return gas.net_production_rates

    for _ in states(gas, 10):
        t, c = gas.T, gas.concentrations.copy()
        ours, both = jacobian(0.0, np.append(c, t), np.zeros(0)), gas.creation_rates + gas.destruction_rates
        for k, value in enumerate((*c, t)):
            step = 1e-5 * value
            up, down = (np.append(c, t) for _ in range(2))
            up[k], down[k] = value + step, value - step
            slope = (rates(up[:-1], up[-1]) - rates(down[:-1], down[-1])) / (2 * step)
            assert (abs(ours[:-1, k] - slope) <= 1e-5 * both / value + 1e-7 * abs(slope)).all(), (k, t)


@pytest.mark.slow
def test_a_large_mechanism_has_canteras_rates(place):
    system = imported("gri30.yaml", "constant-volume")
    assert compare(system, ct.Solution("gri30.yaml"), "constant-volume", 20).max() < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reactor", "kind"),
    [("constant-volume", ct.IdealGasReactor), ("constant-pressure", ct.IdealGasConstPressureReactor)],
)
def test_hydrogen_ignites_when_it_does_in_cantera(reactor, kind, place):
    """The whole way: file, library, steps. Ignition delay and burnt gas within 10 rtol of Cantera at 1e-10."""
    system = imported("h2o2.yaml", reactor)
    model = surrogate.load(library.export_model(system, place, cflags=["-O1"]))
    at_pressure, times = reactor == "constant-pressure", np.geomspace(1e-7, 1e-2, 300)
    for t0, pressure in ((1000.0, ct.one_atm), (1200.0, 20 * ct.one_atm)):
        gas = ct.Solution("h2o2.yaml")
        gas.TPX = t0, pressure, "H2:2, O2:1, N2:3.76"
        start = np.append(gas.Y if at_pressure else gas.concentrations, t0)
        vessel = kind(gas, clone=False)
        net = ct.ReactorNet([vessel])
        net.rtol, net.atol = 1e-10, 1e-20
        theirs = []
        for t in times:
            net.advance(t)
            theirs.append(gas.T)
        end = np.append(gas.Y if at_pressure else gas.concentrations, gas.T)
        for rtol in (1e-3, 1e-5):
            cell, ours, stepper = start[None].copy(), [], model.stepper(rtol=rtol)
            for dt in np.diff(times, prepend=0.0):
                report = stepper.step(cell, dt, **({"params": {"pressure": pressure}} if at_pressure else {}))
                assert report.status[0] == 4
                ours.append(cell[0, -1])
            half = (t0 + theirs[-1]) / 2
            delays = [np.interp(half, t, np.log(times)) for t in (ours, theirs)]
            assert abs(delays[0] - delays[1]) < 10 * rtol
            seen = end > 1e-10 * end[:-1].sum()
            assert abs(cell[0] / np.where(seen, end, 1) - 1)[seen].max() < 10 * rtol


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thermo: ideal-gas": "thermo: ideal-surface, site-density: 1e-9"}, "cannot load|only ideal gases"),
        ({"XH(1) + H (+M)": "XH(1) + Y (+M)"}, "Cantera cannot load toy.yaml.*undeclared species"),
        (BLOWERS, "reaction R1, H . X <=> XH.1., is of type 'Blowers-Masel'"),
        ({"phases:": "nothing:"}, "Cantera cannot load toy.yaml"),
    ],
)
def test_what_cannot_be_expressed_is_refused(changes, message, place, capsys):
    (place / "toy.yaml").write_text(changed(MINIATURE, changes))
    assert cli.main(["import", "cantera", "toy.yaml", "--reactor", "isothermal", "--out", "mine.yaml"]) == 1
    said = capsys.readouterr().err
    assert re.search(message, said) and said.count("\n") == 1
    assert not (place / "mine.yaml").exists()
