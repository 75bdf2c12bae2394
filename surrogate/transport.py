"""The messages of an exchange between ranks, over mpi4py: a transport as in surrogate_balance.h.

The engine calls the functions at the end of this file, from within `surr_exchange_run`. An exception must not pass
through C: it is kept, the engine is told, and `Transport.run` raises it.
"""

import os
import time

from mpi4py import MPI

from surrogate._engine import ffi, lib
from surrogate.errors import RanksError, check

TAG = 1


class Transport:
    """Messages among the ranks of a communicator.

    Parameters
    ----------
    comm : mpi4py communicator
        Of those who share work.
    timeout : float or None
        Seconds after which a rank that does not answer is given up; None: never.
    """

    def __init__(self, comm, timeout=None):
        self.comm, self.timeout, self.error = comm, timeout, None
        self.requests = [MPI.REQUEST_NULL] * (2 * comm.size)
        self._handle = ffi.new_handle(self)
        self._functions = ffi.new(
            "surr_transport *",
            {
                "context": self._handle,
                "rank": comm.rank,
                "gather": lib.surr_py_gather,
                "send": lib.surr_py_send,
                "receive": lib.surr_py_receive,
                "wait": lib.surr_py_wait,
                "progress": lib.surr_py_progress,
            },
        )

    def run(self, exchange, work):
        """One exchange of the engine; returns its report."""
        report = ffi.new("surr_exchange_report *")
        self.error = None
        code = lib.surr_exchange_run(exchange, work, self._functions, report)
        if self.error is not None:
            raise self.error
        check(code)
        return report

    # ---- what the engine asks for -----------------------------------------------------------------------------------

    def gather(self, own, everybody):
        """Numbers of all ranks."""
        wait_until(self.comm.Iallgather([own, 1, MPI.DOUBLE], [everybody, 1, MPI.DOUBLE]).Test, self)

    def send(self, request, rank, numbers):
        """Begin to send a buffer of doubles."""
        self.requests[request] = self.comm.Isend([numbers, MPI.DOUBLE], dest=rank, tag=TAG)

    def receive(self, request, rank, numbers):
        """Begin to receive into a buffer of doubles."""
        self.requests[request] = self.comm.Irecv([numbers, MPI.DOUBLE], source=rank, tag=TAG)

    def wait(self, first, n):
        """Wait for one of n requests from the first on; which, and how many doubles came."""
        status, done = MPI.Status(), []

        def is_done():
            for i, request in enumerate(self.requests[first : first + n]):
                if request != MPI.REQUEST_NULL and (count := _doubles_of(request, status)) is not None:
                    done[:] = i, count
                    self.requests[first + i] = MPI.REQUEST_NULL
                    return True
            return False

        wait_until(is_done, self)
        return done

    def progress(self):
        """Let messages move: many MPI libraries do so in their own calls alone."""
        for request in self.requests:
            if request != MPI.REQUEST_NULL:
                request.Get_status()


def _doubles_of(request, status):
    """Doubles of a message if it is there, else None; 0 for one that did not fit."""
    try:
        return status.Get_count(MPI.DOUBLE) if request.Test(status) else None
    except MPI.Exception as error:
        if error.Get_error_class() == MPI.ERR_TRUNCATE:
            return 0
        raise


#: transports and buffers that MPI may still write into, of those who gave up waiting
_abandoned = []


def wait_until(is_done, owner):
    """Ask until the answer is yes; RanksError after the timeout of `owner`, a Transport or `Ranks`.

    After that nobody must use the communicator any more.
    """
    start, rounds = time.perf_counter(), 0
    while not is_done():
        rounds += 1
        if rounds < 200:
            os.sched_yield()
            continue
        time.sleep(2e-5)  # there may be more ranks than cores
        if owner.timeout is not None and time.perf_counter() - start > owner.timeout:
            _abandoned.append((owner, is_done))
            raise RanksError(
                f"rank {owner.comm.rank} of {owner.comm.size} has waited for another for {owner.timeout:g} s: it has "
                "failed or takes no step. End the run with comm.Abort(), or give a longer timeout"
            )


# ---- what the engine calls ------------------------------------------------------------------------------------------


def _guarded(context, function):
    """SURR_OK, or an error code where `function` has raised what `Transport.run` will raise."""
    transport = ffi.from_handle(context)
    try:
        function(transport)
    except BaseException as error:
        transport.error = error
        return lib.SURR_E_MPI
    return lib.SURR_OK


def _buffer(x, n):
    return ffi.buffer(x, 8 * n) if n else b""


@ffi.def_extern(error=lib.SURR_E_MPI)
def surr_py_gather(context, own, everybody):
    number = ffi.new("double *", own)
    return _guarded(context, lambda t: t.gather(ffi.buffer(number), ffi.buffer(everybody, 8 * t.comm.size)))


@ffi.def_extern(error=lib.SURR_E_MPI)
def surr_py_send(context, request, rank, x, n):
    return _guarded(context, lambda t: t.send(request, rank, _buffer(x, n)))


@ffi.def_extern(error=lib.SURR_E_MPI)
def surr_py_receive(context, request, rank, x, n):
    return _guarded(context, lambda t: t.receive(request, rank, ffi.buffer(x, 8 * n) if n else bytearray()))


@ffi.def_extern(error=lib.SURR_E_MPI)
def surr_py_wait(context, first, n, request, count):
    def wait(transport):
        request[0], count[0] = transport.wait(first, n)

    return _guarded(context, wait)


@ffi.def_extern()
def surr_py_progress(context):
    _guarded(context, Transport.progress)
