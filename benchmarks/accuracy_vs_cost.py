"""How much accuracy does a microsecond buy, with the net, with our solver and with the established ones?

    python -m benchmarks.accuracy_vs_cost       # three minutes; builds the opponents at the first run

The whole step as a host calls it: the net takes what it vouches for, the solver the rest. Cold starts (`wide`,
`relaxed`, `hydro`) and evolved cells with short steps (`restart`: 10 to 100 yr, `hydro step`: 0.1 to 1 yr) apart: in
the latter one or two attempts of the solver do. Speed-up: cost of the other along its own curve at the 99 % error that
the step incurred, over that of the step. `published way`: cost of KROME's LSODES at its own 1e-4 over that of the step,
whatever the error of the step.
"""

import tempfile

from surrogate.training import get_system

import surrogate

from .cases import POPULATIONS, draw_case
from .contenders import cost_at, measure_baselines, measure_engine, open_baseline, print_rows
from .errors import P99
from .options import finish, make_parser, start

STEP = (1e-1, 3e-2, 1e-2, 3e-3)
SOLVER = (0.5, 0.3, 1e-1, 3e-2, 1e-2, 1e-3, 1e-4)
OPPONENTS = (
    ("lsodes-krome", (1e-2, 1e-3, 1e-4)),
    ("lsodes-21", (1e-2, 1e-3, 1e-4)),
    ("cvode-dense", (1e-2, 1e-3, 1e-4)),
)
#: aims at rtol 1e-2: speed-up over KROME's LSODES and over our own solver
AIMS = {"wide": {"lsodes-krome": 100, "ours": 5}, "relaxed": {"lsodes-krome": 300, "ours": 10}}
#: of four models over KROME, as published by Branca & Pallottini 2023 (MNRAS 518, 5718)
PUBLISHED = (207, 116, 108, 91)


def speedups(rows):
    """Per tolerance of the step: by contender the ratio of costs at equal error, None where it is never that exact."""
    others = {r["solver"]: [q for q in rows if q["solver"] == r["solver"]] for r in rows if r["solver"] != "step"}
    result = {}
    for step in (r for r in rows if r["solver"] == "step"):
        us = {name: cost_at(points, step["errors"][P99]) for name, points in others.items()}
        result[f"{step['rtol']:g}"] = {name: value and value / step["us"] for name, value in us.items()}
        krome = [r["us"] for r in others.get("lsodes-krome", ()) if r["rtol"] == 1e-4]
        result[f"{step['rtol']:g}"]["published way"] = krome[0] / step["us"] if krome else None
    return result


def main(arguments=None):
    """Run, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="ism-molecular")
    parser.add_argument("--no-opponents", action="store_true", help="our own solver and net only; nothing is fetched")
    options = start(parser, arguments)
    n, repeats = (64, 1) if options.quick else (2048, 7)
    model, system = surrogate.load(options.model), get_system(options.model)
    results, left_out = {}, {}
    with tempfile.TemporaryDirectory() as directory:
        baseline = None if options.no_opponents else open_baseline(system, directory)
        for name in POPULATIONS:
            case = draw_case(model, system, name, n)
            rows = measure_engine(model, case, "step", STEP, repeats)
            rows += measure_engine(model, case, "ours", SOLVER, repeats, net=False)
            if baseline:
                rows += measure_baselines(
                    baseline, system.parameter_values, case, OPPONENTS, max(repeats // 3, 1), left_out
                )
            print_rows(
                f"{name}: {n} cells; 99 % error of doing nothing {case.nothing[P99]:.1e}, of the reference "
                f"{case.noise[P99]:.0e}",
                rows,
            )
            faster = speedups(rows)
            for rtol, ratios in faster.items():
                print(f"  step at {rtol}: " + ", ".join(f"{x:.1f} x {other}" for other, x in ratios.items() if x))
            results[name] = {"rows": rows, "speedups": faster, "aims": AIMS.get(name, {}), **case.describe()}
    print(f"\npublished, for four models: {', '.join(map(str, PUBLISHED))}")
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    finish(
        "accuracy_vs_cost",
        options,
        {"model": options.model, "published": PUBLISHED, "populations": results, "left_out": left_out},
    )


if __name__ == "__main__":
    main()
