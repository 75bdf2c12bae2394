"""What does a cell cost at which incurred error, in our solver and in the established ones?

    python -m benchmarks.solver_cost            # a few minutes; fetches and builds the opponents at the first run
    python -m benchmarks.solver_cost --cells 64 --repeats 2 --no-opponents

All solvers get the same cells, the same generated right-hand side and Jacobian (ours as vectors whose lanes are cells,
theirs as scalar C), one core, the same compiler flags. The reference is our solver at rtol 1e-9, checked against Radau
in the tests.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from surrogate.training import get_system
from surrogate.training.codegen import write_mechanism
from surrogate.training.populations import relaxed, wide

import surrogate

from .baselines import Baseline, BaselineError
from .errors import quantiles, relative_errors
from .timing import RESULTS, median_seconds, pin, save

OURS = (0.3, 1e-1, 3e-2, 1e-2, 1e-3, 1e-4, 1e-6)
OPPONENTS = (("lsodes-krome", (None,)), ("lsodes-21", (1e-3, 1e-4, 1e-6)), ("lsode-dense", (1e-3, 1e-4, 1e-6)),
             ("cvode-dense", (1e-3, 1e-4, 1e-6)))  # fmt: skip
ATOL = 1e-20  # cm^-3, as KROME runs its LSODES


def measure_ours(model, cells, dt, reference, repeats, isa):
    """One row per tolerance."""
    rows = []
    for rtol in OURS:
        stepper, state = model.stepper(rtol=rtol, isa=isa, net=False), cells.copy()

        def call(stepper=stepper, state=state):
            state[:] = cells
            return stepper.step(state, dt)

        seconds = median_seconds(call, repeats)
        report = call()
        rows.append({"solver": f"ours ({isa})", "rtol": rtol, "us": 1e6 * seconds / len(cells),
                     "steps": report.solver_steps / len(cells), "failed": int((report.status != 4).sum()),
                     "errors": quantiles(relative_errors(state, reference))})  # fmt: skip
    return rows


def measure_opponents(baseline, params, cells, dt, reference, repeats):
    """One row per mode and tolerance; a mode that cannot be built is reported and left out."""
    rows = []
    for mode, rtols in OPPONENTS:
        for rtol in rtols:
            try:
                results = [baseline.solve(cells, dt, params, mode, rtol, None if rtol is None else ATOL)
                           for _ in range(repeats + 1)][1:]  # fmt: skip
            except BaselineError as error:
                print(f"{mode} left out: {error}")
                break
            result, good = results[0], results[0].status == 0
            rows.append({"solver": mode, "rtol": rtol or 1e-4, "us": float(np.median([r.us_per_cell for r in results])),
                         "steps": float(result.steps.mean()), "failed": int((~good).sum()),
                         "errors": quantiles(relative_errors(result.states[good], reference[good]))})  # fmt: skip
    return rows


def add_speedups(rows):
    """Cost of each row over ours at the same 99 % error, interpolated on our Pareto front."""
    ours = sorted((r["errors"][2], r["us"]) for r in rows if r["solver"] == "ours (auto)")
    error, us = np.log(ours).T
    for row in rows:
        inside = ours[0][0] <= row["errors"][2]
        row["ratio"] = float(row["us"] / np.exp(np.interp(np.log(row["errors"][2]), error, us))) if inside else None


def print_table(title, rows):
    """What the rows say, in the width of a terminal."""
    print(f"\n{title}\n{'solver':<16}{'rtol':>8}{'us/cell':>9}{'steps':>8}{'failed':>7}{'50 %':>9}{'99 %':>9}{'max':>9}"
          f"{'cost / ours':>13}")  # fmt: skip
    for r in rows:
        ratio = "-" if r["ratio"] is None else f"{r['ratio']:.1f}"
        e = r["errors"]
        print(f"{r['solver']:<16}{r['rtol']:>8.0e}{r['us']:>9.2f}{r['steps']:>8.1f}{r['failed']:>7}{e[0]:>9.1e}{e[2]:>9.1e}"
              f"{e[4]:>9.1e}{ratio:>13}")  # fmt: skip


def draw(populations, path):
    """Pareto plot: incurred 99 % error against cost."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(populations), figsize=(11, 4.5), layout="constrained", sharey=True)
    for axis, (name, rows) in zip(axes, populations.items()):
        for solver in dict.fromkeys(r["solver"] for r in rows):
            points = [(r["us"], r["errors"][2]) for r in rows if r["solver"] == solver]
            axis.plot(*zip(*points), "o-", label=solver)
        axis.set(xscale="log", yscale="log", xlabel="cost [us/cell]", title=name)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error at the 99 % quantile")
    axes[-1].legend(loc="upper right")
    figure.savefig(path, dpi=120)


def main():
    """Run, print, save, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-opponents", action="store_true", help="our own solver only; nothing is fetched")
    options = parser.parse_args()
    pin()
    model, system = surrogate.load("ism-molecular"), get_system("ism-molecular")
    tight = model.stepper(rtol=1e-9, atol_frac=1e-20, net=False)
    populations = {"wide": wide(system, options.cells, seed=20),
                   "relaxed": relaxed(system, options.cells, 21, model.stepper(rtol=1e-6, net=False).step)}  # fmt: skip
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "mechanism.h").write_text(write_mechanism(system))
        for name, (cells, dt) in populations.items():
            reference = cells.copy()
            tight.step(reference, dt)
            rows = []
            for isa in ("auto", "v3", "base"):
                rows += measure_ours(model, cells, dt, reference, options.repeats, isa)
            if not options.no_opponents:
                baseline = Baseline(directory)
                rows += measure_opponents(baseline, system.parameter_values, cells, dt, reference, options.repeats)
            add_speedups(rows)
            doing_nothing = quantiles(relative_errors(cells, reference))
            print_table(f"{name}: {len(cells)} cells; doing nothing errs by {doing_nothing[0]:.1e} (median), "
                        f"{doing_nothing[2]:.1e} (99 %)", rows)
            results[name] = {"rows": rows, "doing_nothing": doing_nothing}
    print(f"\nresults: {save('solver_cost', {'populations': results})}")
    draw({name: r["rows"] for name, r in results.items()}, RESULTS / "solver_cost.png")


if __name__ == "__main__":
    main()
