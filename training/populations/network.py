"""Population `network`: reaction networks of any elements, with or without charge and temperature."""

import numpy as np

from ..systems import System
from ..systems.network import LEAST_SHARE
from .composition import elements_of, neutralise, proportioned
from .population import Advance, Population
from .sampling import AT_DEFAULT, spread

#: the elements' proportions are within this factor of those of the system's own start
SCATTER = 3.0
#: proportions of elements of which the system has no start
UNKNOWN = (1e-4, 1.0)
#: cells that are drawn at most for each that is wanted: those whose proportions no mixture of species has are dropped
MOST_DRAWN = 64


def network(
    system: System, n: int, seed: int, advance: Advance, dt_range: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """`composed` cells; every second one has gone some of its way, for a log-uniform time within `dt_range`.

    Parameters
    ----------
    system : System
        A network with `elements_of` it.
    n, seed : int
    advance : callable
        ``advance(cells, dt)`` advances in place, e.g. ``stepper.step``.
    dt_range : tuple of float
        Shortest and longest time step, in the system's unit of time.

    Returns
    -------
    cells : ndarray of shape (n, n_vars)
    dt : ndarray of shape (n,)
    """
    cells, dt = composed(system, n, seed, dt_range)
    low, high = dt_range
    later = cells.copy()
    advance(later, low * (high / low) ** np.random.default_rng([seed, 8]).random(n))
    neutralise(system, later)
    cells[1::2] = later[1::2]
    return cells, dt


def composed(system: System, n: int, seed: int, dt_range: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Cells of any composition, neutral, everything drawn log-uniformly; see `network` for what is returned.

    Weights of the species from `LEAST_SHARE` to 1; they are then brought to neutrality, and to proportions of the
    elements within `SCATTER` of those of the system's start (`AT_DEFAULT` of the cells: just those), or over `UNKNOWN`
    for elements that are not in it. Total density over `density_range`, temperature and whatever else over its sample.
    """
    kinds = [v.role == "species" for v in system.variables]
    species, others = np.flatnonzero(kinds), np.flatnonzero(~np.array(kinds))
    elements, charge = np.array(list(elements_of(system).values())), system.conserved.get("charge")
    laws = np.array([*elements, *([charge] if charge else [])])[:, species]
    start = elements @ system.initial
    own = [(x / SCATTER, x * SCATTER) if x else tuple(np.array(UNKNOWN) * (start.max() or 1)) for x in start]
    ranges = [(LEAST_SHARE, 1.0)] * len(species) + own + [density_range(system)]
    ranges += [system.variables[k].sample for k in others] + [dt_range]
    first, m = len(species) + len(elements), n
    while m <= MOST_DRAWN * n:
        drawn = spread(ranges, m, seed)
        totals = np.zeros((m, len(laws)))
        totals[:, : len(elements)] = drawn[:, len(species) : first]
        if start.all():
            totals[np.random.default_rng([seed, 9]).random(m) < AT_DEFAULT, : len(elements)] = start
        cells = np.zeros((m, len(system.variables)))
        mixed, good = proportioned(drawn[:, : len(species)], laws, totals)
        cells[:, species] = mixed * (drawn[:, first] / mixed.sum(1))[:, None]
        cells[:, others] = drawn[:, first + 1 : -1]
        good &= neutralise(system, cells)
        if good.sum() >= n:
            return np.ascontiguousarray(cells[good][:n]), drawn[good, -1][:n]
        m *= 2
    raise ValueError(
        f"of {m // 2} compositions drawn for {system.name} only {good.sum()} can be mixed of its species: give them an "
        "`initial` composition"
    )


def density_range(system: System) -> tuple[float, float]:
    """Lowest and highest total density: the samples of species begin at `LEAST_SHARE` of the lowest."""
    samples = np.array([v.sample for v in system.variables if v.role == "species"])
    low, high = float(samples[:, 0].max() / LEAST_SHARE), float(samples[:, 1].max())
    return (low, high) if low < high else (float(samples[:, 0].max()), high)


def applies_to(system: System) -> bool:
    """Whether a system has species made of elements and, if there is charge, something to balance it."""
    charge = system.conserved.get("charge")
    return bool(elements_of(system)) and (charge is None or min(charge) < 0 < max(charge))


POPULATION = Population("network", network, applies_to, needs_solver=True)
