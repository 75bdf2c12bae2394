"""How the promise of a net holds on populations that had no say in it: each is left out in turn."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import beta

from ..nets.calibration import Calibration, doubt_of
from .measure import Measured

#: tolerances of the table
RTOLS = (0.1, 0.03, 0.01)


def leave_one_out(
    populations: Mapping[str, tuple[Measured, np.ndarray]], calibration: Calibration, rtols: Sequence[float] = RTOLS
) -> list[dict]:
    """What is taken of each population, and how much of that is right, with thresholds of all the others.

    Parameters
    ----------
    populations : dict of str to (Measured, ndarray of bool)
        By name; the second says which cells are in the domain.
    calibration : Calibration
        For what it calls cheap, for its change and coverage; its thresholds are found anew.
    rtols : sequence of float

    Returns
    -------
    list of dict
        ``population``, ``rtol``, ``share`` (taken of the cells that are not cheap), ``coverage`` of these and its exact
        binomial lower ``bound`` at 95 %; both are None where none is taken.
    """
    from ..fit.calibrate import limits

    parts, rows = {}, []
    for name, (measured, holds) in populations.items():
        hard = measured.attempts >= calibration.cheap
        score = np.where(holds, doubt_of(measured, calibration.change), np.inf)
        parts[name] = score[hard], measured.worst[hard], measured.judged[hard]
    factor = calibration.hopeless
    for name, (score, worst, judged) in parts.items():
        others = [tuple(x[np.isfinite(p[0])] for x in p) for other, p in parts.items() if other != name]
        allowed = limits([p for p in others if len(p[0])], rtols, calibration.coverage, hopeless=factor)
        for rtol, limit in zip(rtols, allowed):
            taken = np.isfinite(score) & (score <= limit) & (judged <= factor * rtol)
            n, good = int(taken.sum()), int((worst[taken] <= rtol).sum())
            rows.append(
                {
                    "population": name,
                    "rtol": rtol,
                    "share": float(taken.mean()) if len(taken) else 0.0,
                    "coverage": good / n if n else None,
                    "bound": float(beta.ppf(0.05, good, n - good + 1)) if n and good else None,
                }
            )
    return rows


def table(rows: Sequence[dict]) -> str:
    """The result of `leave_one_out` as a text, a population per line."""
    rtols, names = (list(dict.fromkeys(row[key] for row in rows)) for key in ("rtol", "population"))
    width = max(map(len, names), default=0) + 1
    lines = [
        "each population with the thresholds of all others: share taken of the cells that are not cheap, and how many",
        "of these are within rtol (95 % lower bound)",
        f"{'':<{width}}" + "".join(f"{f'rtol {r:g}':>24}" for r in rtols),
    ]
    for name in names:
        cells = []
        for row in (row for row in rows if row["population"] == name):
            right = "" if row["coverage"] is None else f"{100 * row['coverage']:6.2f} ({100 * (row['bound'] or 0):.2f})"
            cells.append(f"{100 * row['share']:7.1f} %{right:>15}")
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)
