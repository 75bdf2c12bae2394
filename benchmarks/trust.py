"""Does the promise hold on cells that nobody calibrated for, and what does the net take and save there?

    python -m benchmarks.trust                  # ten minutes

Through the engine, at the model's own thresholds, every population that the package can draw: those that had a say in
the calibration and those that had none, at the model's own parameters and, where the net takes parameters, over their
ranges. `hard`: cells for which the solver needs four attempts or more at 1e-2; fewer cost no more than a net. `taken`:
share of the hard cells that the net advances. `within`: share of the net's cells that are within rtol in every
variable, with its exact binomial lower bound at 95 %. `us`: the whole step, check included. `faster`: cost of our
solver along its own curve, at the 99 % error that the step incurred, over that of the step.
"""

from scipy.stats import beta
from surrogate.training import get_system
from surrogate.training.nets.trained import load_trained

import surrogate
from surrogate import Status

from .cases import draw_case
from .contenders import cost_at, measure_engine
from .errors import P99, worst_errors
from .options import finish, make_parser, progress, start
from .timing import ZOO

POPULATIONS = ("wide", "random", "neutral", "traces", "relaxed", "aged", "stepped", "mixed", "shocked", "hydro")
#: `hydro` is made at the parameters of the demo
FIXED = ("hydro",)
RTOLS = (0.1, 0.03, 0.01)
SOLVER = (0.5, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4)
#: attempts of the solver at 1e-2 from which on a cell is hard
HARD = 4


def measure_case(model, case, repeats):
    """Rows of one case, one per tolerance."""
    attempts = model.stepper(rtol=1e-2, net=False).step(case.cells.copy(), case.dt, params=case.params).cost
    hard, rows = attempts >= HARD, []
    solver = measure_engine(model, case, "ours", SOLVER, repeats, net=False)
    steps = measure_engine(model, case, "step", RTOLS, repeats)
    for step in steps:
        ends, rtol = case.cells.copy(), step["rtol"]
        status = model.stepper(rtol=rtol).step(ends, case.dt, params=case.params).status
        taken = status == Status.NET
        n, good = int(taken.sum()), int((worst_errors(ends, case.reference)[taken] <= rtol).sum())
        other = cost_at(solver, step["errors"][P99])
        rows.append(
            {
                "rtol": rtol,
                "hard": float(hard.mean()),
                "outside": float((status == Status.OUTSIDE).mean()),
                "net": n,
                "taken": float(taken[hard].mean()) if hard.any() else 0.0,
                "within": good / n if n else None,
                "bound": float(beta.ppf(0.05, good, n - good + 1)) if good else None,
                "us": step["us"],
                "error": step["errors"][P99],
                "faster": other and other / step["us"],
                "solver_us": next(r["us"] for r in solver if r["rtol"] == rtol),
            }
        )
    return rows


def print_case(name, rows):
    """One line per tolerance, in the width of a terminal."""
    for row in rows:
        within = "-" if row["within"] is None else f"{100 * row['within']:.2f} ({100 * (row['bound'] or 0):.2f})"
        faster = "-" if row["faster"] is None else f"{row['faster']:.1f}"
        print(
            f"{name:<16}{row['rtol']:>6g}{row['hard']:>7.0%}{row['outside']:>9.0%}{row['taken']:>8.1%}{within:>16}"
            f"{row['us']:>8.2f}{row['solver_us']:>8.2f}{row['error']:>9.1e}{faster:>8}",
            flush=True,
        )


def main(arguments=None):
    """Measure, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="ism-molecular", help="a shipped model")
    parser.add_argument("--n", type=int, default=8192, help="cells of each population (default 8192)")
    options = start(parser, arguments, n=256)
    n, repeats = options.n, 1 if options.quick else 3
    model, system, results = surrogate.load(options.model), get_system(options.model), {}
    inputs = load_trained(ZOO / f"{options.model}.h5")[1].encoding.inputs
    print(
        f"{'':<16}{'rtol':>6}{'hard':>7}{'outside':>9}{'taken':>8}{'within %':>16}{'us':>8}{'solver':>8}{'99 %':>9}",
        end="",
    )
    print(f"{'faster':>8}")
    for ranges in ({}, inputs) if inputs else ({},):
        for population in progress(POPULATIONS[: 2 if options.quick else None]):
            if ranges and population in FIXED:
                continue
            name = population + ("*" if ranges else "")
            results[name] = measure_case(model, draw_case(model, system, population, n, ranges=ranges), repeats)
            print_case(name, results[name])
    print("* with parameters over the ranges of the net")
    finish("trust", options, {"model": options.model, "inputs": inputs, "populations": results})


if __name__ == "__main__":
    main()
