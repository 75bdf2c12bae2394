"""The cells that wait in a work of the engine: what they cost, how they leave, and how they come back.

A packed cell is a row of numbers for the sake of messages alone: its parts are spread over the whole array, see
surrogate_balance.h.
"""

import numpy as np

from surrogate._engine import ffi, lib
from surrogate.errors import check


def size(work):
    """Number of cells that wait."""
    n = ffi.new("int64_t *")
    check(lib.surr_queue_size(work, n))
    return n[0]


def width(work):
    """Numbers per cell that goes out, and that comes back."""
    n_out, n_back = ffi.new("int32_t *"), ffi.new("int32_t *")
    check(lib.surr_queue_width(work, n_out, n_back))
    return n_out[0], n_back[0]


def costs(work):
    """Work that every waiting cell is expected to need, in the unit of `work_of`."""
    cost = np.empty(size(work))
    check(lib.surr_queue_costs(work, _doubles(cost)))
    return cost


def work_of(cost):
    """Work on each cell that took `cost` attempts: two each, but one for the quick first attempt if that was enough.

    As in bindings/engine/cost.c.
    """
    return np.where(cost == 1, 1.0, 2.0 * cost)


def take(work, which):
    """Pack cells; they go on waiting. Array of shape (len(which), n_out)."""
    packed = np.empty((len(which), width(work)[0]))
    check(lib.surr_queue_take(work, len(which), _cells(which), _doubles(packed)))
    return packed


def put(work, which, results):
    """Give cells their results; returns the work on them."""
    spent = ffi.new("int64_t *")
    check(lib.surr_queue_put(work, len(which), _cells(which), _doubles(results), spent))
    return spent[0]


def solve(work, which):
    """Solve waiting cells; returns the solver's seconds."""
    check(lib.surr_queue_solve(work, len(which), _cells(which)))
    return seconds(work)[lib.SURR_PHASE_SOLVER]


def solve_packed(work, n, packed):
    """Solve `n` packed cells in place; returns the work and the solver's seconds."""
    spent = ffi.new("int64_t *")
    check(lib.surr_cells_solve(work, n, _doubles(packed), spent))
    return spent[0], seconds(work)[lib.SURR_PHASE_SOLVER]


def seconds(work):
    """Seconds of the last call, by phase."""
    spent = ffi.new("double[]", lib.SURR_NPHASE)
    check(lib.surr_work_seconds(work, spent))
    return list(spent)


def outside(work, n):
    """Cells of the last call outside the domain of the net, by reason; array of shape (n,)."""
    count = np.empty(n, dtype=np.int64)
    check(lib.surr_work_outside(work, _cells(count)))
    return count


def _doubles(array):
    return ffi.from_buffer("double[]", array)


def _cells(which):
    return ffi.from_buffer("int64_t[]", which)
