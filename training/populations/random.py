"""Population `random`: any ion may prevail."""

from .conditions import cells_of, drawn


def weights(names, u):
    """Weights 1e-6..1 for every species, as in `wide`."""
    return 10 ** (-6 + 6 * u)


POPULATION = drawn("random", lambda system, n, seed: cells_of(system, n, seed, weights))
