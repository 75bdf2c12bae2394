"""Networks of a user's own: the tutorial word for word, any elements and quantities, and messages that help."""

import re
from pathlib import Path

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training.codegen import python_functions

import surrogate
from surrogate import Status, cli

README = (Path(__file__).resolve().parent.parent / "training" / "README.md").read_text()
(TUTORIAL,) = re.findall(r"```yaml\n(.*?)```", README, re.S)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deuterium.yaml").write_text(TUTORIAL)
    return tmp_path


def rhs_of(system, y, p):
    (rhs,) = python_functions(system, ("rhs",))
    return rhs(0.0, np.array(y, float), np.array(p, float))


def test_the_tutorial_runs_word_for_word(place):
    (command,) = re.findall(r"^    surrogate (export deuterium.*)$", README, re.M)
    (code,) = re.findall(r"```python\n(model = surrogate.load\(.models/deuterium.*?)```", README, re.S)
    assert cli.main(command.split()) == 0
    names = {"np": np, "surrogate": surrogate}
    exec(code, names)
    assert names["report"].status[0] < Status.MASKED and names["cells"][0, 1] < 100 and names["cells"][0, 5] > 80
    system = get_system("deuterium.yaml")
    for law in ("H", "D", "charge"):
        change = (names["cells"][0] - [1e-3, 100.0, 1e-3, 2e-3, 1e-8, 80.0]) @ system.conserved[law]
        assert abs(change) < 1e-11


def test_rates_heat_and_presets_of_the_tutorial(place):
    """Against the formulas as they stand in it."""
    e, h, hp, d, dp, t, zeta = y = (0.3, 5.0, 0.2, 1e-3, 2e-4, 500.0, 1e-16)
    alpha = 2.753e-14 * (315614 / t) ** 1.5 / (1 + (115188 / t) ** 0.407) ** 2.242
    rays, recombination = 0.46 * zeta * h, alpha * hp * e
    d1 = 2e-10 * t**0.402 * np.exp(-37.1 / t) * hp * d
    d2 = (2.06e-10 * t**0.396 * np.exp(-33 / t) + 2.03e-9 * t**-0.332) * h * dp
    d3 = alpha * dp * e
    warming = (1.6666667 - 1) / 1.380649e-16 * (3.2e-11 * rays - 1.3e-16 * t * recombination) / sum(y[:5])
    expected = [rays - recombination - d3, recombination - rays + d1 - d2, rays - recombination - d1 + d2, d2 - d1 + d3]
    f = rhs_of(get_system("deuterium.yaml"), y[:6], [zeta])
    np.testing.assert_allclose(f, [*expected, d1 - d2 - d3, warming], rtol=1e-11)
    cold = get_system("deuterium.yaml", preset="cold")
    assert cold.parameters[0].value == 1e-17 and [r.id for r in cold.reactions] == ["rays", "recombination", "D3"]
    assert rhs_of(cold, y[:6], [zeta])[3] == pytest.approx(d3, rel=1e-11)


WRONG = [
    ('"H -> H+ + e-"', '"D+ + e- -> D + D"', "line 13: reaction rays changes D from 1 to 2"),
    ('rate: "0.46*zeta"', 'rat: "0.46*zeta"', "line 13: a reaction has no 'rat'; it may have id, equation, rate"),
    (', rate: "alpha", ref', ", ref", "line 14: there is no 'rate': add it"),
    (", mass: 3.3445e-24", "", "line 6: species 'D' has no mass: give that of a particle"),
    ('"H+", H: 1', '"H+", H: one', "line 5: H of H\\+ is 'one'"),
    ("upper: 1.0e+6}", "uper: 1.0e+6}", "line 1: there is no 'upper'|temperature has no 'uper'"),
    ('"0.46*zeta"', '"0.46*zetta"', "line 13: reaction rays: .*unknown name 'zetta'"),
    ('"0.46*zeta"', '"arrhenius(1, 2)"', "line 13: reaction rays: .*arrhenius\\(\\) missing 1"),
    ("id: D2", "id: D1", "line 16: two reactions are called D1"),
    ("without: [D1, D2]", "without: [D9]", "preset cold names the reaction 'D9', which there is not"),
    ('"D", D: 1', '"H", H: 1', "line 6: there are two species 'H'"),
    ('"D", D: 1', "NO, D: 1", "line 6: the name of a species is False: put it in quotes"),
    ("definitions:", "definitons:", "a network has no 'definitons'"),
    ("lower: 0.0, upper: 1.0e-10", "lower: 0.0", "line 9: there is no 'upper'"),
    ("k_boltzmann: 1.380649e-16", "k_b: 1.380649e-16", "the section thermal needs the constant 'k_boltzmann'"),
    ("H+ + D -> H + D+", "H+ + D = H + D+", "line 15: reaction D1: .* is no equation"),
    ("H+ + D -> H + D+", "H+ + D <=> H + D+", "reaction D1: a reverse is for"),
    ("thermal:", "energy: constant-volume\nthermal:", "constant-volume is for concentrations"),
    ("  usual: {}", "  usual: {variants: {D1: other}}", "D1: no variant 'other'"),
    (
        '"alpha"}]}',
        '"alpha"}]}\n  - {equation: "D+ + e- -> D", rate: [{when: "T < 1e5", expr: "alpha"}]}',
        "D3 once more",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_slips_are_refused_with_line_and_advice(old, new, message, place):
    assert old in TUTORIAL
    (place / "deuterium.yaml").write_text(TUTORIAL.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as caught:
        get_system("deuterium.yaml")
    assert "\n" not in str(caught.value) and "deuterium.yaml" in str(caught.value)


GAS = """
quantity: QUANTITY
temperature: {floor: 200, upper: 5000}
constants: {gas_constant: 8314.46261815324, reference_pressure: 1.0e+5}
species:
  - {name: A2, A: 2, mass: 31.998}
  - {name: A(1), A: 1, mass: 15.999, initial: 1.0e-3}
parameters: {PARAMETER: {value: 2.0, lower: 0, upper: 1.0e+9}, b: {value: 3.0, lower: 0, upper: 10}}
reactions:
  - {equation: "2 A(1) -> A2", rate: "1e3*b*n_total", heat: 0}
  - {equation: "A2 -> 1.5 A(1) + 0.25 A2", rate: "7*pressure*1e-5", orders: {A2: 0.5, A(1): -0.5}}
"""


@pytest.mark.parametrize(
    ("quantity", "parameter"), [("concentration", "x"), ("mass-fraction", "pressure"), ("mass-fraction", "density")]
)
def test_quantities_coefficients_and_orders(quantity, parameter, place):
    """The same rates whatever the variables are; what a reaction conserves, in whole numbers of atoms."""
    (place / "gas.yaml").write_text(GAS.replace("QUANTITY", quantity).replace("PARAMETER", parameter))
    system = get_system("gas.yaml")
    t, c, weights = 700.0, np.array([2e-3, 3e-4]), np.array([31.998, 15.999])
    density, pressure = c @ weights, c.sum() * 8314.46261815324 * t
    value = {"x": 1.0, "pressure": pressure, "density": density}[parameter]
    y = c if quantity == "concentration" else c * weights / density
    one, two = 1e3 * 3 * c.sum() * c[1] ** 2, 7e-5 * pressure * c[0] ** 0.5 * c[1] ** -0.5
    w = np.array([one - 0.75 * two, -2 * one + 1.5 * two])
    expected = w if quantity == "concentration" else w * weights / density
    np.testing.assert_allclose(rhs_of(system, [*y, t], [value, 3.0]), [*expected, 0.0], rtol=1e-12)
    law = np.array(system.conserved["A"])
    assert law[:2] @ y == pytest.approx((2 * c[0] + c[1]) / (1 if quantity == "concentration" else density), rel=1e-13)
    assert abs(law[:2] @ expected) < 1e-13 * abs(law[:2] * expected).sum()
    assert system.initial[1] == 1e-3 and system.variables[0].upper < 1e4
    with pytest.raises(ValueError, match="mass fractions need a parameter 'pressure'"):
        (place / "gas.yaml").write_text(GAS.replace("QUANTITY", "mass-fraction").replace("PARAMETER", "x"))
        get_system("gas.yaml")
