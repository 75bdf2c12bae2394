"""What does a cell cost at which incurred error, in our solver and in the established ones?

    python -m benchmarks.solver_cost            # six minutes; fetches and builds the opponents at the first run
    python -m benchmarks.solver_cost --quick --no-opponents

All solvers get the same cells, the same generated right-hand side and Jacobian (ours as vectors whose lanes are cells,
compiled opponents as scalar C, Python-level ones by numba), one core, the same compiler flags. No net. The reference is
our solver at rtol 1e-9, checked against Radau in the tests. Opponents that loop over steps in Python get few cells.
"""

import tempfile

from surrogate.training import get_system
from surrogate.training.codegen import numba_functions

import surrogate

from .cases import Case, draw_case
from .contenders import cost_at, measure_baselines, measure_engine, open_baseline, print_rows
from .errors import P99
from .options import finish, make_parser, progress, start
from .python_solvers import METHODS, make_lsoda, measure_lsoda, measure_scipy

OURS = (0.3, 1e-1, 3e-2, 1e-2, 1e-3, 1e-4, 1e-6)
THEIRS = (1e-3, 1e-4, 1e-6)
MODES = ("lsodes-21", "lsode-dense", "cvode-dense", "cvode-klu", "rodas", "radau5")
N_PYTHON = 12


def measure_python(system, case, rtols, repeats, left_out):
    """Rows of the opponents from Python."""
    functions, params = numba_functions(system), system.parameter_values
    few = Case(
        case.name, case.cells[:N_PYTHON], case.dt[:N_PYTHON], case.reference[:N_PYTHON], case.nothing, case.noise
    )
    rows = [measure_scipy(functions, params, few, method, 1e-4) for method in progress(METHODS, desc="scipy")]
    try:
        solve = make_lsoda(functions)
    except ImportError as error:
        left_out["numbalsoda LSODA"] = str(error)
        return rows
    return rows + [measure_lsoda(solve, params, case, rtol, repeats) for rtol in rtols]


def add_ratios(rows):
    """Cost of each row over ours at the same 99 % error."""
    ours = [r for r in rows if r["solver"] == "ours"]
    for row in rows:
        us = cost_at(ours, row["errors"][P99])
        row["ratio"] = None if us is None or row["solver"] == "ours" else row["us"] / us


def main(arguments=None):
    """Run, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--no-opponents", action="store_true", help="our own solver only; nothing is fetched")
    options = start(parser, arguments)
    n, repeats = (32, 1) if options.quick else (1024, 7)
    theirs = THEIRS[1:2] if options.quick else THEIRS
    model, system = surrogate.load("ism-molecular"), get_system("ism-molecular")
    results, left_out = {}, {}
    with tempfile.TemporaryDirectory() as directory:
        baseline = None if options.no_opponents else open_baseline(system, directory)
        for name in ("wide", "relaxed", "hydro"):
            case = draw_case(model, system, name, n)
            rows = []
            for label, isa in (("ours", "auto"), ("ours (AVX2)", "v3"), ("ours (SSE4)", "base")):
                rows += measure_engine(model, case, label, OURS, repeats, net=False, isa=isa)
            if baseline:
                opponents = [("lsodes-krome", (1e-4,)), *((mode, theirs) for mode in MODES)]
                few = max(repeats // 2, 1)
                rows += measure_baselines(baseline, system.parameter_values, case, opponents, few, left_out)
                rows += measure_python(system, case, theirs, few, left_out)
            add_ratios(rows)
            nothing = case.nothing[P99]
            print_rows(
                f"{name}: {n} cells; 99 % error of doing nothing {nothing:.1e}, of the reference {case.noise[P99]:.0e}",
                rows,
            )
            results[name] = {"rows": rows, **case.describe()}
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    finish("solver_cost", options, {"populations": results, "left_out": left_out})


if __name__ == "__main__":
    main()
