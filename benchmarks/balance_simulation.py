"""How well would the plan share the work of up to 100,000 ranks?

    python -m benchmarks.balance_simulation                # with real ranks beside simulated ones: some minutes
    python -m benchmarks.balance_simulation --measured     # without: a minute

Plan and choice of cells are the code that runs (bindings/engine/balance.c); ranks, messages and time are simulated:

* Every rank has the same number of cells, each with the work of an easy or a hard cell measured here (two units for an
  attempt, one for a cell that needs a single attempt; see `benchmarks.ranks`). A shock crosses a share of the ranks,
  side by side, where some of the cells are hard: three scenes, or those of `--scene HARD OWNERS`.
* A unit of work takes `work`; a cell that moves costs `pack` on both ranks, on its way out and back (measured: 0.01 us
  out, 0.07 back). A message costs its sender and its receiver `overhead` and takes `latency`, plus its bytes over
  `bandwidth`, within a node or between nodes. Nodes have 64 ranks.
* Plans are made from expected costs: those measured times a log-normal error of `judge` dex per cell.
* All ranks tell each other their loads (latency * log2 of ranks + bytes over bandwidth), and each makes the whole plan,
  whose time is measured here and divided by the steps it is used for; so is the time in which a rank picks its cells.
* A step ends when the last rank has its results: a sender those of its receivers, which come after their own cells.

Efficiency: mean over longest time of a rank; where work is shared, mean work over the length of the step.
"""

import time

import numpy as np

from surrogate import balance

from .options import finish, make_parser, start
from .ranks import distribute, run, with_pool

#: scenes: share of hard cells in the shock, share of the ranks that it crosses
SCENES = ((0.3, 0.01), (0.03, 0.01), (0.1, 0.1))
MACHINE = {
    "work": 0.38e-6,
    "pack": 0.05e-6,
    "latency": (1e-6, 3e-6),
    "bandwidth": (5e9, 5e9),
    "overhead": 1e-6,
    "ranks_per_node": 64,
    "bytes": (8 * 16, 8 * 11),
    "judge": 0.05,
}


class Loads:
    """Work of the ranks, measured and expected; cells of single ranks can be drawn again."""

    def __init__(self, pool, counts, judge, seed=0):
        self.pool, self.counts, self.judge, self.seed = pool, counts, judge, seed
        kinds, inverse = np.unique(counts, axis=0, return_inverse=True)
        rng = np.random.default_rng(seed)
        true, expected = np.empty((2, len(counts)))
        for i, kind in enumerate(kinds):  # ranks of one kind: sums drawn from 64 of them
            sums = np.array([[x.sum() for x in self._draw(*kind, rng)] for _ in range(64)])
            members = np.flatnonzero(inverse.ravel() == i)
            true[members], expected[members] = sums[rng.integers(0, 64, len(members))].T
        for rank in np.flatnonzero(counts[:, 1]):  # those who may send are drawn as they are
            true[rank], expected[rank] = (x.sum() for x in self.cells(rank))
        self.true, self.expected = true, expected

    def _draw(self, n_easy, n_hard, rng):
        true = np.concatenate([rng.choice(self.pool["easy_cost"], n_easy), rng.choice(self.pool["hard_cost"], n_hard)])
        return true, np.maximum(true * 10 ** (self.judge * rng.standard_normal(len(true))), 1.0)

    def cells(self, rank):
        """Measured and expected cost of a rank's cells."""
        return self._draw(*self.counts[rank], np.random.default_rng([self.seed, rank, 1]))


def simulate(pool, n_ranks, n_cells, hard, owners, machine=MACHINE, interval=1, tolerance=0.03):
    """Simulate one step; a dict of what came out."""
    loads = Loads(pool, distribute(n_ranks, n_cells, hard, owners), machine["judge"])
    node = np.arange(n_ranks) // machine["ranks_per_node"]
    start = time.perf_counter()
    moves = balance.plan(loads.expected, node, tolerance=tolerance, floor=balance.FLOOR)
    planning, picking = time.perf_counter() - start, []
    outside = node[moves.sender] != node[moves.receiver]
    latency, bandwidth = (np.where(outside, *machine[k][::-1]) for k in ("latency", "bandwidth"))
    work, cells = np.zeros((2, len(moves.amount)))
    for rank in np.unique(moves.sender):
        mine = np.flatnonzero(moves.sender == rank)
        true, expected = loads.cells(rank)
        start = time.perf_counter()
        which, count = balance.pick(expected, moves.amount[mine])
        picking.append(time.perf_counter() - start)
        parts = np.split(which, np.cumsum(count))[:-1]
        work[mine], cells[mine] = [true[part].sum() for part in parts], count
    out, back = (latency + cells * b / bandwidth for b in machine["bytes"])
    handling = machine["overhead"] + cells * machine["pack"]  # on either side, for the message and its answer
    after = loads.true.copy()
    np.subtract.at(after, moves.sender, work)
    np.add.at(after, moves.receiver, work)
    busy = after * machine["work"]
    for side in (moves.sender, moves.receiver):
        np.add.at(busy, side, 2 * handling)
    busy[moves.sender] += np.median(picking) if picking else 0.0
    done = busy.copy()
    np.maximum.at(done, moves.sender, busy[moves.receiver] + out + back)
    levels = max(np.log2(n_ranks), 1)
    exchange = (machine["latency"][1] * levels + 8 * n_ranks / machine["bandwidth"][1] + planning) / interval
    agreements = 4 * 2 * machine["latency"][1] * levels  # of errors and reports
    ideal = loads.true.mean() * machine["work"]
    unbalanced = loads.true.max() * machine["work"] + agreements
    step = done.max() + exchange + agreements
    return {
        "ranks": n_ranks,
        "cells_per_rank": n_cells,
        "hard": hard,
        "owners": owners,
        "interval": interval,
        "min_gain": tolerance,
        "imbalance": (loads.true.max() / loads.true.mean(), after.max() / after.mean()),
        "efficiency": {"off": ideal / unbalanced, "world": ideal / step},
        "seconds": {
            "ideal": ideal,
            "off": unbalanced,
            "world": step,
            "plan": planning,
            "loads": exchange * interval,
            "pick": float(np.median(picking)) if picking else 0.0,
        },
        "messages": 2 * len(moves.amount),
        "most_messages": 2 * int(np.bincount(moves.sender, minlength=1).max()),
        "MB": float(cells.sum() * sum(machine["bytes"]) / 1e6),
    }


HEADER = (
    f"{'ranks':>8}{'owners':>8}{'every':>6}{'imbalance':>15}{'eff.: off':>11}{'shared':>8}{'step ms':>9}"
    f"{'plan ms':>9}{'pick ms':>9}{'messages':>10}{'per rank':>9}{'MB':>8}"
)


def row(r):
    """One line under `HEADER`."""
    i, e, s = (r[name] for name in ("imbalance", "efficiency", "seconds"))
    return (
        f"{r['ranks']:>8}{r['owners']:>8}{r['interval']:>6}{i[0]:>9.2f}{i[1]:>6.2f}{e['off']:>11.3f}"
        f"{e['world']:>8.3f}{1e3 * s['world']:>9.2f}{1e3 * s['plan']:>9.2f}{1e3 * s['pick']:>9.2f}"
        f"{r['messages']:>10}{r['most_messages']:>9}{r['MB']:>8.1f}"
    )


def compare(path, pool, options):
    """Real ranks beside simulated ones: 10 % of the cells hard, on half of the ranks."""
    rows = []
    if not options.measured:
        return rows
    print(
        f"{'ranks':>6}{'simulated: imbalance':>24}{'eff. off, shared':>18}{'measured: imbalance':>23}"
        f"{'(CPU) off, shared':>19}"
    )
    for n in options.measured:
        scene = {"cells": options.cells, "hard": 0.1, "owners": max(1, n // 2)}
        real = run(n, path, **scene, repeats=options.repeats, net=False)
        sim = simulate(pool, n, scene["cells"], scene["hard"], scene["owners"])
        rows.append({"simulated": sim, "measured": real})
        (a, b), e, c = sim["imbalance"], sim["efficiency"], real["cpu_efficiency"]
        print(
            f"{n:>6}{a:>16.2f} -> {b:<5.2f}{e['off']:>10.2f}{e['world']:>7.2f}{real['imbalance'][0]:>15.2f} -> "
            f"{real['imbalance'][1]:<5.2f}{c['off']:>10.2f}{c['world']:>8.2f}",
            flush=True,
        )
    return rows


def main(arguments=None):
    """Simulate, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[10, 100, 1000, 10_000, 100_000])
    parser.add_argument("--cells", type=int, default=20_000, help="per rank")
    parser.add_argument(
        "--scene",
        type=float,
        nargs=2,
        action="append",
        metavar=("HARD", "OWNERS"),
        help="share of hard cells in the shock, share of the ranks in it; may be repeated",
    )
    parser.add_argument("--min-gain", type=float, default=0.03)
    parser.add_argument(
        "--measured",
        type=int,
        nargs="*",
        default=[1, 2, 4, 8],
        metavar="RANKS",
        help="run on so many as well (default 1 2 4 8)",
    )
    parser.add_argument("--repeats", type=int, default=9)
    options = start(parser, arguments, bind=False, ranks=[10, 100], cells=1000, repeats=1, measured=[1, 2])

    def work(path):
        pool, rows = dict(np.load(path)), []
        for name in ("easy", "hard"):
            print(f"{name} cells: work at 10, 50, 90 %:", *np.quantile(pool[f"{name}_cost"], [0.1, 0.5, 0.9]))
        print("assumed:", MACHINE)
        for hard, share in options.scene or SCENES:
            print(f"{100 * hard:g} % of the cells hard on {100 * share:g} % of the ranks\n{HEADER}")
            for n in options.ranks:
                owners = max(1, round(share * n))
                for interval in (1, 10):
                    result = simulate(
                        pool, n, options.cells, hard * owners / n, owners, interval=interval, tolerance=options.min_gain
                    )
                    rows.append({"scene": [hard, share], **result})
                    print(row(result), flush=True)
        return {"assumed": MACHINE, "results": rows, "compared": compare(path, pool, options)}

    finish("balance_simulation", options, with_pool(options, work))


if __name__ == "__main__":
    main()
