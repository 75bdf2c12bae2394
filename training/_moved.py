"""Modules under the names of version 0.1: they warn and hand out what is elsewhere now. To go with version 0.3."""

import importlib
import sys
import types
import warnings
from importlib.machinery import ModuleSpec

#: what each former module held is now in these
MOVED = {
    "architectures": ("nets.architectures",),
    "calibrate": (
        "nets.calibration",
        "fit.calibrate",
        "nets.trained",
        "nets.domain",
        "evaluation.measure",
        "commands.calibrate",
    ),
    "checks": ("systems.checks", "nets.checks"),
    "domain": ("nets.domain",),
    "encoding": ("nets.encoding",),
    "evaluate": ("evaluation.score", "evaluation.measure", "commands.evaluate"),
    "export": ("codegen.library", "labels.solver", "nets.model_file", "codegen.model", "commands.export"),
    "expressions": ("systems.expressions", "systems.parser"),
    "fused": ("fit.fused",),
    "history": ("fit.history",),
    "judge": ("fit.predictors",),
    "label_file": ("labels.file",),
    "losses": ("fit.losses", "fit.terms", "fit.weights"),
    "model_file": ("nets.model_file", "nets.trained"),
    "net_data": ("nets.net_data", "nets.vectors"),
    "pictures": ("evaluation.pictures",),
    "plasma": ("systems.plasma",),
    "soap": ("fit.soap",),
    "system": ("systems.system",),
    "tables": ("systems.tables",),
    "torch_export": ("nets.torch_export",),
    "train": ("fit.trainer", "fit.pairs", "fit.config", "fit.prepare", "fit.averages", "commands.train"),
}
#: what is called otherwise there
RENAMED = {"Balance": "LossWeights", "fit_judge": "fit_predictor"}


class Finder:
    """Finds the former modules of a package for ``import``."""

    def __init__(self, package):
        self.package = package

    def find_spec(self, fullname, path=None, target=None):
        """The module of a former name, None for all others."""
        package, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if package == self.package and name in MOVED else None

    def create_module(self, spec):
        """An empty module that looks elsewhere for what it is asked for."""
        places = [f"{self.package}.{place}" for place in MOVED[spec.name.rpartition(".")[2]]]
        warnings.warn(f"{spec.name} is now {places[0]}", DeprecationWarning, stacklevel=2)
        module = types.ModuleType(spec.name, f"Moved to {', '.join(places)}.")
        module.__getattr__ = lambda name: _look_up(spec.name, places, name)
        return module

    def exec_module(self, module):
        """Nothing: the module has no code of its own."""


def _look_up(former, places, name):
    for place in places if not name.startswith("__") else ():
        module = importlib.import_module(place)
        for candidate in (name, RENAMED.get(name, name)):
            if hasattr(module, candidate):
                return getattr(module, candidate)
    raise AttributeError(f"{former} has moved to {', '.join(places)}, which have no {name!r}")


def install(package):
    """Let ``import`` find the former modules of `package`."""
    sys.meta_path.append(Finder(package))
