"""Population `mixed`: what advection makes of neighbours."""

import numpy as np

from ..systems import System
from .aged import aged
from .conditions import evolved, split
from .population import Advance


def mixed(system: System, n: int, seed: int, advance: Advance) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of `aged` cells, any share of each by volume; energy as the particles have it."""
    rng = np.random.default_rng([seed, 5])
    cells, dt = aged(system, n, seed, advance)
    species, k = split(system)
    other, share = cells[rng.permutation(n)], rng.random(n)
    energy = share * cells[:, species].sum(1) * cells[:, k] + (1 - share) * other[:, species].sum(1) * other[:, k]
    cells = share[:, None] * cells + (1 - share)[:, None] * other
    cells[:, k] = energy / cells[:, species].sum(1)
    return cells, dt


POPULATION = evolved("mixed", mixed)
