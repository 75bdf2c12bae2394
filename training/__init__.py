"""Offline part of the library: systems of ODEs as data, code generation, and the export of model libraries.

Installed as ``surrogate.training``. Nothing here is needed to run a model.
"""

from . import _moved
from .systems import Parameter, System, Variable, get_system, system_names

_moved.install(__name__)

__all__ = ["Parameter", "System", "Variable", "get_system", "system_names"]
