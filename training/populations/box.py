"""Population `box`: any other system."""

import numpy as np

from ..systems import System
from .composition import is_primordial
from .population import Population
from .sampling import spread


def box(system: System, n: int, seed: int, dt_range: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Cells over the typical ranges of the variables (logarithmic where positive), time steps log-uniform.

    Parameters
    ----------
    system : System
        Any that is not a network of hydrogen and helium.
    n, seed : int
    dt_range : tuple of float
        Shortest and longest time step, in the system's unit of time.

    Returns
    -------
    cells : ndarray of shape (n, n_vars)
    dt : ndarray of shape (n,)
    """
    drawn = spread([*(v.sample for v in system.variables), dt_range], n, seed)
    return np.ascontiguousarray(drawn[:, :-1]), drawn[:, -1].copy()


POPULATION = Population(
    "box",
    lambda system, n, seed, advance, dt_range: box(system, n, seed, dt_range),
    lambda system: not is_primordial(system),
)
