"""Population `mixed`: what advection makes of neighbours."""

import numpy as np

from ..systems import System
from .aged import aged
from .composition import is_primordial
from .conditions import DT_RANGE
from .population import Advance, Population


def mixed(system: System, n: int, seed: int, advance: Advance) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of `aged` cells, any share of each by volume; energy as the particles have it."""
    rng = np.random.default_rng([seed, 5])
    cells, dt = aged(system, n, seed, advance)
    names = system.names
    species, k = [i for i, name in enumerate(names) if name != "T"], names.index("T")
    other, share = cells[rng.permutation(n)], rng.random(n)
    energy = share * cells[:, species].sum(1) * cells[:, k] + (1 - share) * other[:, species].sum(1) * other[:, k]
    cells = share[:, None] * cells + (1 - share)[:, None] * other
    cells[:, k] = energy / cells[:, species].sum(1)
    return cells, dt


POPULATION = Population(
    "mixed",
    lambda system, n, seed, advance, *_: mixed(system, n, seed, advance),
    is_primordial,
    DT_RANGE,
    needs_solver=True,
)
