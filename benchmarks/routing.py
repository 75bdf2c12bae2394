"""Which cells should the net be asked about first, and which go straight to the solver?

    python -m benchmarks.routing net.h5 wide.h5 relaxed.h5        # a model file, and label files of both populations

Microseconds per cell of five policies, each put together from the engine's own calls, on one core, 4096 cells a call:

    solver    the solver takes every cell
    net       the net is asked about every cell, the solver takes those that it does not vouch for
    attempt   one attempt of the solver over the whole of dt takes every cell first, then as before
    region    the net is asked in regions (experts) where that saved time on other cells of the label files: what the
              engine does, see training/routing.py
    oracle    cells that need at most K attempts go straight to the solver, the others as in `net`, with K, and the
              number of attempts of every cell, known beforehand at no cost: no cost model can do better

Populations: those of the labels, and cells at the end of the relaxed ones with time steps as after a restart (10 to 100
years) and as in a simulation (0.1 to 1 year). With the calibration of the model file, and with one that accepts every
cell in the domain, from 0.01 on (`all`).
"""

import argparse
import tempfile
from dataclasses import replace

import numpy as np
from surrogate.training.calibrate import Calibration, Domain, from_plain, label_tensors, load_trained
from surrogate.training.export import export_model
from surrogate.training.routing import paying_tolerances
from surrogate.training.systems.network import YEAR

import surrogate

from .timing import median_seconds, pin, save

N_CELLS = 4096
COLUMNS = ("solver", "net", "attempt", "region", "oracle")


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


def compare(model, choosy, rtol, cells, dt):
    """One row of the table: us per cell by policy, fractions, and mean attempts of the solver."""
    n = len(dt)
    net, solver = model.stepper(rtol=rtol), model.stepper(rtol=rtol, net=False)
    first = model.stepper(rtol=rtol, net=False, max_solver_steps=1)
    report = net.step(cells.copy(), dt)
    attempts = np.array([solver.step(c[None].copy(), t).solver_steps for c, t in zip(cells, dt)])
    left = first.step(cells.copy(), dt).status != 4
    row = {
        "net_share": report.counts["net"] / n, "outside_share": report.counts["outside"] / n,
        "one_attempt": float((attempts == 1).mean()), "two_attempts": float((attempts <= 2).mean()),
        "attempts": float(attempts.mean()),
        "solver": microseconds(solver, cells, dt) / n, "net": microseconds(net, cells, dt) / n,
    }  # fmt: skip
    row["attempt"] = (microseconds(first, cells, dt) + microseconds(net, cells[left], dt[left])) / n
    stepper = choosy.stepper(rtol=rtol)
    row["asked"] = 1 - stepper.step(cells.copy(), dt).counts["solver"] / n
    row["region"] = microseconds(stepper, cells, dt) / n
    row["oracle"] = row["net"]
    for k in (1, 2, 3, 5):
        few = attempts <= k
        both = microseconds(solver, cells[few], dt[few]) + microseconds(net, cells[~few], dt[~few])
        row["oracle"] = min(row["oracle"], both / n)
    return row


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


def others_of(system, *paths):
    """Cells and time steps of the labels that `populations` leaves over, per file."""
    for path in paths:
        state, dt, _ = label_tensors(path, system)
        left = np.random.default_rng(1).permutation(len(dt))[N_CELLS : 3 * N_CELLS]
        yield state[left], dt[left]


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
    calibrations = {
        "own": from_plain(Calibration, metadata["calibration"]),
        "all": Calibration(-5.0, 0.5, np.full(13, -2.01), 0.99),
    }
    rows, others = [], list(others_of(system, options.wide, options.relaxed))
    print(f"{'calibration':<12}{'rtol':>5} {'population':<11}{'net %':>6}{'asked %':>8}{'1 att. %':>9}{'<= 2 %':>7}"
          f"{'attempts':>9}" + "".join(f"{c:>9}" for c in COLUMNS))  # fmt: skip
    for name, calibration in calibrations.items():
        with tempfile.TemporaryDirectory() as directory:
            model = surrogate.load(export_model(system, f"{directory}/always", net=(net, domain, calibration)))
            pays_from = paying_tolerances(system, (net, domain, calibration), others)
            calibration = replace(calibration, pays_from=pays_from)
            choosy = surrogate.load(export_model(system, f"{directory}/choosy", net=(net, domain, calibration)))
            for rtol in options.rtol:
                for population, cells, dt in populations(system, options.wide, options.relaxed):
                    row = compare(model, choosy, rtol, cells, dt)
                    rows.append({"calibration": name, "rtol": rtol, "population": population, **row})
                    shares = f"{100 * row['net_share']:>6.1f}{100 * row['asked']:>8.1f}{100 * row['one_attempt']:>9.1f}"
                    print(f"{name:<12}{rtol:>5g} {population:<11}{shares}{100 * row['two_attempts']:>7.1f}"
                          f"{row['attempts']:>9.1f}", *(f"{row[c]:>8.3f}" for c in COLUMNS), flush=True)  # fmt: skip
    print(f"us per cell; written to {save('routing', {'results': rows})}")


if __name__ == "__main__":
    main()
