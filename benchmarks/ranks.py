"""What the MPI benchmarks measure: one step of all ranks, in turns with and without sharing the work.

Each round takes three steps right after one another, so that all meet the same load of the machine:

``alone``  every rank takes its fair part of all cells, at the same time as the others, without MPI: the ideal
``off``    the cells as they are distributed, every rank solves its own
``world``  the same cells, the work shared

The efficiency of a step is the mean time of ``alone`` over its time: by the clock, and by the CPU time of the busiest
rank, which does not know of waiting but does not suffer from other programs either. Cells come from a pool of two
kinds: easy ones, near equilibrium, and hard ones (`wide` cells that need 50 attempts or more).
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import surrogate
from surrogate.balance import work_of
from surrogate.demo.state import YEAR
from surrogate.launch import run_ranks

MODEL, RTOL = "ism-molecular", 1e-2
HARD_ATTEMPTS = 50


def make_pool(path, n, seed=5):
    """Write easy and hard cells, their time steps and the work on them, without a net."""
    from surrogate.training import get_system
    from surrogate.training.populations import wide

    cells, dt = wide(get_system(MODEL), n, seed)
    stepper = surrogate.load(MODEL).stepper(rtol=RTOL, net=False)
    easy = cells.copy()
    stepper.step(easy, 1e7 * YEAR)
    easy_dt = np.full(n, 1e3 * YEAR)
    easy_cost = stepper.step(easy.copy(), easy_dt).cost
    cost = stepper.step(cells.copy(), dt).cost
    hard = cost >= HARD_ATTEMPTS
    np.savez(
        path,
        easy=easy,
        easy_dt=easy_dt,
        easy_cost=work_of(easy_cost),
        hard=cells[hard],
        hard_dt=dt[hard],
        hard_cost=work_of(cost[hard]),
    )


def distribute(n_ranks, n_cells, hard, owners):
    """Easy and hard cells of every rank, shape (n_ranks, 2): as many each, hard ones on the first `owners`."""
    n_hard = round(hard * n_ranks * n_cells)
    counts = np.zeros((n_ranks, 2), dtype=int)
    counts[:owners, 1] = [len(part) for part in np.array_split(np.arange(n_hard), owners)]
    if counts[:, 1].max() > n_cells:
        raise ValueError(f"{n_hard} hard cells on {owners} ranks of {n_cells} cells: take more owners")
    counts[:, 0] = n_cells - counts[:, 1]
    return counts


def draw_cells(pool, n_easy, n_hard, seed):
    """Cells and time steps, in random order: hard ones sit among easy ones."""
    rng = np.random.default_rng(seed)
    easy, hard = rng.integers(0, len(pool["easy"]), n_easy), rng.integers(0, len(pool["hard"]), n_hard)
    cells = np.concatenate([pool["easy"][easy], pool["hard"][hard]])
    dt = np.concatenate([pool["easy_dt"][easy], pool["hard_dt"][hard]])
    order = rng.permutation(len(dt))
    return np.ascontiguousarray(cells[order]), dt[order]


def main(argv=None):
    """What every rank does; the first prints the result."""
    from mpi4py import MPI

    parser = argparse.ArgumentParser()
    parser.add_argument("pool")
    parser.add_argument("--cells", type=int, required=True, help="per rank")
    parser.add_argument("--hard", type=float, required=True)
    parser.add_argument("--owners", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--net", type=int, required=True)
    options = parser.parse_args(argv)
    comm, pool = MPI.COMM_WORLD, np.load(options.pool)
    counts = distribute(comm.size, options.cells, options.hard, options.owners)
    mine = draw_cells(pool, *counts[comm.rank], seed=comm.rank)
    fair = [part[comm.rank :: comm.size] for part in map(np.concatenate, zip(*comm.allgather(mine)))]
    model = surrogate.load(MODEL)
    settings = {"rtol": RTOL, "net": bool(options.net)}
    kinds = {
        "alone": (model.stepper(**settings), fair),
        "off": (model.stepper(comm=comm, balance="off", **settings), mine),
        "world": (model.stepper(comm=comm, **settings), mine),
    }
    seconds, reports = {name: [] for name in kinds}, {}  # wall-clock and CPU time of every round
    for _ in range(options.repeats + 3):  # three to warm up, and to learn the cost of the cells
        for name, (stepper, (cells, dt)) in kinds.items():
            state = np.ascontiguousarray(cells).copy()
            comm.Barrier()
            start = np.array([time.perf_counter(), time.process_time()])
            reports[name] = stepper.step(state, dt)
            took = comm.allgather(np.array([time.perf_counter(), time.process_time()]) - start)
            seconds[name].append((np.mean if name == "alone" else np.max)(took, axis=0))
    if comm.rank == 0:
        print(json.dumps(summarise(comm.size, options, {k: v[3:] for k, v in seconds.items()}, reports["world"])))


def summarise(n_ranks, options, seconds, report):
    """Medians over the rounds of times, and of the ratios of the steps of one round."""
    (alone, alone_cpu), (off, off_cpu), (world, world_cpu) = (np.array(seconds[name]).T for name in seconds)
    sharing = report.balance
    return {
        "ranks": n_ranks,
        "cells_per_rank": options.cells,
        "hard": options.hard,
        "owners": options.owners,
        "net": bool(options.net),
        "seconds": {k: float(np.median(v, axis=0)[0]) for k, v in seconds.items()},
        "efficiency": {"off": float(np.median(alone / off)), "world": float(np.median(alone / world))},
        "cpu_efficiency": {
            "off": float(np.median(alone_cpu / off_cpu)),
            "world": float(np.median(alone_cpu / world_cpu)),
        },
        "world_over_off": float(np.median(world / off)),
        "cpu_world_over_off": float(np.median(world_cpu / off_cpu)),
        "imbalance": sharing.measured,
        "predicted": sharing.predicted,
        "in_seconds": sharing.seconds_imbalance,
        "kB": sharing.bytes / 1e3,
        "cells_moved": sharing.cells,
        "attempts_per_cell": report.solver_steps / report.n_cells,
        "phases": sharing.seconds,
    }


def run(n_ranks, pool, *, cells, hard, owners, repeats, net):
    """Measure on `n_ranks` ranks; what `summarise` returns."""
    words = {"cells": cells, "hard": hard, "owners": owners, "repeats": repeats, "net": int(net)}
    arguments = ["-m", "benchmarks.ranks", pool, *(f"--{name}={value}" for name, value in words.items())]
    root = Path(__file__).parent.parent
    done = run_ranks(n_ranks, arguments, capture_output=True, text=True, cwd=root)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def with_pool(options, function):
    """Call `function(path of a pool)`, a small one for a quick run."""
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "pool.npz")
        make_pool(path, 1000 if options.quick else 20_000)
        return function(path)


def sweep(pool, options, cells_per_rank):
    """Measure on every number of ranks, a tenth of the cells hard and all on the first half; prints as it goes.

    `cells_per_rank` is a function of the number of ranks.
    """
    rows = []
    print(HEADER)
    for n_ranks in options.ranks:
        rows.append(
            run(
                n_ranks,
                pool,
                cells=cells_per_rank(n_ranks),
                hard=0.1,
                owners=max(1, n_ranks // 2),
                repeats=options.repeats,
                net=False,
            )
        )
        print(row(rows[-1]), flush=True)
    return rows


HEADER = (
    f"{'ranks':>6}{'cells':>8}{'hard':>6}{'owners':>7}{'net':>4}{'alone':>9}{'off':>9}{'world':>9} ms"
    f"{'eff.: off':>10}{'world':>6}{'CPU: off':>9}{'world':>6}{'imbalance':>13}{'kB':>6}"
)


def row(r):
    """One line under `HEADER`."""
    s, e, c, i = (r[name] for name in ("seconds", "efficiency", "cpu_efficiency", "imbalance"))
    return (
        f"{r['ranks']:>6}{r['cells_per_rank']:>8}{r['hard']:>6.2f}{r['owners']:>7}{r['net']:>4}"
        f"{1e3 * s['alone']:>9.1f}{1e3 * s['off']:>9.1f}{1e3 * s['world']:>9.1f}   "
        f"{e['off']:>10.2f}{e['world']:>6.2f}{c['off']:>9.2f}{c['world']:>6.2f}"
        f"{i[0]:>8.2f}{i[1]:>5.2f}{r['kB']:>6.0f}"
    )


if __name__ == "__main__":
    main()
