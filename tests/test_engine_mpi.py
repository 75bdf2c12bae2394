"""Steppers with a communicator: the same results on any number of ranks, shared work, errors that reach everybody.

The file is its own MPI program: pytest starts it under mpiexec, where it calls one of the functions `on_ranks_...`.
"""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from surrogate.launch import find_mpiexec, run_ranks

pytestmark = pytest.mark.mpi


def run(program, n_ranks, *arguments, timeout=120):
    """Run one of the programs below on `n_ranks` ranks."""
    if find_mpiexec() is None:
        pytest.skip("MPI is not installed: pip install 'stiff-surrogate[mpi]'")
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    arguments = [__file__, program, *arguments]
    return run_ranks(n_ranks, arguments, capture_output=True, text=True, timeout=timeout, env=environment)


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 4])
def test_results_reports_and_errors(n_ranks, toys):
    done = run("all", n_ranks, toys)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("rank passed") == n_ranks


def test_a_killed_rank_ends_the_run(toys):
    """Which launchers see to, not we: nobody waits for the dead."""
    start = time.monotonic()
    done = run("killed", 2, toys, timeout=60)
    assert done.returncode != 0 and "rank passed" not in done.stdout
    assert time.monotonic() - start < 50


def test_a_rank_that_takes_no_step_is_given_up(toys):
    """A rank that hangs is worse than a dead one."""
    try:
        done = run("stuck", 2, toys, timeout=60)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"rank 0 waits for ever: {error.stdout}") from error
    assert "gave up: rank 0 of 2 has waited for another for 1 s" in done.stdout, done.stdout + done.stderr


# ---- what every rank does ------------------------------------------------------------------------------------------


def make_cells(n, seed=1):
    """Cells of the toy model, far from equilibrium after many steps, and their time steps.

    The last tenth is a hundred times as hard as the others.
    """
    rng = np.random.default_rng(seed)
    cells = np.column_stack([1e-3 * rng.uniform(0.5, 1.5, (n, 2)), rng.choice([100.0, 400.0, 2000.0], n)])
    dt = np.where(np.arange(n) >= 0.9 * n, 1e5, 1e3) * (1 + rng.random(n))
    return cells, dt


def on_ranks_all(directory):
    from mpi4py import MPI

    check_results(directory, MPI.COMM_WORLD)
    check_corners(directory, MPI.COMM_WORLD)
    check_helper_that_fails(directory, MPI.COMM_WORLD)
    check_reports(directory, MPI.COMM_WORLD)
    check_errors(directory, MPI.COMM_WORLD)
    print("rank passed", flush=True)


def check_results(directory, comm):
    """Bitwise those of one rank without MPI, balanced or not, however often plans are made."""
    import surrogate

    cells, dt = make_cells(4001)
    mine = np.array_split(np.arange(len(cells)), comm.size)[comm.rank]

    def advance(stepper, part, i):
        part[:, 2] = cells[i, 2]  # heated: above 1000 K the net is not sure of its answer
        return stepper.step(part, dt[i])

    for name in ("toy.so", "toy_net.so"):
        model = surrogate.load(f"{directory}/{name}")
        expected = cells.copy()
        alone = model.stepper(rtol=0.1)
        own = [advance(alone, expected, slice(None)) for _ in range(6)]
        assert (own[5].counts["net"] > 1000) == (name == "toy_net.so") and own[5].counts["net"] < 3000
        for options in ({"balance": "off"}, {"balance": "node"}, {}, {"balance_interval": 2}, {"threads": 2}):
            stepper = model.stepper(rtol=0.1, comm=comm, **options)
            part = cells[mine]
            for i in range(6):
                report = advance(stepper, part, mine)
                np.testing.assert_array_equal(report.status, own[i].status[mine])
                np.testing.assert_array_equal(report.cost, own[i].cost[mine])
                assert (report.n_cells, report.counts) == (4001, own[i].counts)
                assert report.solver_steps == own[i].solver_steps
            np.testing.assert_array_equal(part, expected[mine])
            before, after = report.balance.measured
            if comm.size == 1:
                continue
            assert before > 1.5
            if options == {}:  # by now it knows what such cells cost
                assert report.balance.predicted[0] > 1.5
                assert after == report.imbalance < 1.1 and max(report.balance.predicted) == report.balance.predicted[0]
                assert report.balance.cells > 0 and report.balance.messages > 0
                assert report.balance.bytes >= report.balance.cells * 8 * (6 + 4)
            if options == {"balance": "off"}:
                assert before == after and report.balance.bytes == 0


def check_corners(directory, comm):
    """Ranks without cells, one hard cell, all cells hard, everything on one rank."""
    import surrogate

    model = surrogate.load(f"{directory}/toy.so")
    stepper, alone = model.stepper(rtol=1e-2, comm=comm), model.stepper(rtol=1e-2)
    last = comm.size - 1
    for n_easy, n_hard, owner in ((0, 0, 0), (0, 1, 0), (50, 1, last), (0, 400, None), (0, 400, last), (7, 400, 0)):
        n = n_easy + n_hard if owner in (None, comm.rank) else 0
        cells, dt = make_cells(n, seed=comm.rank)[0], np.where(np.arange(n) < n_easy, 10.0, 3e5)
        expected = cells.copy()
        alone.step(expected, dt)
        for _ in range(2):
            part = cells.copy()
            report = stepper.step(part, dt)
            np.testing.assert_array_equal(part, expected)
        if n_hard == 400 and comm.size > 1:
            assert report.imbalance < 1.06 and (report.balance.cells == 0) == (owner is None)
        if n == n_hard == 1:
            assert report.balance.cells == 0  # to move it would gain nothing


def check_helper_that_fails(directory, comm):
    """A rank that sends back nothing, as it cannot solve the cells of others: their owner does it."""
    import surrogate
    from surrogate.transport import Transport

    def send_nothing(transport, request, rank, numbers):
        return send(transport, request, rank, numbers if comm.rank == 0 else b"")

    model = surrogate.load(f"{directory}/toy.so")
    stepper = model.stepper(rtol=1e-2, comm=comm)
    n = 1000 if comm.rank == 0 else 0
    cells, dt = make_cells(n)
    expected = cells.copy()
    model.stepper(rtol=1e-2).step(expected, dt)
    send, Transport.send = Transport.send, send_nothing
    report = stepper.step(cells, dt)
    Transport.send = send
    np.testing.assert_array_equal(cells, expected)
    assert comm.size == 1 or report.balance.cells > 0


def check_reports(directory, comm):
    import surrogate

    rank, size = comm.rank, comm.size
    stepper = surrogate.load(f"{directory}/toy.so").stepper(rtol=1e-2, comm=comm)
    n_mine = 10 * rank  # rank 0 has none
    cells = np.tile([1.0, 2.0, 100.0], (n_mine, 1))
    if rank == size - 1 and n_mine:
        cells[0] = np.nan
    report = stepper.step(cells, max(1000.0 * rank - 500.0, 1.0))  # attempts: the rank's number
    n_cells, n_bad = 10 * size * (size - 1) // 2, int(size > 1)
    assert report.n_cells == n_cells and report.counts["bad input"] == n_bad
    assert report.counts["solver"] == n_cells - n_bad and report.status.shape == (n_mine,)
    steps = [(10 * r - (r == size - 1)) * r if r else 0 for r in range(size)]  # 1 + rate*dt per good cell
    work = [n if r == 1 else 2 * n for r, n in enumerate(steps)]  # a single attempt is half the work
    assert report.solver_steps == sum(steps)
    assert report.balance.measured[0] == (max(work) * size / sum(work) if sum(work) else 1.0)

    audited = surrogate.load(f"{directory}/toy_net.so").stepper(rtol=0.1, audit=1.0, comm=comm)
    report = audited.step(np.tile([1.0, 2.0, 100.0], (n_mine, 1)), 10.0)
    assert report.counts["audit"] == n_cells and report.audit_counts.sum() == 3 * n_cells
    assert bool(report.audit) == (n_cells > 0)


def check_errors(directory, comm):
    """An error on one rank is an error on all, and no cell is touched."""
    import surrogate

    is_culprit = comm.rank == comm.size - 1
    expected = ValueError if is_culprit else surrogate.RanksError
    cells, _ = make_cells(10)
    before = cells.copy()
    model = surrogate.load(f"{directory}/toy.so")
    for options in ({}, {"balance": "off"}, {"on_failure": "error"}):
        stepper = model.stepper(rtol=1e-2, comm=comm, **options)
        with pytest.raises(expected, match="dt is -1.0"):
            stepper.step(cells, -1.0 if is_culprit else 1.0)
        np.testing.assert_array_equal(cells, before)
    with pytest.raises(expected, match="rtol"):
        model.stepper(rtol=-1.0 if is_culprit else 0.1, comm=comm)
    with pytest.raises(ValueError, match="choose 'world'"):
        model.stepper(rtol=0.1, comm=comm, balance="universe")
    check_differences(directory, comm)


def check_differences(directory, comm):
    """Ranks with other models or options would give other bits or wait for ever: told when steppers are made."""
    import surrogate

    model, other = (surrogate.load(f"{directory}/{name}.so") for name in ("toy", "toy_net"))
    is_culprit, last = comm.rank == comm.size - 1, comm.size - 1
    common = {"rtol": 0.1, "comm": comm}
    for name, value in (
        ("rtol", 0.2),
        ("atol_frac", 1e-12),
        ("audit", 0.5),
        ("max_solver_steps", 10),
        ("max_step", 1e3),
        ("balance", "off"),
        ("balance", "node"),
        ("min_gain", 0.5),
        ("balance_interval", 3),
        ("isa", "base"),
    ):
        options = common | {name: value} if is_culprit else common
        if comm.size == 1:
            model.stepper(**options)
            continue
        with pytest.raises(surrogate.RanksError, match=f"on rank 0 and .* on rank {last}: all ranks need the same"):
            model.stepper(**options)
    model.stepper(**common, threads=2 if is_culprit else 1)
    if comm.size > 1:
        with pytest.raises(surrogate.RanksError, match="fingerprint"):
            (other if is_culprit else model).stepper(**common)
        with pytest.raises(ValueError if is_culprit else surrogate.RanksError, match="choose 'world'"):
            model.stepper(**common, balance="universe" if is_culprit else "world")
    with pytest.raises(surrogate.ModelError if is_culprit else surrogate.RanksError, match="nowhere.so"):
        surrogate.step(np.ones((2, 3)), 1.0, model=f"{directory}/{'nowhere' if is_culprit else 'toy'}.so", comm=comm)


def on_ranks_killed(directory):
    from mpi4py import MPI

    import surrogate

    stepper = surrogate.load(f"{directory}/toy.so").stepper(rtol=1e-2, comm=MPI.COMM_WORLD)
    cells, dt = make_cells(100)
    stepper.step(cells, dt)
    if MPI.COMM_WORLD.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    stepper.step(cells, dt)
    print("rank passed", flush=True)


def on_ranks_stuck(directory):
    from mpi4py import MPI

    import surrogate

    comm = MPI.COMM_WORLD
    stepper = surrogate.load(f"{directory}/toy.so").stepper(rtol=1e-2, comm=comm, timeout=1.0)
    cells, dt = make_cells(100)
    stepper.step(cells, dt)
    if comm.rank == 1:
        time.sleep(100)
    try:
        stepper.step(cells, dt)
    except surrogate.RanksError as error:
        print(f"gave up: {error}", flush=True)
        comm.Abort(3)


if __name__ == "__main__":
    globals()[f"on_ranks_{sys.argv[1]}"](sys.argv[2])
