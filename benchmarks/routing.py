"""Which cells should the net be asked about first, and which go straight to the solver?

    python -m benchmarks.routing                # a few minutes: compiles the model four times

Microseconds per cell and log10 of the 99 % error of several policies, each put together from the engine's own calls, on
one core, 4096 cells a call:

    solver    the solver takes every cell
    attempt   one attempt of the solver over the whole of dt takes every cell first, then as with `gauge 0`
    gauge N   cells that the gauge expects to need fewer than N attempts go to the solver, of the others the net takes
              those whose error the judge vouches for; the engine with `surrogate calibrate --cheap N`
    oracle    as `gauge 4`, with the number of attempts of every cell known beforehand, at no cost

Populations: see `cases`. A quick run has the shipped model alone, without the policies that need others.
"""

import tempfile
from dataclasses import replace

import numpy as np
from surrogate.training.codegen.library import export_model
from surrogate.training.nets.calibration import CHEAP, Calibration, from_plain
from surrogate.training.nets.domain import Domain
from surrogate.training.nets.trained import load_trained

import surrogate
from surrogate import Status

from .cases import POPULATIONS, draw_case
from .errors import relative_errors
from .options import finish, make_parser, progress, start
from .timing import ZOO, median_seconds

N_CELLS = 4096
LIMITS = (0.0, 2.5, CHEAP, 8.0)


def microseconds(stepper, cells, dt):
    """Time of a call over all cells, of `N_CELLS` or fewer; 0 for none."""
    if not len(dt):
        return 0.0
    work, status = np.empty_like(cells), []

    def call():
        work[:] = cells
        status[:] = [stepper.step(work, dt)]

    copying = median_seconds(lambda: work.__setitem__(slice(None), cells))
    return 1e6 * (median_seconds(call) - copying)


def compare(models, rtol, case):
    """Rows of the table: by policy us per cell, log10 of the 99 % error, share of the net."""
    cells, dt, truth, one = case.cells, case.dt, case.reference, models[CHEAP]
    n, solver = len(dt), one.stepper(rtol=rtol, net=False)
    first = one.stepper(rtol=rtol, net=False, max_solver_steps=1)
    policies = {"solver": [(solver, np.full(n, True))]}
    ends = cells.copy()
    attempts = solver.step(ends, dt).cost
    left = first.step(cells.copy(), dt).status != Status.SOLVER
    plain = {limit: model.stepper(rtol=rtol) for limit, model in models.items()}
    policies |= {f"gauge {limit:g}": [(stepper, np.full(n, True))] for limit, stepper in plain.items()}
    if 0.0 in plain:
        few = attempts < CHEAP
        policies["attempt"] = [(first, np.full(n, True)), (plain[0.0], left)]
        policies["oracle"] = [(solver, few), (plain[0.0], ~few)]
    row = {}
    for name, parts in policies.items():
        end, status = cells.copy(), np.full(n, -1)
        for stepper, chosen in parts:
            part = end[chosen]
            status[chosen] = stepper.step(part, dt[chosen]).status
            end[chosen] = part
        time = sum(microseconds(stepper, cells[chosen], dt[chosen]) for stepper, chosen in parts) / n
        row[name] = {
            "us": time,
            "error": float(np.log10(np.quantile(relative_errors(end, truth), 0.99))),
            "net": float((status == Status.NET).mean()),
        }
    return {"attempts": float(attempts.mean()), "policies": row}


def main(arguments=None):
    """Measure, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--rtol", nargs="+", type=float, default=[1e-1, 1e-2])
    parser.add_argument("--model", default="ism-molecular", help="a shipped model")
    options = start(parser, arguments)
    system, net, metadata = load_trained(ZOO / f"{options.model}.h5")
    domain = from_plain(Domain, metadata["domain"])
    calibration = from_plain(Calibration, metadata["calibration"])
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        models = {CHEAP: surrogate.load(options.model)}
        for limit in () if options.quick else progress(LIMITS, desc="compile"):
            export = export_model(system, f"{directory}/{limit}", net=(net, domain, replace(calibration, cheap=limit)))
            models[limit] = surrogate.load(export)
        models = dict(sorted(models.items()))
        n = 64 if options.quick else N_CELLS
        cases = [draw_case(models[CHEAP], system, name, n) for name in POPULATIONS]
        for rtol in options.rtol:
            for case in cases:
                row = compare(models, rtol, case)
                rows.append({"rtol": rtol, "population": case.name, **row})
                if len(rows) == 1:
                    print(f"{'rtol':>5} {'population':<11}" + "".join(f"{name:>17}" for name in row["policies"]))
                print(
                    f"{rtol:>5g} {case.name:<11}"
                    + "".join(
                        f"{p['us']:>6.2f} {p['error']:>5.1f} {100 * p['net']:>3.0f}%" for p in row["policies"].values()
                    ),
                    flush=True,
                )
    print("us per cell, log10 99 % error, share of the net")
    finish("routing", options, {"model": options.model, "results": rows})


if __name__ == "__main__":
    main()
