"""One chunk of a label file from its recipe and number alone."""

import numpy as np

from surrogate.report import UNTOUCHED

from .. import populations
from .recipe import Recipe


def make_chunk(recipe: Recipe, solve, i: int) -> dict[str, np.ndarray]:
    """Chunk number `i` of a recipe; dict of str to ndarray."""
    system, rows = recipe.system, recipe.rows(i)
    n, seed = rows.stop - rows.start, populations.seed_of(recipe.split, recipe.seed, i)
    columns = populations.draw_params(system, n, seed, recipe.param_ranges)
    given = {p.name: column for p, column in zip(system.parameters, columns.T)}
    params = given if recipe.varied or system.time else {}
    if recipe.own is None:
        start, dt = populations.draw(
            recipe.population, system, n, seed, lambda cells, dt: solve(cells, dt, params), recipe.dt_range
        )
    else:
        start, dt = _own(recipe, rows, seed, given)
    dt = populations.draw_dts(dt, recipe.dts, seed, recipe.time_steps)
    end, status = walk(solve, start, dt, params)
    chunk = {"start": start, "dt": dt, "end": end, "status": status}
    return chunk | ({"params": columns} if recipe.varied else {})


def _own(recipe, rows, seed, params):
    """Cells of the user's own and time steps; writes their parameters into `params`."""
    chosen = recipe.own.rows(rows.start, rows.stop)
    for name, values in (chosen.params or {}).items():
        params[name][:] = values
    if chosen.dt is not None:
        return chosen.cells, chosen.dt
    return chosen.cells, populations.spread([recipe.time_steps], len(chosen), seed)[:, 0]


def walk(solve, start, dt, params):
    """Advance cells from each time step to the next; return the labels and their status.

    Parameters
    ----------
    solve : callable
        ``solve(cells, dt, params) -> status``, in place.
    start : ndarray of shape (n, n_vars)
    dt : ndarray of shape (n, dts)
        Increasing.
    params : dict of str to ndarray of shape (n,)

    Returns
    -------
    end : ndarray of shape (n, dts, n_vars)
        NaN where the solver failed.
    status : ndarray of int8 of shape (n, dts)

    Notes
    -----
    A cell that fails has failed for all longer steps as well.
    """
    end = np.full((*dt.shape, start.shape[1]), np.nan)
    status = np.zeros(dt.shape, np.int8)
    cells, alive = start.copy(), np.arange(len(start))
    time = np.zeros(len(start))
    for k, target in enumerate(dt.T):
        now = {name: (values + time if name == "t" else values)[alive] for name, values in params.items()}
        outcome = solve(cells, (target - time)[alive], now)
        good = outcome < UNTOUCHED
        status[alive, k:] = outcome[:, None]
        cells, alive, time = cells[good], alive[good], target
        end[alive, k] = cells
    return end, status
