"""Learned vector fields: neural ordinary differential equations of the Hodgkin-Huxley membrane from one oscillation.

The method and the figures to compare with are those of PI-NODE-SR (arXiv:2511.11734): a neural ODE with a residual of
the known equations in units of the derivatives' spread. ``python -m surrogate.training.node table`` repeats its table,
and shows what points on the net's own orbit and Gauss-Newton steps make of it. A learned field is a `System` as any:
``surrogate export surrogate.training.node:learned --to DIR`` compiles one for the solver.
"""

from .data import make_window, solve_truth
from .fit import Fit, fit
from .learned import learned, learned_system, load_net, save_net
from .metrics import compare
from .table import run_all, summarise

__all__ = [
    "Fit",
    "compare",
    "fit",
    "learned",
    "learned_system",
    "load_net",
    "make_window",
    "run_all",
    "save_net",
    "solve_truth",
    "summarise",
]
