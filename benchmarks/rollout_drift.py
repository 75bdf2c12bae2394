"""How do errors grow over a thousand successive steps, with the net and with the solver alone?

    python -m benchmarks.rollout_drift          # two minutes

The result of each step is the start of the next, as in a simulation of constant dt; the same steps by our solver at
1e-8 are the truth. `net alone` takes every cell at every step, as an emulator without a solver must; `step` leaves to
the solver what the net does not vouch for. 50 and 99 % error after 1 ... 1000 steps, and the share of the net.
"""

import numpy as np
import torch
from surrogate.training import get_system
from surrogate.training.nets.trained import load_trained
from surrogate.training.populations import draw
from surrogate.training.systems.network import YEAR

import surrogate
from surrogate import Status

from .cases import SEED
from .errors import relative_errors
from .options import finish, make_parser, progress, start
from .timing import ZOO

MARKS = (1, 3, 10, 30, 100, 300, 1000)
STEPS = (1e3, 1e4)  # yr
CONTENDERS = {"ours 1e-2": (1e-2, False), "step 1e-2": (1e-2, True), "step 1e-1": (1e-1, True)}


def net_alone(net):
    """``advance(cells, dt) -> share``: the net takes every cell; what it makes of nonsense is kept."""

    def advance(cells, dt):
        with torch.no_grad():
            cells[:] = net(torch.from_numpy(cells), torch.from_numpy(dt))[0].numpy()
        return 1.0

    return advance


def contenders(model, net):
    """Functions that advance cells in place and return the share of the net, by name."""

    def of(stepper):
        return lambda cells, dt: float((stepper.step(cells, dt).status == Status.NET).mean())

    steppers = {name: of(model.stepper(rtol=rtol, net=has_net)) for name, (rtol, has_net) in CONTENDERS.items()}
    return {**steppers, "net alone": net_alone(net)}


def roll(model, net, cells, years, n_steps, title):
    """Rows by contender: steps taken, 50 and 99 % error there, mean share of the net so far."""
    dt = np.full(len(cells), years * YEAR)
    truth, tight = cells.copy(), model.stepper(rtol=1e-8, atol_frac=1e-18, net=False)
    advance = contenders(model, net)
    states, shares = {name: cells.copy() for name in advance}, dict.fromkeys(advance, 0.0)
    rows = {name: [] for name in advance}
    for k in progress(range(1, n_steps + 1), desc=title):
        tight.step(truth, dt)
        for name, call in advance.items():
            shares[name] += call(states[name], dt)
            if k in MARKS:
                errors = relative_errors(states[name], truth)
                middle, high = np.quantile(np.where(np.isfinite(errors), errors, 1e99), (0.5, 0.99))
                rows[name].append({"steps": k, "errors": [float(middle), float(high)], "net": shares[name] / k})
    return rows


def main(arguments=None):
    """Measure, print, save."""
    options = start(make_parser(__doc__), arguments)
    n, n_steps = (16, 10) if options.quick else (256, MARKS[-1])
    model, system = surrogate.load("ism-molecular"), get_system("ism-molecular")
    net = load_trained(ZOO / "ism-molecular.h5")[1]
    results = []
    for population in ("wide", "relaxed"):
        cells, _ = draw(population, system, n, SEED, model.stepper(rtol=1e-6, net=False).step)
        for years in STEPS:
            rows = roll(model, net, cells, years, n_steps, f"{population}, {years:g} yr")
            results.append({"population": population, "years": years, "cells": n, "rows": rows})
            print(
                f"\n{population}, steps of {years:g} yr: 99 % error (50 %) after"
                + "".join(f"{m:>8}" for m in MARKS if m <= n_steps)
            )
            for name, row in rows.items():
                print(
                    f"  {name:<12}"
                    + "  ".join(f"{r['errors'][1]:.0e} ({r['errors'][0]:.0e})" for r in row)
                    + f"   net {100 * row[-1]['net']:.1f} %"
                )
    finish("rollout_drift", options, {"results": results})


if __name__ == "__main__":
    main()
