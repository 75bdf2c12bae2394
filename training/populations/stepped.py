"""Population `stepped`: gas that has come to terms with other conditions than those it finds itself in."""

import numpy as np

from ..systems import System
from .aged import aged
from .conditions import change, evolved
from .population import Advance


def stepped(system: System, n: int, seed: int, advance: Advance) -> tuple[np.ndarray, np.ndarray]:
    """`aged` cells, compressed or expanded by up to 4, heated or cooled by up to 100, most by less; or one of the two.

    They change places, so that each meets the parameters (radiation, cosmic rays, ...) of another.
    """
    rng = np.random.default_rng([seed, 3])
    cells, dt = aged(system, n, seed, advance)
    cells = cells[rng.permutation(n)]
    kind = rng.integers(4, size=n)  # 0: parameters alone
    density = np.where(kind & 1, 4.0 ** rng.uniform(-1, 1, n), 1.0)
    temperature = np.where(kind & 2, 10.0 ** rng.normal(0, 0.7, n).clip(-2, 2), 1.0)
    change(system, cells, density, temperature)
    return cells, dt


POPULATION = evolved("stepped", stepped)
