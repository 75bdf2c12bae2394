"""Population `random`: any ion may prevail."""

from .composition import is_primordial
from .conditions import DT_RANGE, cells_of
from .population import Population


def weights(names, u):
    """Weights 1e-6..1 for every species, as in `wide`."""
    return 10 ** (-6 + 6 * u)


POPULATION = Population(
    "random", lambda system, n, seed, *_: cells_of(system, n, seed, weights), is_primordial, DT_RANGE
)
