"""What does a call cost in which the net takes every cell, from one cell to thousands?

    python -m benchmarks.net_calls net.h5 labels.h5         # a model file, and labels to draw cells from

The whole call through the C interface: gather, checks, features, net, decoding, scatter, and about 1 us for Python's
way there. The calibration is replaced by one that accepts all; cells outside the domain, or with results beyond repair,
are left out. ``mixed`` draws every call's cells anew from all over the population, so that every expert is wanted;
``alike`` takes cells that one expert is responsible for, as neighbours in a simulation are.
"""

import argparse
import tempfile
import time

import numpy as np
from surrogate._engine import ffi, lib
from surrogate.training.calibrate import Calibration, Domain, from_plain, label_tensors, load_trained
from surrogate.training.export import export_model

import surrogate

from .timing import pin, save

TRUSTING = Calibration(-5.0, 0.5, np.full(13, -9.0), 0.99)


def time_calls(stepper, cells, dt, n, repeats, seed=1):
    """Median and lower decile of microseconds per call of `n` cells drawn from `cells`."""
    rng = np.random.default_rng(seed)
    n_vars = cells.shape[1]
    state, step = np.empty((n, n_vars)), np.empty(n)
    inputs = [np.array(p.value) for p in stepper.model.parameters]
    fields = [state[:, k] for k in range(n_vars)] + inputs + [step, np.zeros(())]
    base = ffi.new("void *[]", [ffi.cast("void *", f.__array_interface__["data"][0]) for f in fields])
    stride = ffi.new("int64_t[]", [n_vars] * n_vars + [0] * len(inputs) + [1, 0])
    stat, seconds = ffi.new("int64_t[]", lib.SURR_NSTAT), []
    for _ in range(repeats):
        chosen = rng.integers(0, len(dt), n)
        state[:], step[:] = cells[chosen], dt[chosen]
        start = time.perf_counter()
        lib.surr_step(stepper._plan, stepper._work, n, 1.0, base, stride, lib.SURR_F64, ffi.NULL, ffi.NULL, stat)
        seconds.append(time.perf_counter() - start)
        assert stat[1] == n, "a cell was not accepted"
    return [1e6 * q for q in np.quantile(seconds[repeats // 10 :], [0.5, 0.1])]


def main():
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model file (*.h5)")
    parser.add_argument("labels", help="label file")
    parser.add_argument("--isa", nargs="+", default=["auto"])
    parser.add_argument("--repeats", type=int, default=1000)
    options = parser.parse_args()
    pin()
    system, net, metadata = load_trained(options.model)
    domain = from_plain(Domain, metadata["domain"])
    state, dt, _ = label_tensors(options.labels, system)
    expert = net.router(net.encoding.features(state, dt)).numpy()
    state, dt = state.numpy(), dt.numpy()
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        model = surrogate.load(export_model(system, directory, net=(net, domain, TRUSTING)))
        taken = model.stepper(rtol=0.1).step(state.copy(), dt).status == 0
        state, dt, expert = state[taken], dt[taken], expert[taken]
        alike = expert == np.bincount(expert).argmax()
        print(f"{'isa':>5}{'cells':>7}{'mixed: us':>11}{'decile':>8}{'us/cell':>9}"
              f"{'alike: us':>11}{'decile':>8}{'us/cell':>9}")  # fmt: skip
        for isa in options.isa:
            stepper = model.stepper(rtol=0.1, isa=isa)
            for n in (1, 8, 32, 128, 1024, 8192):
                repeats = max(options.repeats // max(n // 128, 1), 50)
                mixed = time_calls(stepper, state, dt, n, repeats)
                same = time_calls(stepper, state[alike], dt[alike], n, repeats)
                print(f"{isa:>5}{n:>7}{mixed[0]:>11.2f}{mixed[1]:>8.2f}{mixed[0] / n:>9.3f}"
                      f"{same[0]:>11.2f}{same[1]:>8.2f}{same[0] / n:>9.3f}")  # fmt: skip
                rows.append({"isa": isa, "cells": n, "mixed_us": mixed, "alike_us": same})
    print(f"written to {save('net_calls', {'results': rows})}")


if __name__ == "__main__":
    main()
