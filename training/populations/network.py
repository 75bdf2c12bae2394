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

    The elements have proportions within `SCATTER` of those of the system's start (`AT_DEFAULT` of the cells: just
    those), or over `UNKNOWN` where they are not in it. Species have `LEAST_SHARE` to 1 of the most that the elements
    leave them, electrons what the positive ions carry; from there all are brought to the elements' proportions and to
    neutrality (`proportioned`). Total density over `density_range`, temperature and whatever else over its sample.
    """
    kinds = [v.role == "species" for v in system.variables]
    species, others = np.flatnonzero(kinds), np.flatnonzero(~np.array(kinds))
    elements, charge = np.array(list(elements_of(system).values())), system.conserved.get("charge")
    laws = np.array([*elements, *([charge] if charge else [])])[:, species]
    start = elements @ system.initial
    own = [(x / SCATTER, x * SCATTER) if x else tuple(np.array(UNKNOWN) * (start.max() or 1)) for x in start]
    ranges = [(LEAST_SHARE, 1.0)] * len(species) + own + [density_range(system)]
    ranges += [system.variables[k].sample for k in others] + [dt_range]
    bare = ~laws[: len(elements)].any(0)
    cations = np.where(bare, 0.0, laws[-1].clip(min=0) if charge else 1.0)
    first, m = len(species) + len(elements), n
    while m <= MOST_DRAWN * n:
        drawn = spread(ranges, m, seed)
        totals = drawn[:, len(species) : first].copy()
        as_is = np.random.default_rng([seed, 9]).random(m) < AT_DEFAULT
        totals[np.ix_(as_is, start > 0)] = start[start > 0]
        totals = np.pad(totals, ((0, 0), (0, len(laws) - len(elements))))
        cells = np.zeros((m, len(system.variables)))
        weights = drawn[:, : len(species)] * _most(laws, totals, len(elements))
        weights[:, bare] = (weights @ cations)[:, None]
        mixed, good = proportioned(weights, laws, totals)
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


def _most(laws, totals, n_elements):
    """The most that there can be of each species, shape (n, n_species); 1 of what holds no elements."""
    result = np.full((len(totals), laws.shape[1]), np.inf)
    for law, total in zip(laws[:n_elements], totals.T):
        holds = law > 0
        result[:, holds] = np.minimum(result[:, holds], total[:, None] / law[holds])
    return np.where(np.isinf(result), 1.0, result)


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
