"""Freeze-out of dark matter from the plasma of the early universe."""

import math

import numpy as np
import sympy as sp
from sympy.core.symbol import Str

from .expressions import DIGITS, Lowering, fexp, flog, maximum, minimum, number, table
from .plasma import degrees_of_freedom
from .system import Parameter, System, Variable, symbol
from .tables import Table

#: Planck mass [GeV] and (hbar c)^2 c [cm^3/s GeV^2] (CODATA 2018)
PLANCK_MASS, GEV2_CM3_S = 1.220890e19, 1.167330e-17
_BENTO = "Bento, Camara, Rocha & Seabra 2026, arXiv:2602.21988"


def freeze_out(dof=None):
    """Abundance Y = n/s of a particle of mass m that annihilates with <sigma v>, from x = m/T = 1 on, over z = ln x.

    dY/dz = -sqrt(pi/45) M_Pl m <sigma v> sqrt_g / (x F) (Y^2 - Yeq^2),  Yeq = 45 g x^2 K_2(x) / (4 pi^4 h)
    (Gondolo & Gelmini 1991, Nucl. Phys. B 360, 145), with h(T) and sqrt_g(T) of the plasma. All but Y stays as it is:
    what distinguishes one particle and cosmology from another is part of the state, so that a net sees it.

    ``n_rho`` is the power of the energy density that the Hubble rate follows before x = ``x_t``, where it joins the
    standard 1/2: F = (x_t/x)^gamma with gamma = 4 n_rho - 2 (Gauss-Bonnet 1/3, Randall-Sundrum 1).
    Parameters: ``t``, z at the start of the step; ``p_wave``, b in <sigma v> = sigma_v + 6 b/x.

    Parameters
    ----------
    dof : plasma.DegreesOfFreedom, optional
        Instead of ours.
    """
    dof = dof or degrees_of_freedom()
    z = sp.Symbol("t", real=True)
    mass, sigma_v, g, n_rho, x_t, y = map(symbol, ("mass", "sigma_v", "g", "n_rho", "x_t", "Y"))
    ln_t, ln_rate, ln_eq, gamma = (sp.Symbol(s, real=True) for s in ("ln_T", "ln_rate", "ln_Y_eq", "gamma"))
    bessel_z = np.arange(-200, 281) / 40  # to where e^-x is nothing
    tables = {  # rounded, so that another machine's last bits do not make another system
        "ln_h": Table.spline(dof.ln_t, np.log(dof.h).round(6)),
        "ln_sqrt_g": Table.spline(dof.ln_t, np.log(dof.sqrt_g).round(6)),
        "ln_bessel": Table.spline(bessel_z, _ln_scaled_bessel(bessel_z).round(9)),
    }

    def look_up(name, x):
        return table(Str(name), 0, minimum(maximum(x, number(tables[name].lower)), number(tables[name].upper)))

    cross_section = flog(sigma_v + 6 * symbol("p_wave") * fexp(-z))
    definitions = (
        (ln_t, flog(mass) - z),
        (gamma, 4 * n_rho - 2),
        (
            ln_rate,
            sp.log(sp.sqrt(sp.pi / 45) * number(PLANCK_MASS) / number(GEV2_CM3_S)).evalf(DIGITS)
            + flog(mass)
            + cross_section
            + look_up("ln_sqrt_g", ln_t)
            - z
            - gamma * maximum(flog(x_t) - z, sp.Integer(0)),
        ),
        (
            ln_eq,
            sp.log(45 / (4 * sp.pi**4)).evalf(DIGITS)
            + flog(g)
            + look_up("ln_bessel", z)
            - look_up("ln_h", ln_t)
            - fexp(z),
        ),
    )
    rhs = fexp(ln_rate + 2 * ln_eq) - fexp(ln_rate) * y**2
    variables = (
        Variable("mass", "GeV", 1e-5, 1e19, floor=0.0, scale=1.0, sample=(0.9, 1.1e5), initial=100.0),
        Variable("sigma_v", "cm^3/s", 1e-40, 1e-10, floor=0.0, scale=1e-26, sample=(0.9e-28, 1.1e-22), initial=2e-26),
        Variable("g", "", 1e-3, 1e4, floor=0.0, scale=1.0, sample=(0.95, 12.6), initial=2.0),
        Variable("n_rho", "", 1e-3, 4.0, floor=0.0, scale=0.5, sample=(0.245, 1.02), initial=0.5),
        Variable("x_t", "", 1e-3, 1e12, floor=0.0, scale=100.0, sample=(9.5, 3150.0), initial=500.0),
        Variable("Y", "", 0.0, 1e3, floor=0.0, scale=0.0, sample=(1e-3, 5e-2), initial=4e-3),
    )
    parameters = (Parameter("t", "", 0.0, -5.0, 40.0), Parameter("p_wave", "cm^3/s", 0.0, 0.0, 1e-10))
    zero = sp.Integer(0)
    return System(
        "freeze-out",
        variables,
        (zero,) * 5 + (rhs,),
        parameters=parameters,
        definitions=definitions,
        tables=tables,
        dt_range=(0.0, 20.0),
        references=("Gondolo & Gelmini 1991, Nucl. Phys. B 360, 145", _BENTO),
    )


def _ln_scaled_bessel(z):
    """ln(x^2 K_2(x) e^x) for x = exp(z): the integral of e^(x - x cosh t) cosh(2t), by the trapezoidal rule."""
    x = np.exp(z)[:, None]
    reach = np.minimum(np.arccosh(1 + 750 / x), 25.0)
    t = np.linspace(0.0, 1.0, 801) * reach
    with np.errstate(under="ignore"):
        values = np.exp(-2 * x * np.sinh(t / 2) ** 2) * np.cosh(2 * t)
    values[:, [0, -1]] *= 0.5
    return 2 * z + np.log(values.sum(1) * reach[:, 0] / 800)


def freeze_out_constant():
    """dW/dz for W = ln Y, z = ln(m/T), with constant degrees of freedom (arXiv:2602.21988 eq. 40).

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
        Parameter("t", "", 0.0, -5.0, 20.0),
        Parameter("C", "", 29.203782, 0.0, 80.0),
        Parameter("gamma", "", 0.0, -5.0, 5.0),
        Parameter("z_t", "", math.log(500.0), -5.0, 20.0),
        Parameter("g_ratio", "", 0.01, 1e-6, 1e3),
    )
    start = prefactor + math.log(0.01) - 1.0
    variable = Variable("W", lower=-1e3, upper=1e2, initial=start, sample=(-26.0, -7.0))
    return System(
        "freeze-out-constant",
        (variable,),
        (rhs,),
        parameters=parameters,
        definitions=definitions,
        dt_range=(0.0, 20.0),
        references=(_BENTO,),
    )
