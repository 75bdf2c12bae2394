"""Offline part of the library: systems of ODEs as data, code generation, and the export of model libraries.

Installed as ``surrogate.training``. Nothing here is needed to run a model.
"""

from .system import Parameter, System, Variable
from .systems import get_system, system_names

__all__ = ["Parameter", "System", "Variable", "get_system", "system_names"]
