"""Physics-informed training of one stiff equation: what cures it, and what does not.

The method and the figures to compare with are those of Bento, Camara, Rocha & Seabra 2026 (arXiv:2602.21988): dividing
the residual by the Jacobian of the right-hand side. ``python -m surrogate.training.pinn stiffness|forward|inverse``
repeats them and shows what a hard initial condition, double precision and a quasi-Newton method make of it.
"""

from .equations import COSMOLOGIES, STIFF, freeze_out
from .hessian import largest_eigenvalue
from .quasi_newton import minimise
from .solve import solve_forward, solve_inverse
from .stiffness import study_stiffness

__all__ = [
    "COSMOLOGIES",
    "STIFF",
    "freeze_out",
    "largest_eigenvalue",
    "minimise",
    "solve_forward",
    "solve_inverse",
    "study_stiffness",
]
