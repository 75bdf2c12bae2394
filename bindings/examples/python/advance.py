"""Interstellar gas cools: one cell, then many."""

import time

import numpy as np

import surrogate

DT = 3.15576e12  # [s], 1e5 years
WARM_GAS = {
    "H": 0.9,
    "H+": 0.1,
    "H-": 1e-6,
    "H2": 1e-3,
    "H2+": 1e-6,
    "He": 0.10738,
    "He+": 1e-6,
    "He++": 1e-6,
    "e-": 0.100003,
    "T": 8000.0,
}  # [cm^-3], neutral, 70 % H and 30 % He; [K]

model = surrogate.load("ism-molecular")
stepper = model.stepper(rtol=0.1)
names = [v.name for v in model.variables]

# Many cells, one row each, from 1 to 100 times as dense; the first of them also alone.
cells = np.outer(np.linspace(1, 100, 100_000, endpoint=False), [WARM_GAS[name] for name in names])
cells[:, names.index("T")] = WARM_GAS["T"]
cell = cells[0].copy()

start = time.process_time()
report = stepper.step(cell, DT)
seconds = time.process_time() - start
temp, n_h2 = cell[names.index("T")], cell[names.index("H2")]
print(f"one cell: status {report.status}, T = {temp:.2f} K, n(H2) = {n_h2:.4e} cm^-3, {1e6 * seconds:.0f} us")

start = time.process_time()
report = stepper.step(cells, DT)
seconds = time.process_time() - start
print(f"{len(cells)} cells: {1e6 * seconds / len(cells):.2f} us/cell")
print(report)
assert (cells[0] == cell).all(), "a result depends on its neighbours"
