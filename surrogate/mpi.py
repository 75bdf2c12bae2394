"""MPI: the only file that talks to it. Reports are reduced over the ranks; cells stay where they are."""

from dataclasses import replace

import numpy as np
from mpi4py import MPI

from surrogate.errors import ModelError
from surrogate.report import PHASES, fraction_accepted


def step_together(comm, step):
    """Call `step` on every rank and return its report with the sums of all ranks.

    If it raises on some rank, it raises on every rank: its own error there, `ModelError` on the others, so that none
    waits for a message that never comes.
    """
    report, error = None, None
    try:
        report = step()
    except Exception as caught:
        error = caught
    messages = comm.allgather(None if error is None else f"{type(error).__name__}: {error}")
    if error is not None:
        raise error
    failed = [rank for rank, message in enumerate(messages) if message is not None]
    if failed:
        raise ModelError(f"rank {failed[0]} of {comm.size} could not take the step, so none reports one: "
                         f"{messages[failed[0]]}")
    return reduce_report(comm, report)


def reduce_report(comm, report):
    """Return `report` with counts, seconds and solver steps summed over the ranks of `comm`."""
    names = list(report.counts)
    numbers = np.array([report.n_cells, report.solver_steps, *report.counts.values()], dtype=np.int64)
    seconds = np.array([report.seconds[phase] for phase in PHASES])
    most = comm.allreduce(report.solver_steps, op=MPI.MAX)
    comm.Allreduce(MPI.IN_PLACE, numbers, op=MPI.SUM)
    comm.Allreduce(MPI.IN_PLACE, seconds, op=MPI.SUM)
    n_cells, solver_steps, *counts = (int(n) for n in numbers)
    counts = dict(zip(names, counts))
    untouched = counts["masked"] + counts["bad input"] + counts["failed"]
    return replace(report, n_cells=n_cells, counts=counts, solver_steps=solver_steps,
                   fraction_accepted=fraction_accepted(counts, n_cells - untouched),
                   seconds=dict(zip(PHASES, seconds.tolist())),
                   imbalance=most * comm.size / solver_steps if solver_steps else 1.0)
