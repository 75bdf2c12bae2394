"""Advance the stiff thermo-chemistry of many cells.

import surrogate

model = surrogate.load("ism-molecular")
stepper = model.stepper(rtol=1e-2)
report = stepper.step(cells, dt)  # (n_cells, n_vars), in place
"""

from importlib.metadata import version as _version

from surrogate.errors import CellsError, ModelError
from surrogate.model import Model, load, models
from surrogate.relic import relic_abundance, relic_cross_section, relic_density
from surrogate.report import Report
from surrogate.stepper import Stepper, step

__version__ = _version("stiff-surrogate")
__all__ = [
    "CellsError",
    "Model",
    "ModelError",
    "Report",
    "Stepper",
    "load",
    "models",
    "relic_abundance",
    "relic_cross_section",
    "relic_density",
    "step",
]
