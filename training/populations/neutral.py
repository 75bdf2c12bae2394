"""Population `neutral`: gas as it mostly is, neutral, with few ions and a little of the rest."""

import numpy as np

from .composition import is_primordial
from .conditions import DT_RANGE, cells_of
from .population import Population

#: decades of the weights, relative to the neutral atom; ions as a share of all nuclei, H- and H2+ as traces
DECADES = {
    "H": (0, 0),
    "He": (0, 0),
    "H+": (-6, 0),
    "He+": (-6, 0),
    "He++": (-8, 0),
    "H2": (-8, 0.5),
    "H-": (-12, -5),
    "H2+": (-12, -5),
}


def weights(names, u):
    """Weights around those of neutral gas."""
    low, high = np.array([DECADES[name] for name in names], float).T
    return 10 ** (low + (high - low) * u)


POPULATION = Population(
    "neutral", lambda system, n, seed, *_: cells_of(system, n, seed, weights), is_primordial, DT_RANGE
)
