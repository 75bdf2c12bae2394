"""What does a freeze-out cost at which error, in our solver and net and in the established solvers?

    python -m benchmarks.freeze_out            # minutes; fetches and builds the opponents at the first run
    python -m benchmarks.freeze_out --points 2000 --no-opponents

Two systems: `freeze-out-constant`, W = ln Y with constant degrees of freedom (|df/dW| up to 5e9 at the start), and
`freeze-out`, Y with those of the Standard Model. Parameters are random over particles and cosmologies, each point is
integrated from m/T = 1 to 5e4; error: |Y/Y_ref - 1|, the reference our solver at 1e-10. All run the same generated
right-hand side and Jacobian, those for SciPy compiled by numba.
"""

import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp
from surrogate.training import get_system
from surrogate.training.codegen import numba_functions, write_mechanism
from surrogate.training.codegen.library import export_model
from surrogate.training.populations import box

import surrogate
from surrogate import Status

from .baselines import Baseline, BaselineError
from .errors import quantiles
from .options import finish, make_parser, start
from .timing import median_seconds

Z_END = np.log(5e4)
RTOLS = (1e-2, 1e-3, 1e-4, 1e-6)
MODES = ("lsodes-21", "lsode-dense", "cvode-dense")


def draw(name, n):
    """(system, start cells, parameters) of `n` random particles and cosmologies."""
    system, rng = get_system(name), np.random.default_rng(40)
    params = np.tile(system.parameter_values, (n, 1))
    if name == "freeze-out":
        return system, box(system, n, 40, (1.0, 2.0))[0], params
    for k, p in enumerate(system.parameters):
        low, high = {"C": (24, 34), "gamma": (-1, 2), "z_t": (2.3, 8.0), "g_ratio": (0.01, 0.1)}.get(p.name, (0, 0))
        params[:, k] = rng.uniform(low, high, n)
    ratio = params[:, [p.name for p in system.parameters].index("g_ratio")]
    return system, (system.initial[0] + np.log(ratio / 0.01))[:, None], params


def errors_of(name, states, reference):
    """Relative error of Y, shape (n,)."""
    got, wanted = states[:, -1], reference[:, -1]
    return np.abs(got / wanted - 1) if name == "freeze-out" else np.abs(np.expm1(got - wanted))


def measure_ours(model, name, cells, params, reference, options):
    """Our solver at each tolerance, and the net where the model has one."""
    named, rows = dict(zip((p.name for p in model.parameters), params.T)), []
    for label, net in (("ours", False), *([("net", True)] if model.info["kind"] == "surrogate" else [])):
        for rtol in (1e-2, 1e-3) if net else RTOLS:
            stepper, state = model.stepper(rtol=rtol, net=net), cells.copy()

            def call(stepper=stepper, state=state):
                state[:] = cells
                return stepper.step(state, Z_END, params=named)

            seconds, report = median_seconds(call, options.repeats), call()
            rows.append(
                row(
                    label,
                    rtol,
                    1e6 * seconds / len(cells),
                    report.solver_steps / len(cells),
                    int((report.status >= Status.MASKED).sum()),
                    errors_of(name, state, reference),
                )
            )
            rows[-1]["accepted"] = float(report.fraction_accepted)
    return rows


def row(solver, rtol, us, steps, failed, errors):
    """One line of the table."""
    return {"solver": solver, "rtol": rtol, "us": us, "steps": steps, "failed": failed, "errors": quantiles(errors)}


def measure_opponents(system, cells, params, reference, atol):
    """LSODES, LSODE and CVODE by their C and Fortran libraries."""
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "mechanism.h").write_text(write_mechanism(system))
        baseline = Baseline(directory)
        for mode in MODES:
            for rtol in RTOLS:
                try:
                    result = [baseline.solve(cells, Z_END, params, mode, rtol, atol) for _ in range(3)][-1]
                except BaselineError as error:
                    print(f"{mode} left out: {error}")
                    break
                good = ~result.failed
                errors = errors_of(system.name, result.states[good], reference[good])
                rows.append(row(mode, rtol, result.us_per_cell, float(result.steps.mean()), int((~good).sum()), errors))
    return rows


def measure_scipy(system, cells, params, reference, atol):
    """SciPy's BDF and LSODA with compiled functions."""
    rhs, jacobian = numba_functions(system)
    rows = []
    for method in ("BDF", "LSODA"):
        for rtol in (1e-3, 1e-6):
            ends, steps, start = np.full_like(cells, np.nan), 0, 0.0
            for i in range(-1, len(cells)):  # the first run compiles
                if i == 0:
                    start = time.process_time()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    run = solve_ivp(
                        lambda t, y, p: rhs(t, y, p),
                        (0, Z_END),
                        cells[i],
                        method,
                        rtol=rtol,
                        atol=atol,
                        jac=lambda t, y, p: jacobian(t, y, p),
                        args=(params[i],),
                    )
                if run.success and i >= 0:
                    ends[i], steps = run.y[:, -1], steps + run.t.size - 1
            us = 1e6 * (time.process_time() - start) / len(cells)
            good = np.isfinite(ends[:, -1])
            errors = errors_of(system.name, ends[good], reference[good]) if good.any() else np.array([np.nan])
            rows.append(row(f"scipy {method}", rtol, us, steps / max(good.sum(), 1), int((~good).sum()), errors))
    return rows


def print_table(title, rows):
    """What the rows say."""
    print(
        f"\n{title}\n{'solver':<14}{'rtol':>8}{'us/point':>10}{'steps':>8}{'failed':>8}{'50 %':>9}{'99 %':>9}{'max':>9}"
    )
    for r in rows:
        e = r["errors"]
        print(
            f"{r['solver']:<14}{r['rtol']:>8.0e}{r['us']:>10.2f}{r['steps']:>8.1f}{r['failed']:>8}{e[0]:>9.1e}{e[2]:>9.1e}"
            f"{e[4]:>9.1e}"
        )


def main(arguments=None):
    """Run, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--opponent-points", type=int, default=1000, help="for the C libraries; SciPy gets a fiftieth")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-opponents", action="store_true", help="our own solver only; nothing is fetched")
    options = start(parser, arguments, points=200, opponent_points=50, repeats=1)
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        for name in ("freeze-out-constant", "freeze-out"):
            system, cells, params = draw(name, options.points)
            shipped = surrogate.models()
            model = shipped[name] if name in shipped else surrogate.load(export_model(system, directory))
            reference = cells.copy()
            named = dict(zip((p.name for p in model.parameters), params.T))
            model.stepper(rtol=1e-10, net=False).step(reference, Z_END, params=named)
            rows = measure_ours(model, name, cells, params, reference, options)
            if not options.no_opponents:
                atol = 1e-10 if name == "freeze-out-constant" else 1e-22
                few, fewer = slice(options.opponent_points), slice(max(options.opponent_points // 50, 2))
                rows += measure_opponents(system, cells[few], params[few], reference[few], atol)
                rows += measure_scipy(system, cells[fewer], params[fewer], reference[fewer], atol)
            print_table(f"{name}: {len(cells)} points", rows)
            results[name] = rows
    finish("freeze_out", options, {"points": options.points, "systems": results})


if __name__ == "__main__":
    main()
