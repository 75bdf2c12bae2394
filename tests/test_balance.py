"""The plan of the balancer: pure functions, tested without MPI."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogate.balance import loads_after, pick, plan

LOADS = st.lists(st.just(0.0) | st.floats(1e-3, 1e9) | st.integers(0, 1000).map(float), min_size=1, max_size=60)


@settings(deadline=None, max_examples=300)
@given(LOADS, st.floats(1e-3, 0.5), st.sampled_from([0.0, 1.0, 50.0]), st.integers(1, 9))
def test_plan_is_conservative_bounded_and_near_the_optimum(load, tolerance, floor, node_size):
    load = np.array(load)
    mean = load.mean()
    grain = max(tolerance * mean, floor)
    room = 1e-9 * load.sum()  # round-off
    for node in (None, np.arange(len(load)) // node_size):
        moves = plan(load, node, tolerance=tolerance, floor=floor)
        after = loads_after(load, moves)
        assert after.sum() == pytest.approx(load.sum(), rel=1e-12)
        assert np.all(after >= -room)
        assert after.max() <= 1.005 * mean + grain + room  # no plan can beat the mean
        assert not np.any(moves.sender == moves.receiver)
        assert not set(moves.sender) & set(moves.receiver)  # nobody forwards
        assert len(moves.amount) < len(load) or len(moves.amount) == 0
        assert np.all(moves.amount >= grain * (1 - 1e-12))
        for r in set(moves.receiver):
            assert (moves.receiver == r).sum() <= 1 + 1.005 * mean / grain + 1e-6
        assert np.all(np.diff(moves.sender) >= 0)
        assert len(set(zip(moves.sender, moves.receiver))) == len(moves.amount)
        again = plan(load, node, tolerance=tolerance, floor=floor)
        assert all(np.array_equal(a, b) for a, b in zip(moves, again))


@settings(deadline=None, max_examples=200)
@given(LOADS, st.integers(2, 9))
def test_nodes_with_no_more_than_their_share_send_nothing_out(load, node_size):
    load = np.array(load)
    node = np.arange(len(load)) // node_size
    moves = plan(load, node, tolerance=0.05)
    for i in set(node[moves.sender[node[moves.sender] != node[moves.receiver]]]):
        members = load[node == i]
        assert members.sum() > len(members) * load.mean() * (1 - 1e-12)


def test_two_ranks_meet_in_the_middle():
    moves = plan([0.0, 100.0])
    assert (moves.sender, moves.receiver) == (1, 0)
    assert moves.amount == pytest.approx(50.0 * 1.005)


def test_nothing_moves_within_the_tolerance_or_below_the_floor():
    assert len(plan([100.0, 104.0, 96.0], tolerance=0.05).amount) == 0
    assert len(plan([0.0, 10.0], floor=20.0).amount) == 0
    assert len(plan([0.0, 0.0, 0.0]).amount) == 0


def test_many_small_deficits_take_one_large_surplus():
    load = np.full(1000, 0.99)
    load[0] = 11.0
    moves = plan(load, tolerance=0.05)
    assert loads_after(load, moves).max() <= 1.055 * load.mean() * (1 + 1e-12)
    assert len(moves.amount) <= 10.0 / (0.05 * load.mean())


@pytest.mark.parametrize(
    "load, options, message",
    [
        ([1.0, -1.0], {}, r"load\[1\] is -1"),
        ([np.nan], {}, "load"),
        ([], {}, "n_rank is 0"),
        ([1.0], {"tolerance": 0.0}, "tolerance"),
        ([1.0], {"floor": -1.0}, "floor"),
    ],
)
def test_plan_refuses_nonsense(load, options, message):
    with pytest.raises(ValueError, match=message):
        plan(load, **options)


COSTS = st.lists(st.integers(1, 500).map(float) | st.floats(1.0, 1e4), max_size=80)


@settings(deadline=None, max_examples=300)
@given(COSTS, st.lists(st.floats(0.0, 2e4), max_size=6))
def test_picked_cells_fit_and_none_is_lost(cost, amount):
    cost = np.array(cost)
    which, count = pick(cost, amount)
    assert sorted(which) == list(range(len(cost)))
    groups = np.split(which, np.cumsum(count))
    assert len(groups) == len(amount) + 1
    kept = cost[groups[-1]]
    for group, most in zip(groups, amount):
        sent = cost[group].sum()
        assert sent <= most * (1 + 1e-12)
        assert len(kept) == 0 or most - sent <= kept.min() * (1 + 1e-9)
    for group in groups:
        assert np.all(np.diff(np.floor(np.log2(cost[group]))) <= 0)


def test_one_hard_cell_stays_and_of_equal_cells_half_goes():
    which, count = pick([100.0], [50.0])
    assert count == [0] and which == [0]
    which, count = pick(np.ones(10), [5.0])
    assert count == [5] and which.tolist() == list(range(10))


def test_pick_refuses_nonsense():
    with pytest.raises(ValueError, match=r"cost\[1\] is 0"):
        pick([1.0, 0.0], [1.0])
