"""Advance the stiff thermo-chemistry of many cells.

import surrogate

model = surrogate.load("ism-molecular")
stepper = model.stepper(rtol=1e-2)
report = stepper.step(cells, dt)  # (n_cells, n_vars), in place
"""

from importlib.metadata import version as _version

from surrogate.apps.relic import relic_abundance, relic_cross_section, relic_density
from surrogate.codes import Status
from surrogate.errors import CellsError, ModelError, RanksError, SurrogateError
from surrogate.model import Model, Variable, load, models
from surrogate.one_line import step
from surrogate.report import Report
from surrogate.stepper import Stepper

__version__ = _version("stiff-surrogate")
__all__ = [
    "CellsError",
    "Model",
    "ModelError",
    "RanksError",
    "Report",
    "Status",
    "Stepper",
    "SurrogateError",
    "Variable",
    "load",
    "models",
    "relic_abundance",
    "relic_cross_section",
    "relic_density",
    "step",
]
