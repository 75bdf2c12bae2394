"""Population `shocked`: gas behind a shock."""

import numpy as np

from ..systems import System
from .aged import aged
from .conditions import change, evolved
from .population import Advance


def shocked(system: System, n: int, seed: int, advance: Advance) -> tuple[np.ndarray, np.ndarray]:
    """`aged` cells behind a strong shock of Mach number 1.5..30 (log-uniform) of an ideal gas with five thirds.

    Jump conditions: Landau & Lifshitz, Fluid Mechanics, 2nd ed. 1987, section 89.
    """
    cells, dt = aged(system, n, seed, advance)
    m2 = (1.5 * 20.0 ** np.random.default_rng([seed, 4]).random(n)) ** 2
    density = 4 * m2 / (m2 + 3)
    change(system, cells, density, (5 * m2 - 1) / 4 / density)
    return cells, dt


POPULATION = evolved("shocked", shocked)
