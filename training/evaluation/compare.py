"""What a model would do with labelled cells at some tolerances, and what a step would cost: before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .leave_out import RTOLS
from .measure import measure

#: attempts of the solver that cost as much as an evaluation of the net, see `nets.calibration.CHEAP`
NET_ATTEMPTS = 2.0


@dataclass(frozen=True)
class Outcome:
    """What a model makes of the cells of a population at a tolerance.

    Attributes
    ----------
    rtol : float
    hard : int
        Cells that take the solver as many attempts as the calibration calls not cheap.
    taken : float
        Share of these that the net takes; nan if there is none.
    within : float
        Share of all cells taken whose every variable is within `rtol`; nan if none is.
    cost, solver_cost : float
        Attempts of the solver per cell, an evaluation of the net counted as `NET_ATTEMPTS`; those of the solver alone.
    """

    rtol: float
    hard: int
    taken: float
    within: float
    cost: float
    solver_cost: float


def outcomes(
    surrogate, domain, calibration, labels: Sequence, attempts: Mapping[float, np.ndarray], rtols=RTOLS
) -> list[Outcome]:
    """What a calibrated model would do with labelled cells.

    Parameters
    ----------
    surrogate : Surrogate
    domain : Domain
    calibration : Calibration
    labels : tuple of Tensor
        As from `label_tensors`.
    attempts : dict of float to ndarray of shape (n,)
        Attempts that the solver needs, at each of `rtols`; those of 0.01 say which cells are hard.

    Returns
    -------
    list of Outcome
        One for each of `rtols`.
    """
    state, dt, end, params = labels
    encoding = surrogate.encoding
    measured = measure(surrogate, state, dt, end, params, calibration.routes)
    inside = domain.holds(encoding, state, dt, encoding.of_params(params))
    bound = np.where(inside, calibration.bound(measured), np.inf)
    is_asked, hard = inside & (measured.attempts >= calibration.cheap), attempts[1e-2] >= calibration.cheap
    result = []
    for rtol in rtols:
        taken = bound <= rtol
        cost = np.where(taken, 0.0, attempts[rtol]) + NET_ATTEMPTS * is_asked
        result.append(
            Outcome(
                rtol,
                int(hard.sum()),
                float(taken[hard].mean()) if hard.any() else float("nan"),
                float((measured.worst[taken] <= rtol).mean()) if taken.any() else float("nan"),
                float(cost.mean()),
                float(attempts[rtol].mean()),
            )
        )
    return result


def table(before: Mapping[str, Sequence[Outcome]], after: Mapping[str, Sequence[Outcome]]) -> str:
    """A text with a block for each population: outcomes by name, as from `outcomes`."""
    lines = [
        "taken: share of the cells that are not cheap for the solver; within: how many of those taken are within rtol;",
        f"cost: attempts of the solver per cell, where a net is worth {NET_ATTEMPTS:g}",
        f"{'':<18}{'------- before -------':>28}{'------- after --------':>30}{'solver':>10}{'gain':>8}",
        f"{'':<18}" + f"{'taken':>10}{'within':>10}{'cost':>9}" * 2 + f"{'alone':>10}",
    ]
    for name, rows in before.items():
        lines.append(f"{name} ({rows[0].hard} cells)")
        for old, new in zip(rows, after[name]):
            numbers = "".join(f"{_percent(o.taken):>10}{_percent(o.within):>10}{o.cost:>9.1f}" for o in (old, new))
            lines.append(
                f"{f'  rtol {old.rtol:g}':<18}{numbers}{new.solver_cost:>10.1f}{old.cost / max(new.cost, 1e-9):>7.2f}x"
            )
    return "\n".join(lines)


def _percent(share):
    return "-" if share != share else f"{100 * share:.2f} %"
