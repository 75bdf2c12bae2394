"""Population `neutral`: gas as it mostly is, neutral, with few ions and a little of the rest."""

import numpy as np

from .conditions import cells_of, drawn

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


POPULATION = drawn("neutral", lambda system, n, seed: cells_of(system, n, seed, weights))
