"""Predictions that a model library keeps, to test itself with."""

import copy

import numpy as np
import torch

from ..populations import box, check_population, wide
from .routes import by_routes

#: at most so many
N_VECTORS = 16
#: what routes may be apart: where they are further, a leg may be about to break a law beyond repair
AGREEING = 0.3


def net_vectors(system, surrogate, domain, calibration, cells=None, n=N_VECTORS):
    """Predictions in double precision for `surr_model_selftest`, of at most `n` cells.

    `cells` are states, time steps and, where they vary, parameters to choose from, tensors; if not given, random ones.

    Cells of the domain whose outcome single precision cannot turn: well inside a step of the calibration, predicted
    alike by both precisions, not close to what counts as beyond repair.

    Returns
    -------
    dict of str to ndarray
        ``net_y``, ``net_dt``, ``net_param``, ``net_end``, ``net_error``, a row per cell.
    """
    if cells is None:
        try:
            check_population("wide", system)
            drawn = wide(system, 100 * n, seed=3)
        except ValueError:
            drawn = box(
                system, 100 * n, 3, (surrogate.encoding.dt_lower, 10.0 ** domain.upper[surrogate.encoding.dt_column])
            )
        cells = (torch.from_numpy(x) for x in drawn)
    state, dt, *params = cells
    encoding, params = surrogate.encoding, params[0] if params else None
    exact = copy.deepcopy(surrogate).double()
    with torch.no_grad():
        end, predicted = exact(state, dt, params)
        single, _ = surrogate(state, dt, params)
        bare = copy.deepcopy(exact)
        bare.encoding.laws = bare.encoding.laws[:0]
        repair = end / bare(state, dt, params)[0] - 1
        if calibration.routes:
            end, predicted = by_routes(exact, state, dt, params, end, calibration.routes)
            single, _ = by_routes(surrogate, state, dt, params, single, calibration.routes)
    place = (torch.log10(predicted) - calibration.lower) / calibration.width
    good = torch.from_numpy(domain.holds(encoding, state, dt, params)) & ((place - place.round()).abs() > 0.02)
    if calibration.routes:
        good &= predicted < AGREEING
    good &= ((single / end - 1).abs() < 1e-5).all(1) & (repair.abs() < 0.4).all(1)
    chosen = good.nonzero()[:n, 0]
    columns = np.tile(system.parameter_values, (len(chosen), 1))
    if params is not None:
        columns[:, encoding.input_columns] = params[chosen].numpy()
    return {
        "net_y": state[chosen].numpy(),
        "net_dt": dt[chosen].numpy(),
        "net_param": columns,
        "net_end": end[chosen].numpy(),
        "net_error": calibration(predicted[chosen].numpy()),
    }
