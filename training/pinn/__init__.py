"""Physics-informed training of stiff equations and systems: what cures it, and what does not.

The method and the figures to compare with are those of Bento, Camara, Rocha & Seabra 2026 (arXiv:2602.21988): dividing
the residual by the Jacobian of the right-hand side. ``python -m surrogate.training.pinn stiffness|forward|inverse``
repeats them and shows what a hard initial condition, double precision and a quasi-Newton method make of it;
``methods`` puts all ways of training beside each other, ``single`` solves systems from one start without labels.
"""

from .bayesian import measure_coverage
from .equations import COSMOLOGIES, STIFF, freeze_out
from .gauss_newton import minimise_squares
from .hessian import largest_eigenvalue
from .methods import METHODS, Effort, Method
from .problems import PROBLEMS, Problem, make_problem
from .quasi_newton import minimise
from .single import solve_single
from .solve import solve_forward, solve_inverse
from .stiffness import study_stiffness
from .training import train
from .unknown_term import recover_rate
from .windows import march, solve_window

__all__ = [
    "COSMOLOGIES",
    "Effort",
    "METHODS",
    "Method",
    "PROBLEMS",
    "Problem",
    "STIFF",
    "freeze_out",
    "largest_eigenvalue",
    "make_problem",
    "march",
    "measure_coverage",
    "minimise",
    "minimise_squares",
    "recover_rate",
    "solve_forward",
    "solve_inverse",
    "solve_single",
    "solve_window",
    "study_stiffness",
    "train",
]
