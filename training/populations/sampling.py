"""Points over ranges: what populations, parameters and time steps are drawn with."""

import numpy as np
from scipy.stats import qmc

from ..systems import System

#: share of the cells that keep the default of a parameter that varies
AT_DEFAULT = 0.125
#: share of the cells that have none of a parameter that may be absent
AT_ZERO = 0.125


def spread(ranges, n, seed):
    """Sobol points over `ranges`, logarithmic where the lower end is positive; shape (n, len(ranges))."""
    lower, upper = np.array(ranges, float).T
    u = qmc.Sobol(len(ranges), seed=np.random.default_rng(seed)).random_base2(max(n - 1, 1).bit_length())[:n]
    log = lower > 0
    safe = np.where(log, lower, 1.0)
    return np.where(log, safe * (np.where(log, upper, 1.0) / safe) ** u, lower + (upper - lower) * u)


def draw_params(system: System, n: int, seed: int, ranges: dict[str, tuple[float, ...]]) -> np.ndarray:
    """Parameters over given ranges (logarithmic where positive), the others at their defaults.

    `AT_DEFAULT` of the cells have the default of each parameter, if it is in its range: what hosts leave alone. Of a
    parameter that may be absent, as a radiation field may, `AT_ZERO` of the cells have none.

    Parameters
    ----------
    system : System
    n, seed : int
    ranges : dict of str to tuple of float
        Lower and upper end by name of the parameter; with a 0 before them, ``(0, lower, upper)``, it may be absent.

    Returns
    -------
    ndarray of shape (n, n_params)
    """
    names = [p.name for p in system.parameters]
    absent = [len(ends) == 3 for ends in ranges.values()]
    for name, ends in ranges.items():
        *zero, lower, upper = ends
        if name not in names:
            raise ValueError(f"{system.name} has no parameter {name!r}; it has: {', '.join(names) or 'none'}")
        allowed = system.parameters[names.index(name)]
        if zero and not (zero == [0] and allowed.lower <= 0 < lower):
            raise ValueError(
                f"{name} is 0 or {lower:g}..{upper:g}: give a positive range of a parameter that may be 0; "
                f"{name} may be {allowed.lower:g}..{allowed.upper:g}"
            )
        if not allowed.lower <= lower < upper <= allowed.upper:
            raise ValueError(
                f"{name} ranges over {lower:g}..{upper:g}: give a range in {allowed.lower:g}..{allowed.upper:g}"
            )
    params = np.tile(system.parameter_values, (n, 1))
    if ranges:
        columns = [names.index(name) for name in ranges]
        ends = [x[-2:] for x in ranges.values()]
        drawn, defaults = spread(ends, n, [seed, 1]), params[:, columns]
        lower, upper = np.array(ends, float).T
        left = np.random.default_rng([seed, 6]).random(drawn.shape) < AT_DEFAULT
        params[:, columns] = np.where(left & (lower <= defaults) & (defaults <= upper), defaults, drawn)
        if any(absent):
            none = np.random.default_rng([seed, 7]).random(drawn.shape) < AT_ZERO
            params[:, columns] = np.where(none & absent, 0.0, params[:, columns])
    return params


def draw_dts(dt: np.ndarray, n_dts: int, seed: int, dt_range: tuple[float, float]) -> np.ndarray:
    """Increasing time steps per cell: its own `dt` and ``n_dts - 1`` more, log-uniform; shape (len(dt), n_dts)."""
    low, high = dt_range
    more = low * (high / low) ** np.random.default_rng([seed, 2]).random((len(dt), n_dts - 1))
    return np.sort(np.concatenate([dt[:, None], more], axis=1), axis=1)
