"""Dark-matter freeze-out in logarithmic variables."""

import math

import sympy as sp

from ..expressions import Lowering, fexp, maximum, number
from ..system import Parameter, System, Variable, symbol


def freeze_out():
    """dW/dz for W = ln Y, z = ln(m/T) (arXiv:2602.21988 eq. 40).

    ``C`` is the logarithm of the interaction strength (eq. 38), ``gamma`` and ``z_t`` the cosmology: the Hubble rate
    is multiplied by (x_t/x)^gamma before x_t = exp(z_t) (Gauss-Bonnet -2/3, Randall-Sundrum 2), ``g_ratio`` is g/g*.
    ``t`` is z at the start of the step.
    """
    low = Lowering()
    z, w = sp.Symbol("t", real=True), symbol("W")
    c, gamma, z_t, g_ratio = map(symbol, ("C", "gamma", "z_t", "g_ratio"))
    prefactor = math.log(45 / math.sqrt(32 * math.pi**7))
    equilibrium, strength = sp.Symbol("W_eq", real=True), sp.Symbol("strength", real=True)
    definitions = (
        (equilibrium, number(prefactor) + low.ln(g_ratio) + number("1.5") * z - fexp(z)),
        (strength, c - gamma * maximum(z_t - z, sp.Integer(0)) - z),
    )
    rhs = fexp(strength + 2 * equilibrium - w) - fexp(strength + w)
    parameters = (
        Parameter("t", "", 0.0, -5.0, 20.0), Parameter("C", "", 29.203782, 0.0, 80.0),
        Parameter("gamma", "", 0.0, -5.0, 5.0), Parameter("z_t", "", math.log(500.0), -5.0, 20.0),
        Parameter("g_ratio", "", 0.01, 1e-6, 1e3),
    )  # fmt: skip
    start = prefactor + math.log(0.01) - 1.0
    variable = Variable("W", lower=-1e3, upper=1e2, initial=start, sample=(-26.0, -7.0))
    return System("freeze-out", (variable,), (rhs,), parameters=parameters, definitions=definitions,
                  dt_range=(0.0, 20.0), references=("Bento, Camara, Rocha & Seabra 2026, arXiv:2602.21988",))
