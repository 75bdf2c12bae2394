"""The functions that rates may call, by name.

An entry makes the function from the `Lowering` of its network, which knows the variable that powers and logarithms are
written in; the function takes and returns expressions. What the functions of `expressions` can express is an entry and
no more. One that needs code of its own is a subclass of `expressions.Opaque` beside its entry: derivative, and text in
each language.
"""

from collections.abc import Callable

import sympy as sp

from .expressions import Lowering, maximum, minimum
from .rate_forms import RATE_FORMS

FUNCTIONS: dict[str, Callable[[Lowering], Callable[..., sp.Expr]]] = {
    "exp": lambda low: low.exp,
    "log": lambda low: low.ln,
    "log10": lambda low: lambda x: low.ln(x) / low.ln(sp.Integer(10)),
    "sqrt": lambda low: low.sqrt,
    "tanh": lambda low: low.tanh,
    "sin": lambda low: sp.sin,
    "cos": lambda low: sp.cos,
    "min": lambda low: minimum,
    "max": lambda low: maximum,
    "abs": lambda low: lambda x: maximum(x, -x),
    **RATE_FORMS,
}


def register_function(name: str, make: Callable[[Lowering], Callable[..., sp.Expr]]) -> None:
    """Let rates call `name`: ``make(lowering)`` returns a function of expressions.

    Raises
    ------
    ValueError
        If there is another function of this name, or it is no identifier.
    """
    if not name.isidentifier():
        raise ValueError(f"a function is to be called {name!r}: give an identifier")
    if FUNCTIONS.setdefault(name, make) is not make:
        raise ValueError(f"there is a function {name!r} already: give another name")
