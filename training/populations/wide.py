"""Population `wide`."""

import numpy as np
from scipy.stats import qmc

from ..systems import System
from ..systems.network import MYR, YEAR
from .composition import compose, is_primordial
from .population import Population

#: shortest and longest time step [s]
DT_RANGE = (10 * YEAR, MYR)


def wide(system: System, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells far from equilibrium, everything drawn log-uniformly.

    T 20..1e6 K, total density 1e-2..1e3 cm^-3, weights of the species 1e-6..1 scaled to the mass fractions `X` and
    `Y` (`composition`) of H and He nuclei, electrons from neutrality (draws with more negative than positive ions are
    dropped), time step 10 yr..1 Myr.

    Parameters
    ----------
    system : System
        A network with species, H, He and charge laws, and T last.
    n : int
    seed : int

    Returns
    -------
    cells : ndarray of shape (n, n_vars)
        [cm^-3] and [K].
    dt : ndarray of shape (n,)
        [s].
    """
    names = system.names
    atoms = [k for k, name in enumerate(names) if name not in ("e-", "T")]
    low, high = DT_RANGE
    sampler = qmc.Sobol(len(atoms) + 3, seed=seed)
    cells, dts, found = [], [], 0
    while found < n:
        u = sampler.random(1 << max(int(np.ceil(np.log2(2 * (n - found) + 16))), 4))
        state = np.zeros((len(u), len(names)))
        state[:, atoms] = 10 ** (-6 + 6 * u[:, : len(atoms)])
        electrons = compose(system, state)
        state *= (10 ** (-2 + 5 * u[:, -3]) / state.sum(1))[:, None]
        state[:, names.index("T")] = 20 * (1e6 / 20) ** u[:, -2]
        good = electrons > 0
        cells.append(state[good])
        dts.append(low * (high / low) ** u[good, -1])
        found += good.sum()
    return np.concatenate(cells)[:n], np.concatenate(dts)[:n]


POPULATION = Population("wide", lambda system, n, seed, *_: wide(system, n, seed), is_primordial, DT_RANGE)
