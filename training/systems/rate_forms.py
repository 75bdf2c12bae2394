"""Forms of rate coefficients that rates may call by name, each with its constants as arguments.

Combustion: Arrhenius, fall-off (Lindemann 1922; Troe: Gilbert, Luther & Troe 1983; SRI: Stewart et al. 1989;
Tsang & Herron 1991), chemical activation, interpolation in log pressure, Chebyshev polynomials (Venkatesh et al. 1997).
Nuclei: the sets of REACLIB (Cyburt et al. 2010).
"""

import mpmath
import numpy as np
import sympy as sp

from .expressions import DIGITS, fexp, maximum, minimum, number, times, where_lt

#: what logarithms of rates that may vanish do not go below
TINY = number("1e-250")


def arrhenius(low):
    """``arrhenius(A, b, Ta)``: A T^b exp(-Ta/T), Ta in K."""

    def rate(a, b, ta):
        exponent = b * low.basis.log - ta * low.basis.inv
        return a if exponent == 0 else a * fexp(exponent)

    return rate


def _reduced(low, k0, kinf, m):
    """Reduced pressure k0 [M]/kinf, and its logarithm, which stays finite where there is no collider."""
    ratio = times(k0, low.power(kinf, sp.Integer(-1)))
    return low.keep(times(ratio, m)), low.keep(low.ln(ratio) + low.ln(maximum(m, TINY)))


def _fall_off(low, blend, activated):
    """A function ``(k0, kinf, [M], constants of the blending function...)``."""

    def rate(k0, kinf, m, *constants):
        m = low.keep(m)
        pressure, log_pressure = _reduced(low, k0, kinf, m)
        factor = blend(low, log_pressure / low.ln(sp.Integer(10)), *constants)
        above = k0 if activated else times(k0, m)
        return times(times(above, factor), low.power(1 + pressure, sp.Integer(-1)))

    return rate


def _lindemann(low, log_pressure):
    return sp.Integer(1)


def _decay(low, t):
    """exp(-T/t), which vanishes for no t at all and is 1 for a very large one."""
    if not t.is_Number or t == 0:
        return sp.Integer(0)
    if abs(t) > 1e25:
        return sp.Integer(1)
    return sp.Integer(0) if 0 < t < 1e-3 else fexp(-low.basis.x / t)


def _centred(low, log_pressure, centre):
    """Broadening about a centre F_c: log10 F = log10 F_c / (1 + (x/(n - 0.14 x))^2)."""
    log_centre = low.keep(low.ln(maximum(low.keep(centre), TINY)) / low.ln(sp.Integer(10)))
    x = low.keep(log_pressure - number("0.4") - number("0.67") * log_centre)
    width = number("0.75") - number("1.27") * log_centre - number("0.14") * x
    return fexp(low.keep(low.ln(sp.Integer(10)) * log_centre / (1 + (x / width) ** 2)))


def _troe(low, log_pressure, a, t3, t1, t2=None):
    centre = (1 - a) * _decay(low, t3) + a * _decay(low, t1)
    return _centred(low, log_pressure, centre if t2 is None else centre + fexp(-t2 * low.basis.inv))


def _tsang(low, log_pressure, a, b):
    return _centred(low, log_pressure, a + b * low.basis.x)


def _sri(low, log_pressure, a, b, c, d=sp.S.One, e=sp.S.Zero):
    inside = low.keep(a * fexp(-b * low.basis.inv) + _decay(low, c))
    factor = fexp(low.keep(low.ln(maximum(inside, TINY)) / (1 + log_pressure**2)))
    return times(times(d, factor), fexp(e * low.basis.log) if e != 0 else sp.Integer(1))


def plog(low):
    """``plog(pressure, p1, k1, p2, k2, ...)``: ln k linear in ln p between ascending pressures, constant outside."""

    def rate(pressure, *pairs):
        if len(pairs) < 2 or len(pairs) % 2:
            raise ValueError("plog takes a pressure and then pairs of pressure and coefficient")
        points, logs = pairs[::2], [low.ln(k) for k in pairs[1::2]]
        if any(not p.is_Number or p <= 0 for p in points) or list(points) != sorted(set(points)):
            raise ValueError("the pressures of plog are to be positive and ascending")
        if len(points) == 1:
            return low.exp(logs[0])
        at = [low.ln(p) for p in points]
        logs = [low.keep(k) for k in logs]
        x = low.keep(minimum(maximum(low.keep(low.ln(pressure)), at[0]), at[-1]))
        pieces = [
            logs[i] + (x - at[i]) * ((logs[i + 1] - logs[i]) / (at[i + 1] - at[i])) for i in range(len(points) - 1)
        ]
        exponent = pieces[-1]
        for p, piece in zip(reversed(points[1:-1]), reversed(pieces[:-1])):
            exponent = where_lt(pressure, p, piece, exponent)
        return fexp(low.keep(exponent))

    return rate


def chebyshev(low):
    """``chebyshev(pressure, Tmin, Tmax, pmin, pmax, n_T, n_p, a11, a12, ...)``: log10 k over 1/T and log p."""

    def rate(pressure, t_min, t_max, p_min, p_max, n_t, n_p, *a):
        if len(a) != n_t * n_p or not all(x.is_Number for x in a):
            raise ValueError(f"chebyshev({n_t} x {n_p}) takes {n_t * n_p} coefficients, got {len(a)}")
        t = (2 * low.basis.inv - 1 / t_min - 1 / t_max) / (1 / t_max - 1 / t_min)
        ends = low.ln(p_min), low.ln(p_max)
        p = (2 * low.ln(pressure) - ends[0] - ends[1]) / (ends[1] - ends[0])
        rows = [a[i * int(n_p) : (i + 1) * int(n_p)] for i in range(int(n_t))]
        log10 = _nested([_nested(c, p) for c in zip(*map(_powers, zip(*map(_powers, rows))))], t)
        return fexp(low.keep(log10 * low.ln(sp.Integer(10))))

    return rate


def _powers(coefficients):
    """Coefficients of powers, from those of Chebyshev polynomials."""
    with mpmath.workdps(DIGITS):
        basis = [np.polynomial.chebyshev.cheb2poly(np.eye(len(coefficients))[k]) for k in range(len(coefficients))]
        return [
            sum((c * int(b[p]) for c, b in zip(coefficients, basis) if p < len(b)), sp.Integer(0))
            for p in range(len(coefficients))
        ]


def _nested(coefficients, x):
    value = sp.Integer(0)
    for c in reversed(coefficients):
        value = value * x + c
    return value


def reaclib(low):
    """``reaclib(a0, ..., a6)``: exp(a0 + a1/T9 + a2 T9^-1/3 + a3 T9^1/3 + a4 T9 + a5 T9^5/3 + a6 ln T9)."""

    def rate(a0, a1, a2, a3, a4, a5, a6):
        t9 = low.basis.x / 1000000000
        log = low.basis.log - low.ln(sp.Integer(10**9))
        root = fexp(log / 3)
        exponent = a0 + a1 * 10**9 * low.basis.inv + a2 / root + a3 * root + a4 * t9 + a5 * t9 * root**2 + a6 * log
        return fexp(exponent) if not exponent.is_Number else low.exp(exponent)

    return rate


BLENDS = {"lindemann": _lindemann, "troe": _troe, "tsang": _tsang, "sri": _sri}
#: for `functions.FUNCTIONS`; ``activated_troe`` and the like: coefficient of a chemically activated reaction
RATE_FORMS = {"arrhenius": arrhenius, "plog": plog, "chebyshev": chebyshev, "reaclib": reaclib}
for _name, _blend in BLENDS.items():
    RATE_FORMS[_name] = lambda low, blend=_blend: _fall_off(low, blend, False)
    RATE_FORMS[f"activated_{_name}"] = lambda low, blend=_blend: _fall_off(low, blend, True)
