"""Who sends how much of the solver's work to whom: the plan that Python, C and Fortran share, without MPI."""

from typing import NamedTuple

import numpy as np

from surrogate._engine import ffi, lib
from surrogate.errors import check

#: work that is worth a message of some 10 us, in units of 0.4 us (`work_of`)
FLOOR = float(lib.SURR_MESSAGE_WORK)


def work_of(cost):
    """Work on each cell that took `cost` attempts: two each, but one for the quick first attempt if that was enough.

    As in bindings/engine/cost.c.
    """
    return np.where(cost == 1, 1.0, 2.0 * cost)


class Moves(NamedTuple):
    """A plan: rank ``sender[m]`` gives ``amount[m]`` of its work to rank ``receiver[m]``; in the order of senders."""

    sender: np.ndarray
    receiver: np.ndarray
    amount: np.ndarray


def plan(load, node=None, *, tolerance=0.03, floor=0.0):
    """Plan moves after which no rank has more than 1.005 times the mean load plus max(tolerance * mean, floor).

    Ranks give and take half a percent more than would even them out: handling what moves takes time, too.

    Parameters
    ----------
    load : array_like of shape (n_ranks,)
        The work that waits on each rank, 0 or more.
    node : array_like of int of shape (n_ranks,), optional
        Where each rank runs. Work leaves a node only where that node has more than its share.
    tolerance : float
    floor : float
        In the unit of `load`. No move is smaller than max(tolerance * mean, floor).

    Returns
    -------
    Moves
    """
    load = np.ascontiguousarray(load, dtype=np.float64)
    nodes = None if node is None else np.ascontiguousarray(node, dtype=np.int32)
    sender, receiver = np.empty((2, len(load)), dtype=np.int32)
    amount = np.empty(len(load))
    n_move = ffi.new("int32_t *")
    check(
        lib.surr_balance_plan(
            len(load),
            ffi.from_buffer("double[]", load),
            ffi.NULL if nodes is None else ffi.from_buffer("int32_t[]", nodes),
            tolerance,
            floor,
            n_move,
            *(ffi.from_buffer("int32_t[]", x) for x in (sender, receiver)),
            ffi.from_buffer("double[]", amount),
        )
    )
    n = n_move[0]
    return Moves(sender[:n].copy(), receiver[:n].copy(), amount[:n].copy())


def loads_after(load, moves):
    """Load of every rank after `moves`."""
    after = np.array(load, dtype=np.float64)
    np.subtract.at(after, moves.sender, moves.amount)
    np.add.at(after, moves.receiver, moves.amount)
    return after


def pick(cost, amount):
    """Choose cells for the moves of one rank: the costliest that fit.

    Parameters
    ----------
    cost : array_like of shape (n_cells,)
        Positive.
    amount : array_like of shape (n_moves,)

    Returns
    -------
    which : ndarray of int64 of shape (n_cells,)
        The cells of the first move, of the second, ..., then those that stay; in each group the costliest first, to a
        factor of two.
    count : ndarray of int64 of shape (n_moves,)
        Number of cells of every move.
    """
    cost, amount = (np.ascontiguousarray(x, dtype=np.float64) for x in (cost, amount))
    which, count = np.empty(len(cost), dtype=np.int64), np.empty(len(amount), dtype=np.int64)
    check(
        lib.surr_balance_pick(
            len(cost),
            ffi.from_buffer("double[]", cost),
            len(amount),
            ffi.from_buffer("double[]", amount),
            *(ffi.from_buffer("int64_t[]", x) for x in (which, count)),
        )
    )
    return which, count
