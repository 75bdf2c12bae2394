"""Rows of a comparison: one contender at one tolerance on one case, with its cost and its error."""

from pathlib import Path

import numpy as np
from surrogate.training.codegen import write_mechanism

from surrogate import Status

from .baselines import Baseline, BaselineError
from .errors import P99, quantiles, relative_errors
from .options import progress
from .timing import median_seconds

KROME_ATOL = 1e-20  # cm^-3, as KROME runs its LSODES


def make_row(solver, rtol, us, states, case, **more):
    """One row; `states` holds NaN, or the start, in cells that failed: they are counted, not judged."""
    good = np.isfinite(states).all(1)
    errors = quantiles(relative_errors(states[good], case.reference[good])) if good.any() else [float("nan")] * 5
    return {"solver": solver, "rtol": rtol, "us": float(us), "failed": int((~good).sum()), "errors": errors, **more}


def measure_engine(model, case, name, rtols, repeats, **options):
    """Rows of the library itself; `options` as for `Model.stepper`."""
    rows = []
    for rtol in rtols:
        stepper, states = model.stepper(rtol=rtol, **options), case.cells.copy()

        def call(stepper=stepper, states=states):
            states[:] = case.cells
            return stepper.step(states, case.dt, params=case.params)

        seconds = median_seconds(call, repeats)
        report = call()
        states[report.status >= Status.MASKED] = np.nan
        shares = {status: count / len(states) for status, count in report.counts.items() if count}
        rows.append(
            make_row(
                name,
                rtol,
                1e6 * seconds / len(states),
                states,
                case,
                steps=report.solver_steps / len(states),
                shares=shares,
            )
        )
    return rows


def absolute_tolerance(case, rtol):
    """What our solver grants by default, 1e-10 `rtol` of the total density, shape (n, 1): it suits the others, too.

    With 1e-20 cm^-3 all are 5 to 10 % dearer, and RODAS at 1e-6 runs into its step limit in a tenth of `wide` cells.
    """
    return 1e-10 * rtol * case.cells[:, :-1].sum(1, keepdims=True)


def measure_baselines(baseline, params, case, opponents, repeats, left_out):
    """Rows of compiled opponents, pairs of a mode and its tolerances; what cannot be built goes to `left_out`."""
    rows = []
    for mode, rtols in progress(opponents, desc=case.name):
        try:
            for rtol in rtols:
                atol = KROME_ATOL if "krome" in mode else absolute_tolerance(case, rtol)
                results = [baseline.solve(case.cells, case.dt, params, mode, rtol, atol) for _ in range(repeats + 1)]
                us = np.median([r.us_per_cell for r in results[1:]])
                rows.append(make_row(mode, rtol, us, results[0].states, case, steps=float(results[0].steps.mean())))
        except BaselineError as error:
            left_out[mode] = str(error)
    return rows


def open_baseline(system, directory):
    """The opponents on the generated code of `system`, which goes into `directory`."""
    (Path(directory) / "mechanism.h").write_text(write_mechanism(system))
    return Baseline(directory)


def cost_at(rows, error):
    """Cost of a contender at a 99 % error [us]: along its Pareto front, between points in log and log.

    Looser than its loosest row it gets no cheaper. None where it is never that exact.
    """
    points = sorted((r["errors"][P99], r["us"]) for r in rows)
    front, best = [], np.inf
    for e, us in points:
        if us < best:
            front.append((max(e, 1e-300), us))
            best = us
    if not front or error < front[0][0]:
        return None
    return float(np.exp(np.interp(np.log(error), *np.log(front).T)))


def print_rows(title, rows, other="ours"):
    """What the rows say, in the width of a terminal; `ratio` is the cost over that of `other` at equal error."""
    print(
        f"\n{title}\n{'solver':<18}{'rtol':>7}{'us/cell':>10}{'steps':>8}{'failed':>7}{'50 %':>9}{'99 %':>9}{'max':>9}"
        f"{'/ ' + other:>13}"
    )
    for r in rows:
        ratio, steps = ("-" if r.get(key) is None else f"{r[key]:.1f}" for key in ("ratio", "steps"))
        e = r["errors"]
        print(
            f"{r['solver']:<18}{r['rtol']:>7.0e}{r['us']:>10.2f}{steps:>8}{r['failed']:>7}{e[0]:>9.1e}{e[P99]:>9.1e}"
            f"{e[-1]:>9.1e}{ratio:>13}"
        )
