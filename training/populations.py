"""Populations of cells with fixed seeds, shared by training, tests and benchmarks (interstellar networks)."""

import numpy as np
from scipy.stats import qmc

from .systems.network import MYR, YEAR

#: mass fractions of hydrogen and helium nuclei
X, Y = 0.7, 0.3


def wide(system, n, seed):
    """Cells far from equilibrium, everything drawn log-uniformly.

    T 20..1e6 K, total density 1e-2..1e3 cm^-3, weights of the species 1e-6..1 scaled to the mass fractions `X` and
    `Y` of H and He nuclei, electrons from neutrality (draws with more negative than positive ions are dropped),
    time step 10 yr..1 Myr.

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
    names, laws = system.names, system.conserved
    atoms = [k for k, name in enumerate(names) if name not in ("e-", "T")]
    hydrogen, helium, charge = (np.array(laws[law]) for law in ("H", "He", "charge"))
    mass = np.array([v.mass for v in system.variables])
    sampler = qmc.Sobol(len(atoms) + 3, seed=seed)
    cells, dts, found = [], [], 0
    while found < n:
        u = sampler.random(1 << max(int(np.ceil(np.log2(2 * (n - found) + 16))), 4))
        state = np.zeros((len(u), len(names)))
        state[:, atoms] = 10 ** (-6 + 6 * u[:, : len(atoms)])
        for law, fraction in ((hydrogen, X), (helium, Y)):
            members = [k for k in atoms if law[k] > 0]
            state[:, members] *= fraction / (state[:, members] @ mass[members])[:, None]
        electrons = state @ charge
        state[:, names.index("e-")] = electrons
        state *= (10 ** (-2 + 5 * u[:, -3]) / state.sum(1))[:, None]
        state[:, names.index("T")] = 20 * (1e6 / 20) ** u[:, -2]
        good = electrons > 0
        cells.append(state[good])
        dts.append(10 * YEAR * (MYR / (10 * YEAR)) ** u[good, -1])
        found += good.sum()
    return np.concatenate(cells)[:n], np.concatenate(dts)[:n]


def relaxed(system, n, seed, advance):
    """`wide` cells evolved for a log-uniform 10 yr..10 Myr, with new time steps as in `wide`.

    Parameters
    ----------
    advance : callable
        ``advance(cells, dt)`` advances in place, e.g. ``stepper.step``.
    """
    cells, dt = wide(system, n, seed)
    age = 10 * YEAR * 1e6 ** np.random.default_rng(seed).random(n)
    advance(cells, age)
    return cells, dt
