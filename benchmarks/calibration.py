"""Does the net know its errors: what is accepted, what of that is within rtol, and what happens outside the domain?

    python -m benchmarks.calibration            # a minute

Through the engine, cells that neither training nor calibration saw. The promise: of the cells the net takes at `rtol`,
99 % are within it in every variable. Risk and coverage: of the cells with the smallest predicted errors, how many are
beyond a tolerance. Shifted populations lie outside the training box in one respect: all of them must be solved.
"""

import numpy as np
import surrogate
from surrogate.training import get_system
from surrogate.training.calibrate import load_trained

from .cases import draw_case
from .errors import worst_errors
from .options import finish, make_parser, progress, start
from .surrogate_accuracy import predict
from .timing import ZOO

RTOLS = (3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
SHARES = np.linspace(0.02, 1, 50)


def acceptance(model, case):
    """Per tolerance: shares of the net, of what is quick to solve, of what is outside; of the net's, what is within."""
    rows = []
    for rtol in RTOLS:
        ends = case.cells.copy()
        status = model.stepper(rtol=rtol).step(ends, case.dt).status
        taken, worst = status == 0, worst_errors(ends, case.reference)
        rows.append({"rtol": rtol, "net": float(taken.mean()), "quick": float((status == 4).mean()),
                     "outside": float((status == 1).mean()), "taken": int(taken.sum()),
                     "within": float((worst[taken] <= rtol).mean()) if taken.any() else None,
                     "step_within": float((worst <= rtol).mean())})  # fmt: skip
    return rows


def risk(measured, rtol):
    """Share beyond `rtol` among the cells of smallest predicted error, at `SHARES` of all."""
    order = np.argsort(measured.predicted)
    beyond = np.cumsum(measured.worst[order] > rtol) / np.arange(1, len(order) + 1)
    return [float(x) for x in beyond[(SHARES * len(order)).astype(int).clip(1) - 1]]


def shifted(model, case):
    """Share of the cells that the net takes in each of several shifted populations, at rtol 0.3."""
    names = [v.name for v in model.variables]
    species, helium, t = slice(0, len(names) - 1), [names.index(k) for k in ("He", "He+", "He++")], names.index("T")

    def change(columns, factor):
        cells = case.cells.copy()
        cells[:, columns] *= factor
        return cells

    dense = change(species, 1e4 / case.cells[:, species].sum(1, keepdims=True))
    hot = case.cells.copy()
    hot[:, t] = 10 ** np.random.default_rng(1).uniform(6.3, 8, len(hot))
    sets = {
        "T above 2e6 K": (hot, case.dt, {}), "n of 1e4 cm^-3": (dense, case.dt, {}),
        "three times the helium": (change(helium, 3.0), case.dt, {}),
        "charge out of balance": (change([names.index("e-")], 1.5), case.dt, {}),
        "dt of 30 Myr": (case.cells, np.full(len(case.dt), 9.5e14), {}),
        "ten times the radiation": (case.cells, case.dt, {"G0": 10 * {p.name: p.value for p in model.parameters}["G0"]}),
    }  # fmt: skip
    result = {}
    for name, (cells, dt, params) in sets.items():
        report = model.stepper(rtol=0.3).step(cells.copy(), dt, params=params)
        result[name] = {status: count / len(dt) for status, count in report.counts.items() if count}
    return result


def main(arguments=None):
    """Measure, print, save."""
    options = start(make_parser(__doc__), arguments)
    name, n = "ism-molecular", 256 if options.quick else 10_000
    model, system, results = surrogate.load(name), get_system(name), {}
    net = load_trained(ZOO / f"{name}.h5")[1]
    for population in progress(("wide", "relaxed", "hydro")):
        case = draw_case(model, system, population, n)
        measured = predict(net, case)
        rows = acceptance(model, case)
        results[population] = {"cells": n, "rows": rows, "risk": {f"{r:g}": risk(measured, r) for r in (1e-1, 1e-2)}}
        print(f"\n{population:<10}{'rtol':>8}{'net':>9}{'quick':>9}{'outside':>9}{'within rtol: net':>18}{'step':>9}")
        for r in rows:
            within = "-" if r["within"] is None else f"{100 * r['within']:.2f} %"
            print(f"{'':<10}{r['rtol']:>8g}{r['net']:>9.1%}{r['quick']:>9.1%}{r['outside']:>9.1%}{within:>18}"
                  f"{r['step_within']:>9.1%}")  # fmt: skip
        if population == "wide":
            results["shifted"] = shifted(model, case)
    for what, counts in results["shifted"].items():
        print(f"{what:<26}" + ", ".join(f"{status} {100 * share:.1f} %" for status, share in counts.items()))
    finish("calibration", options, {"model": name, "shares": SHARES.tolist(), **results})


if __name__ == "__main__":
    main()
