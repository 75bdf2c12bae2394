"""Small systems with known behaviour: two three-species toys and three scalar stiff equations."""

import sympy as sp

from .expressions import number
from .system import Parameter, System, Variable, symbol

_T = sp.Symbol("t", real=True)
_TIME = Parameter("t", "", 0.0)


def toy_constant():
    """Branca & Pallottini's first toy, eq. 14, with constant coefficients."""
    return _toy("toy-constant", (number("0.8"), number("0.5"), number("0.2")), ())


def toy_periodic():
    """Branca & Pallottini's second toy, eq. 14: coefficients that depend on time explicitly."""
    k = (number("0.8") - sp.sin(_T), number("0.5") + sp.cos(_T), number("0.2") + sp.sin(2 * _T))
    return _toy("toy-periodic", k, (_TIME,))


def _toy(name, k, parameters):
    # The indices of the matrix as printed are inconsistent; taken here: the rows below times (n1, n2, n3). n3 then
    # turns negative, so the variables are signed.
    n1, n2, n3 = n = tuple(symbol(f"n{i}") for i in (1, 2, 3))
    k1, k2, k3 = k
    matrix = sp.Matrix([[-(k1 + k3 * n3), 0, k3 * n1], [k1 + 2 * k3 * n3, -k2, 2 * k3 * n1], [-k3 * n1, k1, -k3 * n1]])
    rhs = tuple(sp.expand(f) for f in matrix * sp.Matrix(n))
    variables = tuple(Variable(s.name, initial=y, sample=(-1.0, 1.0)) for s, y in zip(n, (1.0, 1e-3, 0.1)))
    return System(name, variables, rhs, parameters=parameters, references=("Branca & Pallottini, eq. 14",))


_SCALAR = "Bento, Camara, Rocha & Seabra 2026, arXiv:2602.21988, eq. {}"
_C = Parameter("C", "", 100.0, 0.0, 1e12)


def _scalar(name, rhs, equation, *parameters):
    y = Variable("y", initial=1.0, sample=(1e-6, 1.0))
    return System(name, (y,), (rhs,), parameters=(_C, *parameters), references=(_SCALAR.format(equation),))


def decay_linear():
    """y' = -C y."""
    return _scalar("decay-linear", -symbol("C") * symbol("y"), 8)


def decay_quadratic():
    """y' = -C y^2."""
    return _scalar("decay-quadratic", -symbol("C") * symbol("y") ** 2, 27)


def relax_forced():
    """y' = C (sin t - y)."""
    return _scalar("relax-forced", symbol("C") * sp.sin(_T) - symbol("C") * symbol("y"), 28, _TIME)
