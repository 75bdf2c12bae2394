"""Interstellar gas cools: one cell, then many."""

import numpy as np

import surrogate

DT = 3.15576e12  # [s], 1e5 years
WARM_GAS = {"H": 1.0, "H+": 1e-2, "H2": 1e-3, "He": 0.10846, "e-": 1e-2, "T": 8000.0}  # [cm^-3], [K]

model = surrogate.load("ism-molecular")
stepper = model.stepper(rtol=1e-2)
names = [v.name for v in model.variables]

cell = np.array([WARM_GAS.get(name, 0.0) for name in names])
cells = np.outer(np.linspace(1, 100, 100_000, endpoint=False), cell)  # from 1 to 100 times as dense
cells[:, names.index("T")] = WARM_GAS["T"]

report = stepper.step(cell, DT)
temp, n_h2 = cell[names.index("T")], cell[names.index("H2")]
print(f"one cell: status {report.status}, T = {temp:.2f} K, n(H2) = {n_h2:.4e} cm^-3")
print(stepper.step(cells, DT))
