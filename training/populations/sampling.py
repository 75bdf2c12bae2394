"""Points over ranges: what populations, parameters and time steps are drawn with."""

import numpy as np
from scipy.stats import qmc

from ..systems import System


def spread(ranges, n, seed):
    """Sobol points over `ranges`, logarithmic where the lower end is positive; shape (n, len(ranges))."""
    lower, upper = np.array(ranges, float).T
    u = qmc.Sobol(len(ranges), seed=np.random.default_rng(seed)).random_base2(max(n - 1, 1).bit_length())[:n]
    log = lower > 0
    safe = np.where(log, lower, 1.0)
    return np.where(log, safe * (np.where(log, upper, 1.0) / safe) ** u, lower + (upper - lower) * u)


def draw_params(system: System, n: int, seed: int, ranges: dict[str, tuple[float, float]]) -> np.ndarray:
    """Parameters over given ranges (logarithmic where positive), the others at their defaults.

    Parameters
    ----------
    system : System
    n, seed : int
    ranges : dict of str to tuple of float
        Lower and upper end by name of the parameter.

    Returns
    -------
    ndarray of shape (n, n_params)
    """
    names = [p.name for p in system.parameters]
    for name, (lower, upper) in ranges.items():
        if name not in names:
            raise ValueError(f"{system.name} has no parameter {name!r}; it has: {', '.join(names) or 'none'}")
        allowed = system.parameters[names.index(name)]
        if not allowed.lower <= lower < upper <= allowed.upper:
            raise ValueError(
                f"{name} ranges over {lower:g}..{upper:g}: give a range in {allowed.lower:g}..{allowed.upper:g}"
            )
    params = np.tile(system.parameter_values, (n, 1))
    if ranges:
        params[:, [names.index(name) for name in ranges]] = spread(list(ranges.values()), n, [seed, 1])
    return params


def draw_dts(dt: np.ndarray, n_dts: int, seed: int, dt_range: tuple[float, float]) -> np.ndarray:
    """Increasing time steps per cell: its own `dt` and ``n_dts - 1`` more, log-uniform; shape (len(dt), n_dts)."""
    low, high = dt_range
    more = low * (high / low) ** np.random.default_rng([seed, 2]).random((len(dt), n_dts - 1))
    return np.sort(np.concatenate([dt[:, None], more], axis=1), axis=1)
