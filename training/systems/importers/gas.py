"""Thermodynamics of Cantera's species as NASA polynomials."""

import math
from typing import Any

#: J/kmol/K (CODATA 2018)
GAS_CONSTANT = 8314.46261815324


def thermo_entry(species: Any, file: str) -> dict[str, Any]:
    """The key ``thermo`` of a species, see `systems.thermo`, from ``cantera.Species``.

    Raises
    ------
    ValueError
        If its thermodynamics is of a form that is no polynomial.
    """
    thermo = species.thermo
    make = _FORMS.get(type(thermo).__name__)
    if make is None:
        raise ValueError(
            f"{file}: the thermodynamics of {species.name} is {type(thermo).__name__}: known are {', '.join(_FORMS)}"
        )
    form, limits, rows = make(thermo, [float(c) for c in thermo.coeffs])
    return {"form": form, "T": limits, "a": rows}


def _nasa7(thermo, c):
    if c[0] >= thermo.max_temp or c[1:8] == c[8:]:
        return "nasa7", [thermo.min_temp, thermo.max_temp], [c[8:]]
    if c[0] <= thermo.min_temp:
        return "nasa7", [thermo.min_temp, thermo.max_temp], [c[1:8]]
    return "nasa7", [thermo.min_temp, c[0], thermo.max_temp], [c[8:], c[1:8]]


def _nasa9(thermo, c):
    ranges = [c[1 + 11 * k : 12 + 11 * k] for k in range(int(c[0]))]
    return "nasa9", [ranges[0][0], *(r[1] for r in ranges)], [r[2:] for r in ranges]


def _constant(thermo, c):
    t0, h0, s0, cp = c[:4]
    a = cp / GAS_CONSTANT
    row = [a, 0.0, 0.0, 0.0, 0.0, h0 / GAS_CONSTANT - a * t0, s0 / GAS_CONSTANT - a * math.log(t0)]
    return "nasa7", [thermo.min_temp, thermo.max_temp], [row]


def _shomate(thermo, c):
    """cp = A + B t + C t^2 + D t^3 + E/t^2 [J/mol/K], t = T/1000; h [kJ/mol] and s [J/mol/K] with constants F and G."""
    rows = []
    for a, b, cc, d, e, f, g in (c[1:8], c[8:15]):
        r = GAS_CONSTANT / 1e3
        cp = [e * 1e6 / r, 0.0, a / r, b / r / 1e3, cc / r / 1e6, d / r / 1e9, 0.0]
        rows.append([*cp, f * 1e3 / r, (g - a * math.log(1000.0)) / r])
    return "nasa9", [thermo.min_temp, c[0], thermo.max_temp], rows


_FORMS = {"NasaPoly2": _nasa7, "Nasa9PolyMultiTempRegion": _nasa9, "ConstantCp": _constant, "ShomatePoly2": _shomate}
