"""Ranks that take steps together: errors are agreed upon, work is shared, reports are summed."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from mpi4py import MPI

from surrogate import balance
from surrogate._engine import ffi, lib
from surrogate.codes import PHASES
from surrogate.errors import RanksError, check
from surrogate.report import STATUS_NAMES, UNTOUCHED, Balance, audit_quantiles, fraction_accepted, named_reasons
from surrogate.transport import Transport, wait_until


@dataclass
class Exchange:
    """What an exchange of cells did on this rank; the times and amounts are those of surr_exchange_report."""

    predicted: tuple = (1.0, 1.0)  # largest over mean load of the ranks, before and after
    moved_work: float = 0.0  # done here for others, less that done elsewhere for this rank
    moved: tuple = (0, 0, 0)  # cells, bytes and messages sent
    solver_seconds: float = 0.0
    seconds: tuple = (0.0, 0.0, 0.0)  # for the plan, packing, and waiting

    @classmethod
    def of(cls, report):
        """Of the engine's report."""
        r = report
        return cls(
            (r.load_before, r.load_after),
            r.moved_work,
            (r.cells, r.bytes, r.messages),
            r.solver_seconds,
            (r.plan_seconds, r.pack_seconds, r.wait_seconds),
        )


class Ranks:
    """The ranks that take steps together. Making one is collective.

    Parameters
    ----------
    comm : mpi4py communicator
        Messages use a duplicate of it, made once per communicator.
    scope : {"world", "node", "off"}
        Who shares the solver's work: all ranks, those of a node first; the ranks of each node; nobody.
    tolerance : float
        Ranks with less than 1 + `tolerance` times the mean load send nothing.
    interval : int
        Steps for which a plan is used before the loads are asked for again.
    timeout : float or None
        Seconds after which a rank that does not answer is given up; None: never.
    """

    def __init__(self, comm, *, scope="world", tolerance=0.03, interval=1, timeout=None):
        self.comm, self.timeout = _duplicate(comm), None
        self.agree(lambda: _check_options(scope, min_gain=tolerance, balance_interval=interval, timeout=timeout))
        self.timeout = timeout
        self.is_balanced = scope != "off" and self.comm.size > 1
        node = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        leaders = self.comm.allgather(node.allreduce(self.comm.rank, op=MPI.MIN))
        #: those who share work
        peers = node if scope == "node" else self.comm
        nodes = leaders if scope == "world" and len(set(leaders)) > 1 else None
        self._transport = Transport(peers, timeout)
        self._exchange = self.agree(lambda: _make_exchange(peers.size, nodes, tolerance, interval))

    # ---- agreement --------------------------------------------------------------------------------------------------

    def agree(self, function):
        """Return what `function` returns, or raise on all ranks if it raises on one: RanksError on the others."""
        result, error = None, None
        try:
            result = function()
        except Exception as caught:
            error = caught
        if self.reduce([error is not None], MPI.MAX)[0]:
            messages = self.comm.allgather(error and f"{type(error).__name__}: {error}")
            if error is not None:
                raise error
            rank, message = next((rank, m) for rank, m in enumerate(messages) if m)
            raise RanksError(f"rank {rank} of {self.comm.size} could not take part: {message}")
        return result

    def agree_on(self, options):
        """Raise RanksError on all ranks if this dict differs between them: a hash goes round, words only if need be."""
        text = "\n".join(f"{name} = {value!r}" for name, value in options.items())
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")  # exact as float64
        lowest, highest = self.reduce([number, -number], MPI.MIN)
        if lowest == -highest:
            return
        for name, values in zip(options, zip(*self.comm.allgather(list(options.values())))):
            other = next((rank for rank, value in enumerate(values) if value != values[0]), None)
            if other is not None:
                raise RanksError(
                    f"{name} is {values[0]} on rank 0 and {values[other]} on rank {other}: all ranks need "
                    "the same model and options, to the last bit of the results"
                )

    def reduce(self, numbers, op):
        """Allreduce of numbers, as float64: exact for counts."""
        given, result = np.array(numbers, dtype=np.float64), np.empty(len(numbers))
        wait_until(self.comm.Iallreduce(given, result, op=op).Test, self)
        return result

    # ---- moving work ------------------------------------------------------------------------------------------------

    @property
    def is_due(self):
        """Whether somebody had more to do than the others in the last step: else the next one needs no exchange."""
        return bool(lib.surr_exchange_is_due(self._exchange))

    def exchange(self, work):
        """Solve the cells that wait in `work`, here or where there is less to do; collective.

        Cells that nobody has solved, because a rank could not, go on waiting for the flush.

        Returns
        -------
        Exchange
        """
        return Exchange.of(self._transport.run(self._exchange, work))

    # ---- reports ----------------------------------------------------------------------------------------------------

    def sum_report(self, report, model, done=None):
        """Return `report` with everything summed over the ranks; `done` is what the exchange did on this one."""
        done = done or Exchange()
        own = float(balance.work_of(report.cost).sum())
        here = own + done.moved_work
        columns = {
            "cells": [report.n_cells, report.solver_steps, own, here],
            "counts": report.counts.values(),
            "seconds": [report.seconds[phase] for phase in PHASES],
            "moved": done.moved,
            "phases": done.seconds,
            "audit": report.audit_counts,
            "outside": report.outside_counts,
            "outcomes": report.outcomes,
            "harvest": [report.harvest.cells if report.harvest else 0],
        }
        ends = np.cumsum([len(x) for x in columns.values()])
        total = self.reduce([x for column in columns.values() for x in column], MPI.SUM)
        total = dict(zip(columns, np.split(total, ends)))
        most = self.reduce([own, here, report.seconds["solver"], *done.predicted], MPI.MAX)
        n_cells, solver_steps = (int(x) for x in total["cells"][:2])
        counts = dict(zip(report.counts, map(int, total["counts"])))
        seconds = dict(zip(PHASES, total["seconds"].tolist()))
        audit_counts, outside_counts = (total[name].astype(np.int64) for name in ("audit", "outside"))
        outcomes = total["outcomes"].astype(np.int64)
        untouched = sum(counts[name] for code, name in STATUS_NAMES.items() if code >= UNTOUCHED)
        before, after, in_time = (
            float(x * self.comm.size / y) if y else 1.0 for x, y in zip(most, (*total["cells"][2:], seconds["solver"]))
        )
        check(lib.surr_exchange_note(self._exchange, before))
        moved = dict(zip(("cells", "bytes", "messages"), map(int, total["moved"])))
        phases = dict(zip(("plan", "pack", "wait"), total["phases"].tolist()))
        return replace(
            report,
            n_cells=n_cells,
            counts=counts,
            solver_steps=solver_steps,
            fraction_accepted=fraction_accepted(counts, n_cells - untouched),
            seconds=seconds,
            audit=audit_quantiles(audit_counts),
            audit_counts=audit_counts,
            outside=named_reasons(model, outside_counts),
            outside_counts=outside_counts,
            outcomes=outcomes,
            harvest=report.harvest and replace(report.harvest, cells=int(total["harvest"][0])),
            imbalance=after,
            balance=Balance(
                predicted=tuple(most[3:].tolist()),
                measured=(before, after),
                seconds_imbalance=in_time,
                seconds=phases,
                **moved,
            ),
        )


def _check_options(scope, **numbers):
    if scope not in ("world", "node", "off"):
        raise ValueError(f"balance is {scope!r}: choose 'world', 'node' or 'off'")
    for name, value in numbers.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} is {value!r}: give a positive number")


def _make_exchange(n_ranks, nodes, min_gain, interval):
    out = ffi.new("surr_exchange **")
    where = ffi.NULL if nodes is None else ffi.new("int32_t[]", nodes)
    check(lib.surr_exchange_create(n_ranks, where, min_gain, int(interval), out))
    return ffi.gc(out[0], lib.surr_exchange_free)


def world():
    """All ranks of this run."""
    return MPI.COMM_WORLD


_duplicates = []  # the key under which a communicator keeps its duplicate


def _duplicate(comm):
    """The duplicate of `comm` for messages of this module: collective the first time."""
    if not _duplicates:
        _duplicates.append(MPI.Comm.Create_keyval())
    own = comm.Get_attr(_duplicates[0])
    if own is None:
        own = comm.Dup()
        comm.Set_attr(_duplicates[0], own)
    return own
