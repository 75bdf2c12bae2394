"""MPI: the only file that talks to it. Reports are reduced over the ranks; cells stay where they are."""

from dataclasses import replace

import numpy as np
from mpi4py import MPI

from surrogate.errors import ModelError
from surrogate.report import PHASES, audit_quantiles, fraction_accepted


def step_together(comm, prepare, run):
    """Take a step on every rank and return its report with the sums of all ranks.

    No rank touches a cell before all have found their arguments good. If `prepare` or `run` raises on some rank, it
    raises on every rank: its own error there, `ModelError` on the others, so that none waits for a message that never
    comes.

    Parameters
    ----------
    comm : mpi4py communicator
    prepare : callable
        Checks the arguments of this rank.
    run : callable
        Takes what `prepare` returned, advances the cells and returns a `Report`.

    Returns
    -------
    Report
    """
    prepared = agree(comm, prepare)
    return reduce_report(comm, agree(comm, lambda: run(prepared)))


def agree(comm, function):
    """Return what `function` returns, or raise on all ranks if it raises on one."""
    result, error = None, None
    try:
        result = function()
    except Exception as caught:
        error = caught
    if comm.allreduce(error is not None, op=MPI.LOR):
        messages = comm.allgather(error and f"{type(error).__name__}: {error}")
        if error is not None:
            raise error
        rank, message = next((rank, m) for rank, m in enumerate(messages) if m)
        raise ModelError(f"rank {rank} of {comm.size} could not take the step: {message}")
    return result


def reduce_report(comm, report):
    """Return `report` with counts, seconds and solver steps summed over the ranks of `comm`."""
    names = list(report.counts)
    numbers = np.array([report.n_cells, report.solver_steps, *report.counts.values()], dtype=np.int64)
    seconds = np.array([report.seconds[phase] for phase in PHASES])
    most = comm.allreduce(report.solver_steps, op=MPI.MAX)
    comm.Allreduce(MPI.IN_PLACE, numbers, op=MPI.SUM)
    comm.Allreduce(MPI.IN_PLACE, seconds, op=MPI.SUM)
    audit_counts = report.audit_counts.copy()
    comm.Allreduce(MPI.IN_PLACE, audit_counts, op=MPI.SUM)
    n_cells, solver_steps, *counts = (int(n) for n in numbers)
    counts = dict(zip(names, counts))
    untouched = counts["masked"] + counts["bad input"] + counts["failed"]
    return replace(
        report,
        n_cells=n_cells,
        counts=counts,
        solver_steps=solver_steps,
        fraction_accepted=fraction_accepted(counts, n_cells - untouched),
        seconds=dict(zip(PHASES, seconds.tolist())),
        audit=audit_quantiles(audit_counts),
        audit_counts=audit_counts,
        imbalance=most * comm.size / solver_steps if solver_steps else 1.0,
    )
