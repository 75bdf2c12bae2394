"""What a step did: how every cell was advanced, and what it cost."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from surrogate._engine import ffi, lib
from surrogate.codes import PHASES, STATUS_WORDS, Status
from surrogate.coverage import Coverage
from surrogate.errors import check
from surrogate.harvest import Harvest

#: Name of every cell status that a step can leave, by its number.
STATUS_NAMES = {code: words for code, words in STATUS_WORDS.items() if code != Status.QUEUED}

#: First status of the cells that were left alone.
UNTOUCHED = Status.MASKED

AUDIT_QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class Balance:
    """How evenly the ranks shared the solver's work in a step, and what sharing cost. Imbalance: largest over mean.

    Attributes
    ----------
    predicted : tuple of float
        Imbalance of the expected work of the cells that could move, before and after.
    measured : tuple of float
        Imbalance of the solver's work (its attempts; half of one for a cell that takes only one): counted for the rank
        that owns the cell, and for the one that solved it.
    seconds_imbalance : float
        Imbalance of the solver's seconds.
    cells, bytes, messages : int
        Sent by all ranks; bytes and messages both ways.
    seconds : dict of str to float
        Time of all ranks for the plan, with the wait for the last rank, for packing, and waiting for messages [s].
    """

    predicted: tuple[float, float]
    measured: tuple[float, float]
    seconds_imbalance: float
    cells: int
    bytes: int
    messages: int
    seconds: dict[str, float]

    def __str__(self) -> str:
        text = (
            f"imbalance {self.measured[0]:.2f} -> {self.measured[1]:.2f} (predicted {self.predicted[0]:.2f} -> "
            f"{self.predicted[1]:.2f}, in seconds {self.seconds_imbalance:.2f}): {self.cells} cells, "
            f"{self.bytes / 1e6:.3g} MB in {self.messages} messages; "
        )
        return text + ", ".join(f"{phase} {1e3 * s:.3g} ms" for phase, s in self.seconds.items())


@dataclass(frozen=True)
class Report:
    """The outcome of one step.

    With a communicator, everything but `status` covers all ranks.

    Attributes
    ----------
    n_cells : int
    model : str
        Name of the model.
    rtol : float
        The tolerance of the stepper.
    counts : dict of str to int
        Number of cells by status name: net, outside, error, audit, solver (advanced), masked, bad input, failed,
        stalled (left untouched).
    fraction_accepted : float
        Share of the advanced cells that took the net; nan if none was advanced.
    solver_steps : int
        Step attempts of the solver, over all cells.
    seconds : dict of str to float
        Time by phase (gather, net, solver, scatter), summed over threads and ranks [s].
    audit : dict of float to float
        Error of the net, |y/y_solver - 1| over all variables that are no traces, in the cells audited since the stepper
        was made: by quantile (0.5, 0.9, 0.99 and 1, the largest), 12 % too large at most. Empty where none was.
    outside : dict of str to int
        What put cells outside the domain of the net, by the name of the variable or parameter, "total density", "time
        step", "proportions" (of elements and charge), or "combination", where no value alone is odd, but no cell of the
        training was like it: how many cells, each counted once.
    imbalance : float
        Largest over mean number of solver steps that a rank made; 1 without a communicator.
    balance : Balance or None
        How the ranks shared the solver's work; None without a communicator.
    status : ndarray of int8
        Status of this rank's cells, in their shape: below 32 the cell holds its new state, else it is untouched.
    cost : ndarray of float
        Step attempts of the solver for each of this rank's cells: 0 where the net or nobody advanced it.
    coverage : Coverage or None
        What the audit has found since the stepper was made; None without an audit.
    harvest : Harvest or None
        What the step has added to the harvest; None without one.
    audit_counts, outside_counts, outcomes : ndarray of int64
        The counts behind `audit` and `outside`, and those of the controller in this step, as in surrogate.h.
    """

    n_cells: int
    counts: dict[str, int]
    fraction_accepted: float
    solver_steps: int
    seconds: dict[str, float]
    audit: dict[float, float] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    model: str = ""
    rtol: float = float("nan")
    imbalance: float = 1.0
    balance: Balance | None = None
    coverage: Coverage | None = None
    harvest: Harvest | None = None
    status: NDArray[np.int8] = field(default=None, repr=False, compare=False)
    cost: NDArray[np.floating] = field(default=None, repr=False, compare=False)
    audit_counts: NDArray[np.int64] = field(default=None, repr=False, compare=False)
    outside_counts: NDArray[np.int64] = field(default=None, repr=False, compare=False)
    outcomes: NDArray[np.int64] = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        total = max(self.n_cells, 1)
        of = f"{self.n_cells} cells of {self.model} at rtol {self.rtol:g}"
        lines = [
            f"{of}, {100 * self.fraction_accepted:.1f} % by the net"
            if self.fraction_accepted == self.fraction_accepted
            else f"{of}, none advanced"
        ]
        lines += [f"  {name:<10}{n:>12}  {100 * n / total:6.2f} %" for name, n in self.counts.items() if n]
        if self.outside:
            lines.append(f"  outside by {', '.join(f'{name} ({n})' for name, n in self.outside.items())}"[:80])
        lines.append(
            f"  solver steps {self.solver_steps}, {self.solver_steps / total:.1f} per cell, "
            f"imbalance {self.imbalance:.2f}"
        )
        lines.append("  " + ", ".join(f"{phase} {1e3 * s:.3g} ms" for phase, s in self.seconds.items()))
        if self.balance:
            lines.append(f"  {self.balance}")
        if self.audit:
            errors = [f"{'largest' if q == 1 else f'{100 * q:g} %'} {e:.2g}" for q, e in self.audit.items()]
            lines.append("  error of audited cells: " + ", ".join(errors))
        if self.coverage and self.coverage.audited:
            lines.append(f"  {self.coverage}")
        if self.harvest:
            lines.append(f"  {self.harvest}")
        return "\n".join(lines)


def make_report(model, rtol, status, cost, stat, seconds, audit_counts, outside_counts, outcomes) -> Report:
    """Build a report from the engine's answer; what it counts as surrogate.h orders it."""
    n_cells, *advanced, _untouched, solver_steps = stat
    by_code = np.bincount(status.reshape(-1), minlength=64) if status.size else np.zeros(64, dtype=int)
    counts = {name: int(by_code[code]) for code, name in STATUS_NAMES.items()}
    return Report(
        n_cells=n_cells,
        counts=counts,
        fraction_accepted=fraction_accepted(counts, sum(advanced)),
        solver_steps=solver_steps,
        seconds=dict(zip(PHASES, seconds)),
        audit=audit_quantiles(audit_counts),
        outside=named_reasons(model, outside_counts),
        model=model.name,
        rtol=float(rtol),
        status=status,
        cost=cost,
        audit_counts=audit_counts,
        outside_counts=outside_counts,
        outcomes=outcomes,
    )


def named_reasons(model, counts: NDArray[np.int64]) -> dict[str, int]:
    """`Report.outside` from the engine's counts, the most frequent reason first."""
    variables, parameters = ([v.name for v in fields] for fields in (model.variables, model.parameters))
    names = ["combination", *variables, "total density", "time step", "proportions", *parameters]
    return {names[i]: int(counts[i]) for i in np.argsort(-counts, kind="stable") if counts[i]}


def audit_quantiles(counts: NDArray[np.int64]) -> dict[float, float]:
    """Errors at the `AUDIT_QUANTILES` of a histogram; empty if it is."""
    error = ffi.new("double *")
    result = {}
    for q in AUDIT_QUANTILES if counts.any() else ():
        check(lib.surr_audit_quantile(ffi.from_buffer("int64_t[]", counts), q, error))
        result[q] = error[0]
    return result


def fraction_accepted(counts: dict[str, int], n_advanced: int) -> float:
    """Share of `n_advanced` cells that took the net."""
    return counts[STATUS_NAMES[Status.NET]] / n_advanced if n_advanced else float("nan")
