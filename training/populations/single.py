"""Population `single`: one start alone."""

import numpy as np

from ..systems import System
from .composition import is_primordial
from .population import Population
from .sampling import spread
from .wide import DT_RANGE

#: the one start of population `single`: T [K], total density [cm^-3] and fractions of it; electrons make it neutral.
#: Branca & Pallottini 2023 (MNRAS 518, 5718), whose fractions with electrons sum to 1.0098 and 1.0000: taken as printed
SINGLE = {
    "ism-molecular": (
        1000.0,
        100.0,
        {"H": 0.6241, "H-": 0.001, "H2": 0.104, "He": 0.26, "H+": 0.0062, "H2+": 0.001, "He+": 0.0026, "He++": 0.0007},
    ),
    "ism-atomic": (1000.0, 90.4, {"H-": 0.0015, "H": 0.69, "He": 0.288, "H+": 0.0069, "He+": 0.0029, "He++": 0.0008}),
}


def single(system: System, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`n` times the one start of `SINGLE`, with time steps as in `wide`; see there for what is returned."""
    temperature, density, fractions = SINGLE[system.name]
    cell = np.array([density * fractions.get(name, 0.0) for name in system.names])
    charges = np.array(system.conserved["charge"])
    cell[system.names.index("e-")] = cell @ charges
    cell[system.names.index("T")] = temperature
    return np.tile(cell, (n, 1)), spread([DT_RANGE], n, seed)[:, 0]


POPULATION = Population(
    "single",
    lambda system, n, seed, *_: single(system, n, seed),
    lambda system: is_primordial(system) and system.name in SINGLE,
    DT_RANGE,
)
