"""Does the net know its errors: what is accepted, what of that is within rtol, and what happens outside the domain?

    python -m benchmarks.calibration            # a minute

Through the engine, cells that neither training nor calibration saw. The promise: of the cells the net takes at `rtol`,
99 % are within it in every variable. Risk and coverage: of the cells with the smallest predicted errors, how many are
beyond a tolerance. Shifted populations differ from all training cells in one respect: all of them ought to be solved.
"""

import numpy as np
from surrogate.training import get_system
from surrogate.training.nets.trained import load_trained

import surrogate
from surrogate import Status

from .cases import draw_case, make_case
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
        taken, worst = status == Status.NET, worst_errors(ends, case.reference)
        rows.append(
            {
                "rtol": rtol,
                "net": float(taken.mean()),
                "quick": float((status == Status.SOLVER).mean()),
                "outside": float((status == Status.OUTSIDE).mean()),
                "taken": int(taken.sum()),
                "within": float((worst[taken] <= rtol).mean()) if taken.any() else None,
                "step_within": float((worst <= rtol).mean()),
            }
        )
    return rows


def risk(measured, rtol):
    """Share beyond `rtol` among the cells of smallest predicted error, at `SHARES` of all."""
    order = np.argsort(measured.predicted)
    beyond = np.cumsum(measured.worst[order] > rtol) / np.arange(1, len(order) + 1)
    return [float(x) for x in beyond[(SHARES * len(order)).astype(int).clip(1) - 1]]


def shifted(model, case):
    """Share of the cells by status in each of several shifted populations, at rtol 0.1, and of the net's those within.

    The densest `wide` cells have 1e3 cm^-3; a few cells of `hydro`, near equilibrium, have more.
    """
    names = [v.name for v in model.variables]
    species, helium, t = slice(0, len(names) - 1), [names.index(k) for k in ("He", "He+", "He++")], names.index("T")

    def change(columns, factor):
        cells = case.cells.copy()
        cells[:, columns] *= factor
        return cells

    hot, density = case.cells.copy(), case.cells[:, species].sum(1, keepdims=True)
    hot[:, t] = 10 ** np.random.default_rng(1).uniform(6.3, 8, len(hot))
    radiation = {"G0": 10 * {p.name: p.value for p in model.parameters}["G0"]}
    sets = {
        "T above 2e6 K": (hot, case.dt, None),
        "n of 2e3 cm^-3": (change(species, 2e3 / density), case.dt, None),
        "n of 1e4 cm^-3": (change(species, 1e4 / density), case.dt, None),
        "three times the helium": (change(helium, 3.0), case.dt, None),
        "charge out of balance": (change([names.index("e-")], 1.5), case.dt, None),
        "dt of 30 Myr": (case.cells, np.full(len(case.dt), 9.5e14), None),
        "ten times the radiation": (case.cells, case.dt, radiation),
    }
    result = {}
    for name, (cells, dt, params) in sets.items():
        ends = cells.copy()
        report = model.stepper(rtol=0.1).step(ends, dt, params=params)
        taken = report.status == Status.NET
        shares = {status: count / len(dt) for status, count in report.counts.items() if count}
        within = None
        if taken.any():
            truth = make_case(model, name, cells[taken], dt[taken], params).reference
            within = float((worst_errors(ends[taken], truth) <= 0.1).mean())
        result[name] = {"shares": shares, "within": within}
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
            print(
                f"{'':<10}{r['rtol']:>8g}{r['net']:>9.1%}{r['quick']:>9.1%}{r['outside']:>9.1%}{within:>18}"
                f"{r['step_within']:>9.1%}"
            )
        if population == "wide":
            results["shifted"] = shifted(model, case)
    for what, row in results["shifted"].items():
        within = "" if row["within"] is None else f"; of the net's within 0.1: {100 * row['within']:.1f} %"
        print(f"{what:<32}" + ", ".join(f"{k} {100 * share:.1f} %" for k, share in row["shares"].items()) + within)
    finish("calibration", options, {"model": name, "shares": SHARES.tolist(), **results})


if __name__ == "__main__":
    main()
