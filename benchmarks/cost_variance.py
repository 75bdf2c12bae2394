"""How much does the cost of a cell vary, in the solvers and in the step with the net?

    python -m benchmarks.cost_variance

The argument for emulators is not only the mean: a solver takes from one to thousands of steps, so that ranks wait for
the one with the worst cells, while a net costs every cell the same. Solvers: steps (ours: attempts) of every cell at
rtol 1e-2 (LSODES: 1e-4, as KROME) times the measured cost of one. The step: cells that the net takes cost what these
cells cost together; the others their attempts, and the question to the judge. `spread`: the 99.9 % quantile over the
median; `variation`: standard deviation over mean; `block`: the most expensive of blocks of 256 cells over the mean.
"""

import tempfile

import numpy as np
from surrogate.training import get_system

import surrogate
from surrogate import Status
from surrogate.report import STATUS_NAMES

from .baselines import BaselineError
from .cases import POPULATIONS, draw_case
from .contenders import absolute_tolerance, open_baseline
from .options import finish, make_parser, progress, start
from .timing import median_seconds

RTOL = 1e-2
EDGES = np.linspace(-1, 4, 51)  # of log10 us, for the picture
BLOCK = 256


def microseconds(stepper, cells, dt, repeats):
    """Time per cell of a call over all of them; 0 for none."""
    if not len(dt):
        return 0.0
    work = np.empty_like(cells)

    def call():
        work[:] = cells
        stepper.step(work, dt)

    return 1e6 * median_seconds(call, repeats) / len(dt)


def describe(us):
    """What the costs of cells are like [us]."""
    low, middle, high, most = np.quantile(us, (0.01, 0.5, 0.99, 0.999))
    blocks = us[: len(us) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(1) if len(us) >= BLOCK else us.mean(keepdims=True)
    return {
        "mean": float(us.mean()),
        "quantiles": [float(x) for x in (low, middle, high, most)],
        "spread": float(most / middle),
        "variation": float(us.std() / us.mean()),
        "block": float(blocks.max() / blocks.mean()),
        "histogram": np.histogram(np.log10(us), EDGES)[0].tolist(),
    }


def solver_costs(model, case, repeats):
    """Cost of every cell in our solver [us], and of one attempt."""
    stepper = model.stepper(rtol=RTOL, net=False)
    attempts = stepper.step(case.cells.copy(), case.dt).cost
    each = microseconds(stepper, case.cells, case.dt, repeats) / attempts.mean()
    return attempts * each, each


def step_costs(model, case, each, repeats):
    """Cost of every cell in the step [us], and by status (share of cells, us per cell)."""
    stepper = model.stepper(rtol=RTOL)
    report = stepper.step(case.cells.copy(), case.dt)
    whole = microseconds(stepper, case.cells, case.dt, repeats)
    us, rows = np.zeros(len(case.dt)), {}
    is_net = report.status == Status.NET
    us[is_net] = microseconds(stepper, case.cells[is_net], case.dt[is_net], repeats)
    asked = max((whole * len(us) - us.sum() - each * report.cost.sum()) / max((~is_net).sum(), 1), 0.0)
    us[~is_net] = asked + each * report.cost[~is_net]
    for code in np.unique(report.status):
        chosen = report.status == code
        rows[STATUS_NAMES[code]] = {"share": float(chosen.mean()), "us": float(us[chosen].mean())}
    return us, rows


def main(arguments=None):
    """Measure, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--no-opponents", action="store_true", help="our own solver and net only; nothing is fetched")
    options = start(parser, arguments)
    n, repeats = (256, 1) if options.quick else (8192, 5)
    model, system = surrogate.load("ism-molecular"), get_system("ism-molecular")
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        for name in progress(POPULATIONS):
            case = draw_case(model, system, name, n)
            ours, each = solver_costs(model, case, repeats)
            step, by_status = step_costs(model, case, each, repeats)
            costs = {"ours": ours, "step": step}
            try:
                if options.no_opponents:
                    raise BaselineError("--no-opponents")
                atol = absolute_tolerance(case, 1e-4)
                result = open_baseline(system, directory).solve(
                    case.cells, case.dt, system.parameter_values, "lsodes-21", 1e-4, atol
                )
                costs["lsodes-21"] = result.steps * result.us_per_cell / result.steps.mean()
            except BaselineError as error:
                print(f"lsodes-21 left out: {error}")
            rows = {solver: describe(us) for solver, us in costs.items()}
            results[name] = {"costs": rows, "status": by_status, "us_per_attempt": float(each), "cells": n}
            print(
                f"\n{name:<12}{'mean us':>10}{'1 %':>8}{'50 %':>8}{'99 %':>9}{'99.9 %':>9}{'spread':>8}"
                f"{'variation':>11}{'block':>7}"
            )
            for solver, r in rows.items():
                low, middle, high, most = r["quantiles"]
                print(
                    f"  {solver:<10}{r['mean']:>10.2f}{low:>8.2f}{middle:>8.2f}{high:>9.1f}{most:>9.1f}"
                    f"{r['spread']:>8.1f}{r['variation']:>11.2f}{r['block']:>7.2f}"
                )
            print(
                "  "
                + ", ".join(f"{k}: {100 * v['share']:.1f} % at {v['us'] or 0:.2f} us" for k, v in by_status.items())
            )
    finish("cost_variance", options, {"rtol": RTOL, "edges": EDGES.tolist(), "populations": results})


if __name__ == "__main__":
    main()
