"""Population `relaxed`."""

import numpy as np

from ..systems import System
from ..systems.network import YEAR
from .composition import is_primordial
from .population import Advance, Population
from .wide import DT_RANGE, wide


def relaxed(system: System, n: int, seed: int, advance: Advance) -> tuple[np.ndarray, np.ndarray]:
    """`wide` cells evolved for a log-uniform 10 yr..10 Myr, with new time steps as in `wide`.

    Parameters
    ----------
    advance : callable
        ``advance(cells, dt)`` advances in place, e.g. ``stepper.step``.
    """
    cells, dt = wide(system, n, seed)
    age = 10 * YEAR * 1e6 ** np.random.default_rng(seed).random(n)
    advance(cells, age)
    return cells, dt


POPULATION = Population(
    "relaxed",
    lambda system, n, seed, advance, *_: relaxed(system, n, seed, advance),
    is_primordial,
    DT_RANGE,
    needs_solver=True,
)
