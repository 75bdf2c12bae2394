"""How good a surrogate is, and how well it knows its errors, in numbers."""

from typing import Any

import numpy as np
import torch

from .measure import Measured, measure, relative_errors

QUANTILES = (0.5, 0.75, 0.9, 0.99, 0.999, 1.0)


def score(encoding, measured: Measured, rtol: float = 1e-2) -> dict[str, Any]:
    """Errors of predictions against labels, from what was `Measured`.

    Returns
    -------
    dict
        ``quantiles`` (log10, at `QUANTILES`) over all counted variables, ``variables`` (90 % per variable, by name),
        ``within`` (share of cells with every variable within `rtol`), ``ranking`` (share of cells that could be
        accepted with 99 % of them within `rtol`, by the predicted error).
    """
    errors, counts = measured.errors, measured.counts
    stacked = errors[counts].numpy()
    with np.errstate(divide="ignore"):
        logs = np.log10(np.quantile(stacked, QUANTILES))
        per_variable = {
            name: float(np.log10(np.quantile(errors[counts[:, k], k].numpy(), 0.9)))
            for k, name in enumerate(encoding.names)
            if counts[:, k].any()
        }
    return {
        "quantiles": [round(float(q), 3) for q in logs],
        "variables": per_variable,
        "within": float((measured.worst <= rtol).mean()),
        "ranking": accepted_share(measured.predicted, measured.worst, rtol),
    }


def accepted_share(predicted: np.ndarray, incurred: np.ndarray, rtol: float, coverage: float = 0.99) -> float:
    """Largest share of cells, taken by ascending predicted error, of which `coverage` are within `rtol`."""
    order = np.argsort(predicted)
    good = np.cumsum(incurred[order] <= rtol) / np.arange(1, len(order) + 1)
    passing = np.flatnonzero(good >= coverage)
    return float((passing[-1] + 1) / len(order)) if len(passing) else 0.0


def evaluate_file(
    surrogate,
    domain,
    calibration,
    state: torch.Tensor,
    dt: torch.Tensor,
    end: torch.Tensor,
    params: torch.Tensor | None = None,
    rtols: tuple[float, ...] = (0.1, 3e-2, 1e-2, 1e-3),
) -> tuple[dict[str, Any], Measured, np.ndarray]:
    """`score` plus what the calibrated model would do at some tolerances.

    Returns
    -------
    result : dict
        With ``nothing``, the log10 quantiles of the error of doing nothing; ``cheap``, the share of cells left to the
        solver because it is quick there; ``decisions``, rows of (rtol, share accepted, share of the accepted with every
        variable within rtol, None where none is).
    measured : Measured
    inside : ndarray of bool, shape (n,)
        Which cells are in the domain.
    """
    measured = measure(surrogate, state, dt, end, params, calibration.routes)
    worst, counts = measured.worst, measured.counts
    result = score(surrogate.encoding, measured)
    nothing = relative_errors(surrogate.encoding, state, end)[0][counts].numpy()
    with np.errstate(divide="ignore"):
        result["nothing"] = [round(float(q), 2) for q in np.log10(np.quantile(nothing, QUANTILES))]
    inside = domain.holds(surrogate.encoding, state, dt, surrogate.encoding.of_params(params))
    cheap = measured.attempts < calibration.cheap
    result["cheap"] = float((inside & cheap).mean())
    bound = np.where(inside, calibration.bound(measured), np.inf)
    result["decisions"] = []
    for rtol in rtols:
        accepted = bound <= rtol
        kept = float((worst[accepted] <= rtol).mean()) if accepted.any() else None
        result["decisions"].append((rtol, float(accepted.mean()), kept))
    return result, measured, inside
