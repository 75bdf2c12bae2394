"""Expressions in a lowered form that survives differentiation and vector code.

SymPy rewrites ``exp(c + a*log(T))`` as ``e^c T^a`` and pulls constants out of ``10**(poly)``; fitted rate
coefficients then evaluate 0 * inf. Here every exponential, power and logarithm of a fit becomes an opaque function
of a *basis* (``T``, ``log T``, ``1/T``, ``sqrt T``), polynomials in ``log T`` are re-expanded about the middle of
their range in 40-digit arithmetic (a tenth-degree fit in log10 T loses six digits otherwise), and products of
exponentials share one call.
"""

import functools
import math

import mpmath
import sympy as sp

#: digits carried by every constant until it is printed as a double
DIGITS = 40
#: exponent that stands for log(0): exp of it is exactly zero in every back end
LOG_ZERO = sp.Integer(-2000)
#: bounds of what is read: characters of an expression, operations and, expanded, terms that it becomes, logarithm of a
#: constant
MOST_TEXT, MOST_SIZE, MOST_TERMS, MOST_LOG = 10_000, 100_000, 5_000, 1e4


class Opaque(sp.Function):
    """A real function that SymPy neither evaluates nor rewrites.

    A subclass sets `nargs`, ``fdiff(self, argindex)`` as in SymPy, and, unless the printers of `codegen` know it,
    `code`: format strings of the arguments for "c" (vectors of doubles, with the functions of vecmath.h), "torch"
    (torch) and "python" (math, exp and log).
    """

    is_extended_real = True
    code: dict[str, str] = {}


class fexp(Opaque):
    """Exponential."""

    nargs = 1

    def fdiff(self, argindex=1):
        return self


class flog(Opaque):
    """Natural logarithm."""

    nargs = 1

    def fdiff(self, argindex=1):
        return 1 / self.args[0]


class fsqrt(Opaque):
    """Square root."""

    nargs = 1

    def fdiff(self, argindex=1):
        return sp.Rational(1, 2) / self


class where_lt(Opaque):
    """``where_lt(x, y, a, b)`` is a where x < y, else b."""

    nargs = 4

    @classmethod
    def eval(cls, x, y, a, b):
        return a if a == b else None

    def _eval_derivative(self, s):
        x, y, a, b = self.args
        return type(self)(x, y, a.diff(s), b.diff(s))


class where_le(where_lt):
    """``where_le(x, y, a, b)`` is a where x <= y, else b."""


class table(Opaque):
    """``table(name, order, x)``: derivative `order` of a tabulated piecewise cubic, see `tables`."""

    nargs = 3

    def _eval_derivative(self, s):
        name, order, x = self.args
        return table(name, order + 1, x) * x.diff(s)


@functools.lru_cache(maxsize=10_000)
def size(expr):
    """Nodes of an expression written out as a tree."""
    return 1 + sum(size(arg) for arg in expr.args)


@functools.lru_cache(maxsize=10_000)
def expanded_size(expr):
    """At least the number of terms that ``expr.expand()`` makes of sums within products and powers."""
    parts = [expanded_size(arg) for arg in expr.args]
    if expr.is_Add:
        return sum(parts)
    if expr.is_Mul:
        return math.prod(parts)
    if expr.is_Pow and expr.exp.is_Integer and parts[0] > 1:
        n = abs(int(expr.exp))
        return math.comb(parts[0] + n - 1, n) if parts[0] * n < MOST_TERMS else MOST_TERMS
    return 1


def bounded(expr):
    """`expr` if it is of reasonable size and its constants are; raises ValueError else."""
    if size(expr) > MOST_SIZE:
        raise ValueError(f"it becomes more than {MOST_SIZE} operations")
    if expr.is_Number and expr != 0 and not abs(_log_of(expr)) < MOST_LOG:
        raise ValueError("a constant of it is beyond exp(10000)")
    return expr


def expand(expr):
    """``expr.expand()`` where that does not explode."""
    if expanded_size(expr) >= MOST_TERMS:
        raise ValueError(f"it becomes more than {MOST_TERMS} terms")
    return sp.expand(expr)


def _log_of(constant):
    """Logarithm of the magnitude of a number, roughly and at once, however large it is."""
    if constant.is_Float:
        return abs(float(constant._mpf_[2] + constant._mpf_[3])) * math.log(2) if constant.is_finite else math.inf
    if not constant.is_Rational or not constant.is_finite:
        return math.inf
    return max(int(constant.p).bit_length(), int(constant.q).bit_length()) * math.log(2)


def number(value):
    """A constant with `DIGITS` digits; decimal text is taken exactly."""
    if isinstance(value, sp.Integer) or (isinstance(value, (int, float)) and value == int(value) and abs(value) < 1e6):
        return sp.Integer(int(value))
    return sp.Float(value if isinstance(value, str) else sp.Float(repr(float(value)), DIGITS), DIGITS)


def minimum(a, b):
    """The smaller of two expressions."""
    return where_lt(a, b, a, b)


def maximum(a, b):
    """The larger of two expressions."""
    return where_lt(b, a, a, b)


def times(a, b):
    """Product in which all exponentials share one call."""
    factors, exponent = [], sp.Integer(0)
    for factor in sp.Mul.make_args(a) + sp.Mul.make_args(b):
        if isinstance(factor, fexp):
            exponent += factor.args[0]
        elif factor.is_Pow and isinstance(factor.base, fexp) and factor.exp.is_Integer:
            exponent += factor.exp * factor.base.args[0]
        else:
            factors.append(factor)
    product = sp.Mul(*factors)
    return product if exponent == 0 else product * fexp(exponent)


class Basis:
    """The symbols that powers and logarithms of one variable are written in.

    Parameters
    ----------
    x : sympy.Symbol
        The variable (the clamped gas temperature of a network).
    lower, upper : float
        Its range, for the expansion of polynomials in ``log x``.
    """

    def __init__(self, x, lower, upper):
        self.x = x
        self.log, self.inv, self.sqrt = (sp.Symbol(f"{p}_{x.name}", real=True) for p in ("log", "inv", "sqrt"))
        self.lower, self.upper = lower, upper

    def definitions(self):
        """The basis in terms of `x`, as (symbol, expression) pairs."""
        return [(self.log, flog(self.x)), (self.inv, 1 / self.x), (self.sqrt, fsqrt(self.x))]

    def horner(self, expr, lower=None, upper=None):
        """Polynomials in ``log x`` inside `expr`, nested about the middle of [lower, upper]."""
        rest, poly = [], []
        for term in sp.Add.make_args(expand(expr) if expr.has(self.log) else expr):
            is_poly = term.free_symbols <= {self.log} and not term.has(Opaque)
            (poly if is_poly and term.has(self.log) or term.is_Number else rest).append(term)
        if not any(term.has(self.log) for term in poly):
            return expr
        coeffs = sp.Poly(sp.Add(*poly), self.log).all_coeffs()
        if len(coeffs) < 3:
            return expr
        with mpmath.workdps(DIGITS):
            coeffs = [mpmath.mpf(str(c)) for c in coeffs]
            centre = mpmath.log(max(lower or 0, self.lower)) + mpmath.log(min(upper or mpmath.inf, self.upper))
            centre = mpmath.nint(centre * 8) / 16  # few distinct values, so that powers are shared
            for i in range(1, len(coeffs)):  # synthetic division by (x - centre), repeated: Taylor shift
                for j in range(1, len(coeffs) - i + 1):
                    coeffs[j] += centre * coeffs[j - 1]
        x = self.log - sp.Float(str(centre), DIGITS)
        nested = sp.Integer(0)
        for c in coeffs:
            nested = nested * x + sp.Float(mpmath.nstr(c, DIGITS), DIGITS)
        return nested + sp.Add(*rest)


class Lowering:
    """Functions that build lowered expressions; with a `basis`, powers and logarithms of its variable use it.

    ``keep(expr)`` gives an intermediate result an assignment of its own, where there is a place for such.
    """

    def __init__(self, basis=None, keep=lambda expr: expr):
        self.basis, self.keep = basis, keep
        self.range = (None, None)

    def nest(self, expr):
        """`expr` with its polynomials in the logarithm of the basis nested; inner exponents are already."""
        if not self.basis or isinstance(expr, fexp) or not expr.has(self.basis.log):
            return expr
        if expr.is_Add:
            nested = self.basis.horner(expr, *self.range)
            if nested != expr:  # the nested polynomial is itself a sum: leave it
                return nested
        return expr.func(*(self.nest(arg) for arg in expr.args)) if expr.args else expr

    def ln(self, x):
        """log(x)."""
        if x.is_Number:
            return LOG_ZERO if x == 0 else sp.Float(mpmath.nstr(self._log(x), DIGITS), DIGITS)
        if isinstance(x, fexp):
            return x.args[0]
        if isinstance(x, where_lt) and not any(branch.has(sp.Add) for branch in x.args[2:]):
            a, b = (self.ln(branch) for branch in x.args[2:])
            if not a.has(flog) and not b.has(flog):
                return type(x)(*x.args[:2], a, b)
        b, result, rest = self.basis, sp.Integer(0), sp.Integer(1)
        for factor in sp.Mul.make_args(x):
            base, power = factor.as_base_exp()
            if factor.is_Number:
                result += self.ln(factor)
            elif isinstance(base, fexp):
                result += power * base.args[0]
            elif b and base in (b.x, b.inv, b.sqrt):
                result += power * {b.x: 1, b.inv: -1, b.sqrt: sp.Rational(1, 2)}[base] * b.log
            else:
                rest *= factor
        return result if rest == 1 else result + flog(rest)

    @staticmethod
    def _log(x):
        with mpmath.workdps(DIGITS):
            return mpmath.log(mpmath.mpf(str(x)))

    def exp(self, x):
        """exp(x)."""
        if x.is_Number:
            if not abs(x) < MOST_LOG:
                raise ValueError(f"exp({x}) is too large or too small")
            with mpmath.workdps(DIGITS):
                return sp.Float(mpmath.nstr(mpmath.exp(mpmath.mpf(str(x))), DIGITS), DIGITS)
        return fexp(self.nest(x))

    def power(self, x, p):
        """x**p."""
        b = self.basis
        if x.is_Number and p.is_Number:
            if x > 0 and not abs(p * sp.Float(mpmath.nstr(self._log(x)))) < MOST_LOG:
                raise ValueError(f"{x}**{p} is too large or too small")
            with mpmath.workdps(DIGITS):
                return sp.Float(mpmath.nstr(mpmath.power(str(x), str(p)), DIGITS), DIGITS)
        if p.is_Number and p == int(p) and abs(p) <= 16:
            p = int(p)
            coeff, rest = x.as_coeff_Mul()
            if p < 0 and b and rest == b.x:
                return coeff**p * b.inv**-p
            if isinstance(x, fexp):
                return fexp(p * x.args[0])
            return x**p
        if p.is_Number and 2 * p == int(2 * p) and abs(p) <= 8:
            whole = int((2 * p - 1) / 2) if p > 0 else int((2 * p + 1) / 2)
            root = self.sqrt(x) if p > 0 else 1 / self.sqrt(x)
            if b and x == b.x and p < 0:
                root = b.sqrt * b.inv
            return root * self.power(x, sp.Integer(whole))
        return self.exp(expand(p * self.ln(x)) if not p.has(Opaque) else p * self.ln(x))

    def sqrt(self, x):
        """Square root; of c*x for the basis variable, through its own root."""
        b = self.basis
        if x.is_Number:
            return self.power(x, sp.Rational(1, 2))
        coeff, rest = x.as_coeff_Mul()
        if b and rest == b.x:
            return self.sqrt(coeff) * b.sqrt if coeff != 1 else b.sqrt
        if b and rest == b.inv:
            return self.sqrt(coeff) * b.sqrt * b.inv if coeff != 1 else b.sqrt * b.inv
        return fsqrt(x)

    def tanh(self, x):
        """Hyperbolic tangent without overflow: exp saturates to inf, and 2/inf is 0."""
        return 1 - 2 / (1 + self.exp(2 * x))

    def select(self, kind, x, y, a, b):
        """a where x < y (or <=) else b; two exponentials, or an exponential and a constant, become one."""
        parts = [self._as_exponential(value) for value in (a, b)]
        if all(parts) and any(value.has(fexp) for value in (a, b)):
            return fexp(kind(x, y, *(sp.Add(*p) for p in parts)))
        return kind(x, y, a, b)

    def _as_exponential(self, value):
        """(log of the coefficient, exponent) of ``c*exp(x)`` with a constant c >= 0, else None."""
        if value.is_Number and value >= 0:
            return self.ln(value), sp.Integer(0)
        coeff, rest = value.as_coeff_Mul()
        if isinstance(rest, fexp) and coeff > 0:
            return self.ln(coeff) if coeff != 1 else sp.Integer(0), rest.args[0]
        return None
