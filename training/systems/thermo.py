"""Heat capacity, enthalpy and Gibbs energy of ideal gases from NASA's polynomials, as expressions in T.

``thermo`` of a species is ``{form, T: [T0, T1, ...], a: [[...], ...]}``: one list of coefficients for each range
between ascending temperatures; outside, the nearest range goes on. In units of R, RT and R:

    nasa7   cp = a1 + a2 T + a3 T^2 + a4 T^3 + a5 T^4,             a6: integration constant of h, a7: of s
    nasa9   cp = a1/T^2 + a2/T + a3 + a4 T + a5 T^2 + a6 T^3 + a7 T^4,   a8: of h, a9: of s

McBride, Gordon & Reno 1993 (NASA TM-4513); McBride, Zehe & Gordon 2002 (NASA TP-2002-211556).
"""

from typing import NamedTuple

import sympy as sp

from .expressions import Basis, number, where_le
from .section import Section, section

#: powers of T in cp, by form
POWERS = {"nasa7": range(0, 5), "nasa9": range(-2, 5)}


class Thermo(NamedTuple):
    """Expressions of one species: cp/R, h/RT and g/RT."""

    cp: sp.Expr
    h: sp.Expr
    g: sp.Expr


def thermo_of(species: Section, basis: Basis) -> Thermo:
    """The polynomials of a species of a file.

    Raises
    ------
    ValueError
        If it has none, or their ranges and coefficients do not fit together.
    """
    name = species["name"]
    if "thermo" not in species:
        raise ValueError(
            f"{species.where}species {name!r} has no thermo, which energies and reverse rates need: add it"
        )
    data = section(species["thermo"], f"{species.where}thermo of {name}")
    form, limits, rows = data["form"], [float(t) for t in data["T"]], data["a"]
    if form not in POWERS:
        raise ValueError(f"{data.where}thermo of {name} has form {form!r}: choose from {', '.join(POWERS)}")
    n = len(POWERS[form]) + 2
    if len(limits) != len(rows) + 1 or sorted(set(limits)) != limits or any(len(row) != n for row in rows):
        raise ValueError(
            f"{data.where}thermo of {name}: between ascending temperatures give {n} coefficients each, got "
            f"{len(limits)} temperatures and {', '.join(str(len(row)) for row in rows)} coefficients"
        )
    pieces = [_range(POWERS[form], [number(a) for a in row], basis) for row in rows]
    result = pieces[-1]
    for limit, piece in zip(reversed(limits[1:-1]), reversed(pieces[:-1])):
        result = Thermo(*(where_le(basis.x, number(limit), a, b) for a, b in zip(piece, result)))
    return result


def _range(powers, a, basis):
    *a, of_h, of_s = a
    cp, h, s = {}, {-1: of_h}, {}
    log_in_h = log_in_s = sp.Integer(0)
    for p, c in zip(powers, a):
        cp[p] = c
        if p == -1:
            log_in_h = c
        else:
            h[p] = h.get(p, 0) + c / (p + 1)
        if p == 0:
            log_in_s = c
        else:
            s[p] = c / p
    s[0] = of_s
    h_text = _polynomial(h, basis) + log_in_h * basis.log * basis.inv
    g = {p: h.get(p, 0) - s.get(p, 0) for p in {*h, *s}}
    return Thermo(
        _polynomial(cp, basis), h_text, _polynomial(g, basis) + log_in_h * basis.log * basis.inv - log_in_s * basis.log
    )


def _polynomial(coefficients, basis):
    """Of positive powers of T nested, and of negative ones in 1/T."""
    up = sp.Integer(0)
    for p in range(max(coefficients), -1, -1):
        up = up * basis.x + coefficients.get(p, 0)
    down = sp.Integer(0)
    for p in range(min(*coefficients, 0), 0):
        down = (down + coefficients.get(p, 0)) * basis.inv
    return up + down
