"""Cells of any composition over the ranges of an interstellar medium: what several populations start from.

T 20..1e6 K, total density 1e-2..1e3 cm^-3, mass fraction of H nuclei over `composition.HYDROGEN`, time steps of 1 yr to
1 Myr: a check of a net by two routes asks it for parts of a step, too.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import qmc

from ..systems import System
from ..systems.network import MYR, YEAR
from .composition import HYDROGEN, compose, is_primordial
from .population import Population

#: shortest and longest time step [s]
DT_RANGE = (YEAR, MYR)
#: temperature [K] and total density [cm^-3]
TEMPERATURE, DENSITY = (20.0, 1e6), (1e-2, 1e3)


def cells_of(
    system: System, n: int, seed: int, fractions: Callable[[list[str], np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Cells whose species are drawn by `fractions`, with time steps.

    Parameters
    ----------
    system : System
        A network with species, H, He and charge laws, and T.
    n, seed : int
    fractions : callable
        ``fractions(names, u)`` makes of random numbers u of shape (m, n_species) in (0, 1) the weights of the species
        called `names`, electrons aside; they are then scaled to the mass fractions of the elements. Draws with more
        negative than positive ions are dropped.

    Returns
    -------
    cells : ndarray of shape (n, n_vars)
        [cm^-3] and [K].
    dt : ndarray of shape (n,)
        [s].
    """
    names = system.names
    species = [k for k, name in enumerate(names) if name not in ("e-", "T")]
    sampler = qmc.Sobol(len(species) + 4, seed=seed)
    cells, dts, found = [], [], 0
    while found < n:
        u = sampler.random(1 << max(int(np.ceil(np.log2(1.2 * (n - found) + 16))), 4))
        state = np.zeros((len(u), len(names)))
        state[:, species] = fractions([names[k] for k in species], u[:, : len(species)])
        low, high = HYDROGEN
        hydrogen = low + (high - low) * u[:, -4]
        electrons = compose(system, state, hydrogen, 1 - hydrogen)
        state *= (_log(u[:, -3], DENSITY) / state.sum(1))[:, None]
        state[:, names.index("T")] = _log(u[:, -2], TEMPERATURE)
        good = electrons >= 0
        cells.append(state[good])
        dts.append(_log(u[good, -1], DT_RANGE))
        found += good.sum()
    return np.concatenate(cells)[:n], np.concatenate(dts)[:n]


def drawn(name: str, draw: Callable[[System, int, int], tuple[np.ndarray, np.ndarray]]) -> Population:
    """The population of cells that ``draw(system, n, seed)`` makes."""
    return Population(name, lambda system, n, seed, *_: draw(system, n, seed), is_primordial, DT_RANGE)


def evolved(name: str, draw: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Population:
    """The population of cells that ``draw(system, n, seed, advance)`` makes with a solver."""

    def by_position(system, n, seed, advance, *_):
        return draw(system, n, seed, advance)

    return Population(name, by_position, is_primordial, DT_RANGE, needs_solver=True)


def split(system: System) -> tuple[list[int], int]:
    """Columns of the species, and that of the temperature."""
    return [i for i, name in enumerate(system.names) if name != "T"], system.names.index("T")


def change(system: System, cells: np.ndarray, density: np.ndarray, temperature: np.ndarray) -> None:
    """Compress and heat cells by factors of shape (n,), in place, within the ranges of this module."""
    species, k = split(system)
    total = cells[:, species].sum(1)
    cells[:, species] *= (np.clip(density * total, *DENSITY) / total)[:, None]
    cells[:, k] = np.clip(temperature * cells[:, k], *TEMPERATURE)


def _log(u, ends):
    return ends[0] * (ends[1] / ends[0]) ** u
