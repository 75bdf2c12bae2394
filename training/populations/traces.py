"""Population `traces`: one kind of gas prevails, the others are there in any trace, or not at all."""

import numpy as np

from ..systems import System
from .conditions import cells_of, drawn

#: what may prevail: atoms, molecules, ions
KINDS = (("H", "He"), ("H2", "He"), ("H+", "He"), ("H+", "He+"), ("H+", "He++"))
#: share of the values that are zero
ZEROS = 0.2


def traces(system: System, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gas of one of the `KINDS`; every other species 1e-14..1e-2 of it, or (`ZEROS`) none."""

    def weights(names, u):
        rng = np.random.default_rng([seed, len(u)])
        kinds = [kind for kind in KINDS if set(kind) <= set(names)]
        chosen = rng.integers(len(kinds), size=len(u))
        state = np.where(rng.random(u.shape) < ZEROS, 0.0, 10 ** (-14 + 12 * u))
        for number, kind in enumerate(kinds):
            rows = np.flatnonzero(chosen == number)
            for name in kind:
                state[rows, names.index(name)] = 1.0
        return state

    return cells_of(system, n, seed, weights)


POPULATION = drawn("traces", traces)
