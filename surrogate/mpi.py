"""MPI: the only file that talks to it. Errors are agreed upon, work is shared, reports are summed over the ranks."""

import hashlib
import os
import time
from dataclasses import dataclass, field, replace

import numpy as np
from mpi4py import MPI

from surrogate import balance, waiting
from surrogate.errors import ModelError
from surrogate.report import PHASES, STATUS_NAMES, UNTOUCHED, Balance, audit_quantiles, fraction_accepted, named_reasons

CELLS, RESULTS = 1, 2  # tags
#: cells that a thread solves between two looks at the messages: some of the engine's blocks
SLICE = 4096


@dataclass
class Exchange:
    """What an exchange of cells did on this rank."""

    predicted: tuple = (1.0, 1.0)  # largest over mean load of the ranks, before and after
    moved_work: float = 0.0  # done here for others, less that done elsewhere for this rank
    n_cells: int = 0  # sent away
    n_bytes: int = 0  # sent, cells and results
    n_messages: int = 0
    solver_seconds: float = 0.0
    seconds: dict = field(default_factory=lambda: {"plan": 0.0, "pack": 0.0, "wait": 0.0})


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
        self.tolerance, self._interval = tolerance, interval
        node = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        leaders = self.comm.allgather(node.allreduce(self.comm.rank, op=MPI.MIN))
        #: those who share work; and where they run, if that makes a difference
        self._peers = node if scope == "node" else self.comm
        self._nodes = leaders if scope == "world" and len(set(leaders)) > 1 else None
        self._age, self._loads, self._moves = interval, None, None
        self._pending = []  # requests, with their buffers

    # ---- agreement --------------------------------------------------------------------------------------------------

    def agree(self, function):
        """Return what `function` returns, or raise on all ranks if it raises on one: ModelError on the others."""
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
            raise ModelError(f"rank {rank} of {self.comm.size} could not take part: {message}")
        return result

    def agree_on(self, options):
        """Raise ModelError on all ranks if this dict differs between them: a hash goes round, words only if need be."""
        text = "\n".join(f"{name} = {value!r}" for name, value in options.items())
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")  # exact as float64
        lowest, highest = self.reduce([number, -number], MPI.MIN)
        if lowest == -highest:
            return
        for name, values in zip(options, zip(*self.comm.allgather(list(options.values())))):
            other = next((rank for rank, value in enumerate(values) if value != values[0]), None)
            if other is not None:
                raise ModelError(
                    f"{name} is {values[0]} on rank 0 and {values[other]} on rank {other}: all ranks need "
                    "the same model and options, to the last bit of the results"
                )

    def reduce(self, numbers, op):
        """Allreduce of numbers, as float64: exact for counts."""
        given, result = np.array(numbers, dtype=np.float64), np.empty(len(numbers))
        self._wait([self.comm.Iallreduce(given, result, op=op)])
        return result

    def _wait(self, requests):
        """Wait for all requests and return their statuses."""
        statuses = [MPI.Status() for _ in requests]
        self._until(lambda: MPI.Request.Testall(requests, statuses))
        return statuses

    def _until(self, is_done):
        """Ask until the answer is yes. After the timeout, nobody must use the communicator any more."""
        start, rounds = time.perf_counter(), 0
        while not is_done():
            rounds += 1
            if rounds < 200:
                os.sched_yield()
                continue
            time.sleep(2e-5)  # there may be more ranks than cores
            if self.timeout is not None and time.perf_counter() - start > self.timeout:
                _abandoned.append(self)
                raise ModelError(
                    f"rank {self.comm.rank} of {self.comm.size} has waited for another for {self.timeout:g} s: it has "
                    "failed or takes no step. End the run with comm.Abort(), or give a longer timeout"
                )

    # ---- moving work ------------------------------------------------------------------------------------------------

    def exchange(self, work, threads=1):
        """Solve the cells that wait in `work`, here or where there is less to do; collective.

        Cells that nobody has solved, because a rank could not, go on waiting for the flush.

        Returns
        -------
        Exchange
        """
        done = Exchange()
        start = time.perf_counter()
        cost = waiting.costs(work)
        share = self._plan(cost.sum())
        done.predicted = self._predict()
        moves, rank = self._moves, self._peers.rank
        gives, takes = moves.sender == rank, moves.receiver == rank
        _spend(done, "plan", start)
        if gives.any():
            self._send(work, cost, moves.receiver[gives], share * moves.amount[gives], threads, done)
        elif takes.any():
            self._help(work, len(cost), moves.sender[takes], moves.amount[takes], threads, done)
        self._pending = []
        return done

    def _plan(self, load):
        """Make the moves, or keep them; returns the fraction of its planned amounts that this rank has to give."""
        if self._age >= self._interval:
            self._age, self._loads = 0, np.empty(self._peers.size)
            self._wait([self._peers.Iallgather(np.array([load]), self._loads)])
            self._moves = balance.plan(self._loads, self._nodes, tolerance=self.tolerance, floor=balance.FLOOR)
        self._age += 1
        planned = self._loads[self._peers.rank]
        return min(1.0, load / planned) if planned else 0.0

    def _predict(self):
        mean = self._loads.mean()
        after = balance.loads_after(self._loads, self._moves)
        return tuple(float(x.max() / mean) if mean else 1.0 for x in (self._loads, after))

    def _send(self, work, cost, to, amount, threads, done):
        """Send the costliest cells away, solve the others, take the results."""
        start = time.perf_counter()
        n_out, n_back = waiting.width(work)
        which, count = balance.pick(cost, amount)
        *parts, kept = np.split(which, np.cumsum(count))
        packed = [waiting.take(work, part) for part in parts]
        results = [np.empty((len(part), n_back)) for part in parts]
        replies = [self._peers.Irecv(x, source=r, tag=RESULTS) for x, r in zip(results, to)]
        sends = [self._peers.Isend(x, dest=r, tag=CELLS) for x, r in zip(packed, to)]
        self._pending = [*replies, *sends]
        _spend(done, "pack", start)
        done.n_cells += sum(count)
        done.n_bytes += sum(x.nbytes for x in packed)
        done.n_messages += len(packed)
        self._solve_own(work, kept, threads, sends, done)
        start = time.perf_counter()
        statuses = self._wait(replies)
        self._wait(sends)
        start = _spend(done, "wait", start)
        for part, result, status in zip(parts, results, statuses):
            if status.Get_count(MPI.DOUBLE) == result.size:
                done.moved_work -= waiting.put(work, part, result)
        _spend(done, "pack", start)

    def _help(self, work, n_own, from_, amount, threads, done):
        """Solve the own cells, then those of others as they come, and send the results back."""
        n_out, n_back = waiting.width(work)
        arrived = [np.empty((int(most) + 1, n_out)) for most in amount]  # a cell costs 1 or more
        requests = [self._peers.Irecv(x, source=r, tag=CELLS) for x, r in zip(arrived, from_)]
        self._pending = [*requests]
        self._solve_own(work, np.arange(n_own), threads, requests, done)
        replies = []
        for _ in requests:
            start = time.perf_counter()
            i, n_doubles = self._wait_any(requests)
            _spend(done, "wait", start)
            n = n_doubles // n_out
            packed = arrived[i].reshape(-1)[:n_doubles]
            reply = packed[: n * n_back]
            try:
                spent, seconds = waiting.solve_packed(work, n, packed)
                done.moved_work += spent
                done.solver_seconds += seconds
            except (MemoryError, ModelError):
                reply = packed[:0]  # then the owner solves them
            replies.append(self._peers.Isend(reply, dest=from_[i], tag=RESULTS))
            self._pending.append(replies[-1])
            done.n_bytes += reply.nbytes
            done.n_messages += 1
        start = time.perf_counter()
        self._wait(replies)
        _spend(done, "wait", start)

    def _wait_any(self, requests):
        """Wait for one request; its number, and how many doubles came."""
        status, answer = MPI.Status(), [None, False]

        def is_done():
            answer[:] = MPI.Request.Testany(requests, status)
            return answer[1]

        self._until(is_done)
        return answer[0], status.Get_count(MPI.DOUBLE)

    def _solve_own(self, work, which, threads, requests, done):
        """Solve cells of this rank, keeping messages going: many MPI libraries move them in their own calls alone."""
        for first in range(0, len(which), SLICE * threads):
            try:
                done.solver_seconds += waiting.solve(work, which[first : first + SLICE * threads])
            except (MemoryError, ModelError):
                return  # the flush will say why
            for request in requests:
                request.Get_status()

    # ---- reports ----------------------------------------------------------------------------------------------------

    def sum_report(self, report, model, done=None):
        """Return `report` with everything summed over the ranks; `done` is what the exchange did on this one."""
        done = done or Exchange()
        own = float(waiting.work_of(report.cost).sum())
        here = own + done.moved_work
        columns = {
            "cells": [report.n_cells, report.solver_steps, own, here],
            "counts": report.counts.values(),
            "seconds": [report.seconds[phase] for phase in PHASES],
            "moved": [done.n_cells, done.n_bytes, done.n_messages],
            "phases": done.seconds.values(),
            "audit": report.audit_counts,
            "outside": report.outside_counts,
        }
        ends = np.cumsum([len(x) for x in columns.values()])
        total = self.reduce([x for column in columns.values() for x in column], MPI.SUM)
        total = dict(zip(columns, np.split(total, ends)))
        most = self.reduce([own, here, report.seconds["solver"], *done.predicted], MPI.MAX)
        n_cells, solver_steps = (int(x) for x in total["cells"][:2])
        counts = dict(zip(report.counts, map(int, total["counts"])))
        seconds = dict(zip(PHASES, total["seconds"].tolist()))
        audit_counts, outside_counts = (total[name].astype(np.int64) for name in ("audit", "outside"))
        untouched = sum(counts[name] for code, name in STATUS_NAMES.items() if code >= UNTOUCHED)
        before, after, in_time = (
            float(x * self.comm.size / y) if y else 1.0 for x, y in zip(most, (*total["cells"][2:], seconds["solver"]))
        )
        moved = dict(zip(("cells", "bytes", "messages"), map(int, total["moved"])))
        phases = dict(zip(done.seconds, total["phases"].tolist()))
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


def world():
    """All ranks of this run."""
    return MPI.COMM_WORLD


def _spend(done, phase, start):
    """Book the time since `start`; returns the time."""
    now = time.perf_counter()
    done.seconds[phase] += now - start
    return now


_abandoned = []  # MPI may still write into the buffers of those who gave up
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
