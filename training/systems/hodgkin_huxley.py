"""Hodgkin-Huxley nerve membrane."""

import sympy as sp

from .expressions import fexp, number, where_lt
from .system import Parameter, System, Variable, symbol


def _rate(x):
    """x/(1 - exp(-x)), through its series where the quotient would lose digits."""
    series = 1 + x / 2 + x**2 / 12 - x**4 / 720
    return where_lt(x**2, number("1e-4"), series, x / (1 - fexp(-x)))


def hodgkin_huxley():
    """Membrane voltage [mV] and gates in ms (Hodgkin & Huxley 1952, J. Physiol. 117, 500; rest at -65 mV).

    Parameter ``I`` is the injected current [uA/cm^2]; conductances 120, 36, 0.3 mS/cm^2, reversal potentials 50, -77,
    -54.387 mV, capacitance 1 uF/cm^2.
    """
    v, n, m, h = map(symbol, "vnmh")
    a_n, a_m = (number(c) * _rate((v + shift) / 10) for c, shift in (("0.1", 55), ("1", 40)))
    a_h = number("0.07") * fexp(-(v + 65) / 20)
    b_n = number("0.125") * fexp(-(v + 65) / 80)
    b_m = 4 * fexp(-(v + 65) / 18)
    b_h = 1 / (1 + fexp(-(v + 35) / 10))
    names = ("a_n", "b_n", "a_m", "b_m", "a_h", "b_h")
    rates = [sp.Symbol(name, real=True) for name in names]
    an, bn, am, bm, ah, bh = rates
    ionic = -120 * m**3 * h * (v - 50) - 36 * n**4 * (v + 77) - number("0.3") * (v + number("54.387"))
    rhs = (sp.expand(symbol("I") + ionic), an - an * n - bn * n, am - am * m - bm * m, ah - ah * h - bh * h)
    gates = ((0.32, (0.05, 0.95)), (0.05, (0.01, 0.99)), (0.6, (0.05, 0.95)))
    variables = (
        Variable("v", "mV", -200.0, 200.0, sample=(-80.0, 50.0), initial=-65.0),
        *(Variable(name, "", 0.0, 1.0, sample=s, initial=y) for name, (y, s) in zip("nmh", gates)),
    )
    return System(
        "hodgkin-huxley",
        variables,
        rhs,
        parameters=(Parameter("I", "uA/cm^2", 10.0, -100.0, 1e3),),
        definitions=tuple(zip(rates, (a_n, b_n, a_m, b_m, a_h, b_h))),
        dt_range=(0.0, 1e4),
        references=("Hodgkin & Huxley 1952",),
    )
