"""Which cells should the net be asked about first, and which go straight to the solver?

    python -m benchmarks.routing training/zoo/ism-molecular.h5 wide.h5 relaxed.h5    # model file, two label files

Microseconds per cell and log10 of the 99 % error of several policies, each put together from the engine's own calls, on
one core, 4096 cells a call:

    solver    the solver takes every cell
    attempt   one attempt of the solver over the whole of dt takes every cell first, then as with `judge 0`
    judge N   cells that the judge expects to need fewer than N attempts go to the solver, of the others the net takes
              those whose error it vouches for; the engine with `surrogate calibrate --cheap N`
    oracle    as `judge 2.5`, with the number of attempts of every cell known beforehand, at no cost

Populations: those of the labels, and cells at the end of the relaxed ones with time steps as after a restart (10 to 100
years) and as in a simulation (0.1 to 1 year). Errors against the solver at 1e-6, of species above 1e-10.
"""

import argparse
import tempfile
from dataclasses import replace

import numpy as np
from surrogate.training.calibrate import CHEAP, Calibration, Domain, from_plain, label_tensors, load_trained
from surrogate.training.export import export_model
from surrogate.training.systems.network import YEAR

import surrogate

from .errors import relative_errors
from .timing import median_seconds, pin, save

N_CELLS = 4096
LIMITS = (0.0, 1.5, CHEAP, 4.0, 8.0)


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


def compare(models, rtol, cells, dt):
    """Rows of the table: by policy us per cell, log10 of the 99 % error, share of the net."""
    n, one = len(dt), models[CHEAP]
    truth, solver = cells.copy(), one.stepper(rtol=rtol, net=False)
    one.stepper(rtol=1e-6, net=False).step(truth, dt)
    first = one.stepper(rtol=rtol, net=False, max_solver_steps=1)
    policies = {"solver": [(solver, np.full(n, True))]}
    ends = cells.copy()
    attempts = solver.step(ends, dt).cost
    left = first.step(cells.copy(), dt).status != 4
    plain = {limit: model.stepper(rtol=rtol) for limit, model in models.items()}
    policies["attempt"] = [(first, np.full(n, True)), (plain[0.0], left)]
    policies |= {f"judge {limit:g}": [(stepper, np.full(n, True))] for limit, stepper in plain.items()}
    few = attempts < CHEAP
    policies["oracle"] = [(solver, few), (plain[0.0], ~few)]
    row = {}
    for name, parts in policies.items():
        end, status = cells.copy(), np.full(n, -1)
        for stepper, chosen in parts:
            part = end[chosen]
            status[chosen] = stepper.step(part, dt[chosen]).status
            end[chosen] = part
        time = sum(microseconds(stepper, cells[chosen], dt[chosen]) for stepper, chosen in parts) / n
        row[name] = {"us": time, "error": float(np.log10(np.quantile(relative_errors(end, truth), 0.99))),
                     "net": float((status == 0).mean())}  # fmt: skip
    return {"attempts": float(attempts.mean()), "policies": row}


def populations(system, wide, relaxed):
    """Name, cells and time steps of each population."""
    rng = np.random.default_rng(1)
    for name, path in (("wide", wide), ("relaxed", relaxed)):
        state, dt, end = (x.numpy() for x in label_tensors(path, system))
        chosen = np.random.default_rng(1).permutation(len(dt))[:N_CELLS]
        yield name, state[chosen], dt[chosen]
    end = end[chosen]
    yield "restart", end, YEAR * 10 ** rng.uniform(1, 2, len(end))
    yield "hydro step", end, YEAR * 10 ** rng.uniform(-1, 0, len(end))


def main():
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model file (*.h5)")
    parser.add_argument("wide", help="label file")
    parser.add_argument("relaxed", help="label file")
    parser.add_argument("--rtol", nargs="+", type=float, default=[1e-1, 1e-2])
    options = parser.parse_args()
    pin()
    system, net, metadata = load_trained(options.model)
    domain = from_plain(Domain, metadata["domain"])
    calibration = from_plain(Calibration, metadata["calibration"])
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        models = {limit: surrogate.load(export_model(system, f"{directory}/{limit}",
                                                     net=(net, domain, replace(calibration, cheap=limit))))
                  for limit in LIMITS}  # fmt: skip
        for rtol in options.rtol:
            for population, cells, dt in populations(system, options.wide, options.relaxed):
                row = compare(models, rtol, cells, dt)
                rows.append({"rtol": rtol, "population": population, **row})
                if len(rows) == 1:
                    print(f"{'rtol':>5} {'population':<11}" + "".join(f"{name:>17}" for name in row["policies"]))
                print(f"{rtol:>5g} {population:<11}"
                      + "".join(f"{p['us']:>6.2f} {p['error']:>5.1f} {100 * p['net']:>3.0f}%"
                                for p in row["policies"].values()), flush=True)  # fmt: skip
    print(f"us per cell, log10 99 % error, share of the net; written to {save('routing', {'results': rows})}")


if __name__ == "__main__":
    main()
