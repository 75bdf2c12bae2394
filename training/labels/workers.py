"""What computes chunks: this process, a pool of processes, or the ranks of MPI."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from .chunks import make_chunk
from .solver import open_solver


@contextlib.contextmanager
def workers(recipe, solve, processes, mpi):
    """What computes: a function from chunk numbers to chunks in that order, or None on an MPI rank that serves."""
    if not mpi and processes <= 1:
        yield partial(map, partial(make_chunk, recipe, solve))
        return
    try:
        pickle.dumps(recipe.advance)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"advance cannot be sent to other processes ({error}): define it at the top of a module "
            "and give its name, module:function"
        ) from error
    if mpi:
        from mpi4py.futures import MPICommExecutor

        pool = MPICommExecutor(initializer=_start, initargs=(recipe,))
    else:
        pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_process, (recipe,))
    with pool as executor:
        try:
            yield executor and partial(executor.map, _run)
        finally:
            if executor:
                executor.shutdown(wait=True, cancel_futures=True)


def _start_process(recipe):
    """Set up a process of the pool, which dies of an interrupt without a word and does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _start(recipe)


def _leave_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def _start(recipe):
    global _run_chunk
    _run_chunk = partial(make_chunk, recipe, open_solver(recipe))


def _run(i):
    return _run_chunk(i)
