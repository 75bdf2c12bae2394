"""The systems that ship with the library, by name."""

import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..named import importable_from_here
from .freeze_out import freeze_out, freeze_out_constant
from .hodgkin_huxley import hodgkin_huxley
from .importers import is_readable
from .mass_action import pollu, robertson
from .network import load_network
from .system import System
from .toys import decay_linear, decay_quadratic, relax_forced, toy_constant, toy_periodic

_ATOMIC = ("e-", "H-", "H", "H+", "He", "He+", "He++")
_SYSTEMS = {
    "ism-molecular": partial(load_network, "ism-molecular"),
    "ism-atomic": partial(load_network, "ism-atomic", species=_ATOMIC),
    "robertson": robertson,
    "pollu": pollu,
    "toy-constant": toy_constant,
    "toy-periodic": toy_periodic,
    "decay-linear": decay_linear,
    "decay-quadratic": decay_quadratic,
    "relax-forced": relax_forced,
    "freeze-out": freeze_out,
    "freeze-out-constant": freeze_out_constant,
    "hodgkin-huxley": hodgkin_huxley,
}


#: what `get_system` takes, for command lines
SYSTEM_HELP = f"{', '.join(_SYSTEMS)}; or your own: a file of reactions, or MODULE:FUNCTION"


#: the option ``--system`` of commands on model files
SYSTEM_OPTION = {
    "metavar": "SYSTEM",
    "help": "your own system, MODULE:FUNCTION or FILE, for a model file that names one",
}


def system_names() -> tuple[str, ...]:
    """Names that `get_system` knows."""
    return tuple(_SYSTEMS)


def get_system(name: str, **options: Any) -> System:
    """Build a system by name.

    Parameters
    ----------
    name : str
        One of `system_names`; or the path of a file of reactions, see `importers`; or ``"module:function"``, a function
        of yours that returns a `System`.
    **options
        Passed to the system's own function, e.g. ``preset="literal"`` or ``cosmic_rays=False`` for a network.

    Returns
    -------
    System
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a system is {name!r}: give a text")
    if is_readable(name):
        return load_network(Path(name).stem, Path(name).absolute(), None, **options)
    if ":" in name:
        return _call_user(name, options)
    if name not in _SYSTEMS:
        raise ValueError(
            f"no system {name!r}; choose from {', '.join(_SYSTEMS)}, or give the path of a file or module:function"
        )
    return _SYSTEMS[name](**options)


def system_of(metadata: Mapping[str, Any], path: Any, given: str | None = None) -> System:
    """The system of a model file: `given`, as for `get_system`, or the one it names, if that ships with the library.

    A file is data and does not have its reader's code run: what it names outside the library is imported only if the
    reader says so.
    """
    named = metadata.get("system_source", metadata.get("system"))
    if given is None and not (isinstance(named, str) and named in _SYSTEMS):
        raise ValueError(
            f"{path} is of a system outside this library, {named!r:.200}, which would be imported: if you "
            "trust it, name it yourself with --system MODULE:FUNCTION"
        )
    return get_system(given or named)


def _call_user(name, options):
    module, _, function = name.partition(":")
    try:
        with importable_from_here():  # the function may import more
            system = getattr(importlib.import_module(module), function)(**options)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"system {name!r}: give module:function, importable from here ({error})") from error
    if not isinstance(system, System):
        raise ValueError(f"system {name!r}: the function returned {type(system).__name__}, not a System")
    return system
