"""Population `aged`: cells that have gone some of their way."""

import numpy as np

from ..systems import System
from ..systems.network import YEAR
from .conditions import evolved
from .neutral import POPULATION as NEUTRAL
from .population import Advance
from .random import POPULATION as RANDOM


def aged(system: System, n: int, seed: int, advance: Advance) -> tuple[np.ndarray, np.ndarray]:
    """`random` and `neutral` cells in turn, evolved for a log-uniform 10 yr..10 Myr."""
    cells, dt = (x.copy() for x in RANDOM.draw(system, n, seed))
    cells[1::2] = NEUTRAL.draw(system, n, seed)[0][1::2]
    advance(cells, 10 * YEAR * 1e6 ** np.random.default_rng(seed).random(n))
    return cells, dt


POPULATION = evolved("aged", aged)
