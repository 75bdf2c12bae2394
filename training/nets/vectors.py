"""Predictions that a model library keeps, to test itself with."""

import copy

import numpy as np
import torch

from ..populations import box, check_population, wide

#: at most so many
N_VECTORS = 16


def net_vectors(system, surrogate, domain, calibration, cells=None, n=N_VECTORS):
    """Predictions in double precision for `surr_model_selftest`, of at most `n` cells.

    `cells` are states and time steps to choose from, tensors; if not given, random ones.

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
            drawn = box(system, 100 * n, 3, (surrogate.encoding.dt_lower, 10.0 ** domain.upper[-1]))
        cells = (torch.from_numpy(x) for x in drawn)
    state, dt = cells
    exact = copy.deepcopy(surrogate).double()
    with torch.no_grad():
        end, predicted = exact(state, dt)
        single, _ = surrogate(state, dt)
        exact.encoding.laws = exact.encoding.laws[:0]
        bare, _ = exact(state, dt)
    place = (torch.log10(predicted) - calibration.lower) / calibration.width
    good = torch.from_numpy(domain.holds(surrogate.encoding, state, dt)) & ((place - place.round()).abs() > 0.01)
    good &= ((single / end - 1).abs() < 1e-5).all(1) & ((end / bare - 1).abs() < 0.4).all(1)
    chosen = good.nonzero()[:n, 0]
    return {
        "net_y": state[chosen].numpy(),
        "net_dt": dt[chosen].numpy(),
        "net_param": np.tile(system.parameter_values, (len(chosen), 1)),
        "net_end": end[chosen].numpy(),
        "net_error": calibration(predicted[chosen].numpy()),
    }
