"""Does a run of gas dynamics stay as close to the truth with the net as with the solver alone?

    python -m benchmarks.hydro_drift            # two minutes

Three scenes of the demo's gas dynamics, 48 x 48 cells, 200 steps as long as the hydrodynamics allows: `blast`, the demo
itself; `dense`, a box ten times as large, of ten times as dense gas; `streams`, two of 20 km/s that meet, in 1000 pc.
Errors of the end and of three times on the way, against the same run with the solver at 1e-5, the largest of the four;
microseconds of chemistry per cell and step, and the share of the net. In most of the gas a step's error is gone by the
next step; what lasts adds up, and shocks and thermal instability let it grow.
"""

import numpy as np

import surrogate
from surrogate.demo import make_gas
from surrogate.demo.run import GAS
from surrogate.demo.run import make_parser as demo_parser
from surrogate.demo.state import SPECIES, relative_errors

from .options import finish, make_parser, progress, start

MODEL = "ism-molecular"
#: what differs from the demo's options
SCENES = {
    "blast": {},
    "dense": {"box": 500.0, "density": 10.0, "pressure": 2e4},
    "streams": {"box": 1000.0, "flow": 20.0},
}
RTOLS = (0.1, 0.03, 0.01)
TRUTH = 1e-5
QUARTERS = 4


def run(model, scene, side, n_steps, **options):
    """Fields at each quarter, share of the net, microseconds of chemistry per cell."""
    prepare = model.stepper(rtol=1e-4, net=False)
    usual = {name: demo_parser().get_default(name) for name in GAS}
    gas = make_gas(side, advance=prepare.step, **usual | SCENES[scene])
    stepper, fields, taken = model.stepper(**options), [], 0
    for k in progress(range(1, n_steps + 1), desc=f"{scene} {options['rtol']:g}"):
        taken += gas.step(stepper.step)[0].counts["net"]
        if k % (n_steps // QUARTERS) == 0:
            fields.append(gas.gather())
    n = side**2 * n_steps
    return fields, taken / n, 1e6 * gas.sums.chemistry_seconds / n


def main(arguments=None):
    """Measure, print, save."""
    options = start(make_parser(__doc__), arguments)
    side, n_steps = (24, 4) if options.quick else (48, 200)
    model, results = surrogate.load(MODEL), []
    print(f"{'':<8}{'rtol':>6} {'':<7}{'net':>7}{'us':>7}   error of T, H2 and e-: 99 % (50 %)")
    for scene in SCENES:
        truth = run(model, scene, side, n_steps, rtol=TRUTH, net=False)[0]
        for rtol in RTOLS:
            for net in (False, True):
                fields, share, us = run(model, scene, side, n_steps, rtol=rtol, net=net)
                parts = [relative_errors(a, b, SPECIES) for a, b in zip(fields, truth)]
                errors = {k: [max(float(np.quantile(p[k], q)) for p in parts) for q in (0.5, 0.99)] for k in parts[0]}
                row = {"scene": scene, "rtol": rtol, "net": share if net else None, "us": us, "errors": errors}
                results.append(row)
                text = "  ".join(f"{high:.0e} ({middle:.0e})" for middle, high in errors.values())
                who = "net" if net else "solver"
                print(f"{scene:<8}{rtol:>6g} {who:<7}{100 * share:>6.1f}%{us:>7.2f}   {text}", flush=True)
    finish("hydro_drift", options, {"cells": side**2, "steps": n_steps, "results": results})


if __name__ == "__main__":
    main()
