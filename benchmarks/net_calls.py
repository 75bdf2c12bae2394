"""What does a call cost in which the net takes every cell, from one cell to thousands?

    python -m benchmarks.net_calls

The whole call through the C interface: gather, checks, features, net, decoding, scatter, and about 1 us for Python's
way there. Cells are those of `wide` and `relaxed` that the net takes at rtol 0.1. ``mixed`` draws every call's cells
anew from all of them, so that every expert is wanted; ``alike`` takes cells that one expert is responsible for, as
neighbours in a simulation are.
"""

import time

import numpy as np
import torch
from surrogate._engine import ffi, lib
from surrogate.training import get_system
from surrogate.training.nets.trained import load_trained
from surrogate.training.populations import draw

import surrogate
from surrogate import Status

from .cases import SEED
from .options import finish, make_parser, progress, start
from .timing import ZOO


def time_calls(stepper, cells, dt, n, repeats, seed=1):
    """Median and lower decile of microseconds per call of `n` cells drawn from `cells`."""
    rng = np.random.default_rng(seed)
    n_vars = cells.shape[1]
    state, step = np.empty((n, n_vars)), np.empty(n)
    inputs = [np.array(p.value) for p in stepper.model.parameters]
    fields = [state[:, k] for k in range(n_vars)] + inputs + [step, np.zeros(()), np.array(np.inf), np.empty(n)]
    base = ffi.new("void *[]", [ffi.cast("void *", f.__array_interface__["data"][0]) for f in fields])
    stride = ffi.new("int64_t[]", [n_vars] * n_vars + [0] * len(inputs) + [1, 0, 0, 1])  # dt, mask, max_step, cost
    stat, seconds = ffi.new("int64_t[]", lib.SURR_NSTAT), []
    for _ in range(repeats):
        chosen = rng.integers(0, len(dt), n)
        state[:], step[:] = cells[chosen], dt[chosen]
        start = time.perf_counter()
        lib.surr_step(stepper._plan, stepper._work, n, 1.0, base, stride, lib.SURR_F64, ffi.NULL, ffi.NULL, stat)
        seconds.append(time.perf_counter() - start)
        assert stat[lib.SURR_STAT_NET] == n, "a cell was not accepted"
    return [1e6 * q for q in np.quantile(seconds[repeats // 10 :], [0.5, 0.1])]


def taken_cells(model, name, n):
    """Cells of two populations that the net takes, their time steps, and which expert is responsible for each."""
    system, advance = get_system(name), model.stepper(rtol=1e-6, net=False).step
    parts = [draw(population, system, n, SEED, advance) for population in ("wide", "relaxed")]
    cells, dt = (np.concatenate(part) for part in zip(*parts))
    taken = model.stepper(rtol=0.1).step(cells.copy(), dt).status == Status.NET
    cells, dt = cells[taken], dt[taken]
    net = load_trained(ZOO / f"{name}.h5")[1]
    return cells, dt, net.router(net.encoding.features(torch.from_numpy(cells), torch.from_numpy(dt))).numpy()


def main(arguments=None):
    """Measure, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="ism-molecular", help="a shipped model")
    parser.add_argument("--isa", nargs="+", default=["auto"])
    parser.add_argument("--repeats", type=int, default=1000)
    options = start(parser, arguments, repeats=20)
    model, rows = surrogate.load(options.model), []
    cells, dt, expert = taken_cells(model, options.model, 512 if options.quick else 10_000)
    alike = expert == np.bincount(expert).argmax()
    print(
        f"{'isa':>5}{'cells':>7}{'mixed: us':>11}{'decile':>8}{'us/cell':>9}"
        f"{'alike: us':>11}{'decile':>8}{'us/cell':>9}"
    )
    for isa in options.isa:
        stepper = model.stepper(rtol=0.1, isa=isa)
        for n in progress((1, 8, 32, 128, 1024, 8192)):
            calls = max(options.repeats // max(n // 128, 1), min(50, options.repeats))
            mixed = time_calls(stepper, cells, dt, n, calls)
            same = time_calls(stepper, cells[alike], dt[alike], n, calls)
            print(
                f"{isa:>5}{n:>7}{mixed[0]:>11.2f}{mixed[1]:>8.2f}{mixed[0] / n:>9.3f}"
                f"{same[0]:>11.2f}{same[1]:>8.2f}{same[0] / n:>9.3f}"
            )
            rows.append({"isa": isa, "cells": n, "mixed_us": mixed, "alike_us": same})
    finish("net_calls", options, {"model": options.model, "results": rows})


if __name__ == "__main__":
    main()
