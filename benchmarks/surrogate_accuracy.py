"""How accurate is the net alone, beside the published emulators, doing nothing, and the noise of the reference?

    python -m benchmarks.surrogate_accuracy     # two minutes

All four shipped models, every cell by the net, nothing left to the solver and nothing rejected: the hardest way to look
at them, and that of the paper. log10 |y/y_ref - 1| stacked over temperature and species above 1e-10 of the total. Then
one dt for all cells, from 1 yr (shorter than any in training: the step leaves such cells to the solver) to 1 Myr.
"""

import numpy as np
import torch
from scipy.stats import binned_statistic_2d
from surrogate.training.evaluation.measure import measure
from surrogate.training.evaluation.score import QUANTILES, score
from surrogate.training.labels.solver import solver_model
from surrogate.training.nets.trained import load_trained
from surrogate.training.systems.network import YEAR

from .cases import draw_case, make_case
from .errors import P99
from .options import finish, make_parser, progress, start
from .timing import ZOO

MODELS = {name: ("wide", "relaxed", "hydro") for name in ("ism-molecular", "ism-atomic")}
MODELS |= {f"{name}-single": ("single",) for name in MODELS}
#: log10 |y/y_ref - 1| at 50, 75 and 90 % in Table 2 of Branca & Pallottini 2023 (MNRAS 518, 5718)
PUBLISHED = {
    "ism-molecular": (-1.5, -0.15, 0.38),
    "ism-atomic": (-3.87, -0.89, -0.15),
    "ism-molecular-single": (-2.91, -0.84, 0.16),
    "ism-atomic-single": (-1.51, -1.05, -0.77),
}
SWEEP = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)  # yr
MAP = (np.linspace(1.3, 6.0, 25), np.linspace(-2.0, 3.0, 21))  # edges of log10 T [K] and log10 n [cm^-3]


def predict(net, case):
    """What the net makes of a case, see `evaluate.Measured`."""
    return measure(net, *(torch.from_numpy(x) for x in (case.cells, case.dt, case.reference)))


def logs(values):
    """log10, rounded; no error is -99."""
    return [round(float(np.log10(v)), 3) if v > 0 else -99.0 for v in values]


def error_map(case, worst):
    """Median log10 of the worst variable's error per bin of temperature and density; None where there is no cell."""
    place = np.log10(case.cells[:, -1]), np.log10(case.cells[:, :-1].sum(1))
    table = binned_statistic_2d(*place, np.log10(worst + 1e-12), "median", bins=MAP).statistic
    return [[None if np.isnan(x) else round(x, 2) for x in line] for line in table.tolist()]


def measure_model(name, n):
    """Record of one model: quantiles per population, the sweep over time steps, the error map of `wide` cells."""
    system, net, _ = load_trained(ZOO / f"{name}.h5")
    solver, record = solver_model(system), {"published": PUBLISHED[name], "populations": {}, "sweep": []}
    for population in MODELS[name]:
        case = draw_case(solver, system, population, n)
        measured = predict(net, case)
        result = score(net.encoding, measured)
        record["populations"][population] = {
            "cells": n,
            "log10": result["quantiles"],
            "nothing": logs(case.nothing),
            "noise": logs(case.noise),
            "variables": result["variables"],
        }
        if population == "wide":
            record["map"] = error_map(case, measured.worst)
    cells = draw_case(solver, system, MODELS[name][0], max(n // 5, 32)).cells
    for years in progress(SWEEP, desc=name):
        case = make_case(solver, f"{years:g} yr", cells, np.full(len(cells), years * YEAR))
        measured = predict(net, case)
        errors = measured.errors[measured.counts].numpy()
        record["sweep"].append(
            {
                "years": years,
                "net": logs(np.quantile(errors, (0.5, 0.99))),
                "nothing": logs((case.nothing[0], case.nothing[P99])),
                "noise": logs((case.noise[0], case.noise[P99])),
            }
        )
    return record


def print_record(name, record):
    """One model, in the width of a terminal."""
    print(f"\n{name:<22}" + "".join(f"{100 * q:>7g} %" for q in QUANTILES))
    print(f"  {'published':<20}" + "".join(f"{q:9.2f}" for q in record["published"]))
    for population, row in record["populations"].items():
        print(
            f"  {population:<20}"
            + "".join(f"{q:9.2f}" for q in row["log10"])
            + f"    doing nothing, 99 %: {row['nothing'][P99]:.2f}, noise: {row['noise'][P99]:.1f}"
        )
    print("  dt [yr]      50 %   99 %   doing nothing   noise")
    for row in record["sweep"]:
        print(
            f"  {row['years']:<8g}"
            + "".join(f"{a:7.2f}{b:7.2f}" for a, b in (row["net"], row["nothing"], row["noise"]))
        )


def main(arguments=None):
    """Measure, print, save."""
    options = start(make_parser(__doc__), arguments)
    results = {}
    for name in MODELS:
        results[name] = measure_model(name, 128 if options.quick else 10_000)
        print_record(name, results[name])
    finish("surrogate_accuracy", options, {"models": results, "map_edges": [list(edges) for edges in MAP]})


if __name__ == "__main__":
    main()
