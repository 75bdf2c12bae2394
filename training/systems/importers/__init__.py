"""Networks from files: readers of what `load_network` takes, and converters of the formats of others.

A module of this folder with ``SUFFIXES``, a tuple such as ``(".yaml",)``, has ``read(path) -> dict``: the network in
the form of ``data/ism_network.yaml`` (explained at its top). One with ``FORMAT``, a word of ``surrogate import``,
has ``HELP``, ``add_options(parser)`` and ``convert(options) -> (dict, str)``, the same and a head for the file that it
becomes. Whatever is wrong with a file is a ValueError, or one of those that `network.load_network` catches. Modules are
found here by themselves; `register_reader` adds a reader from elsewhere.
"""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

#: readers by suffix, converters by format
READERS: dict[str, Callable[[Path], dict[str, Any]]] = {}
CONVERTERS: dict[str, ModuleType] = {}


def register_reader(suffix: str, read: Callable[[Path], dict[str, Any]]) -> None:
    """Let networks be read from files of a suffix, such as ".yaml"."""
    if not (suffix.startswith(".") and suffix == suffix.lower()):
        raise ValueError(f"suffix is {suffix!r}: give a dot and lower-case letters")
    READERS[suffix] = read


def is_readable(name: str) -> bool:
    """Whether a name is that of a file of reactions, by its suffix."""
    return Path(name).suffix.lower() in READERS


def read_network(path: Path) -> dict[str, Any]:
    """The network in a file, in the form of ``data/ism_network.yaml``; OSError if it cannot be opened."""
    path = Path(path)
    if not is_readable(path):
        raise ValueError(f"there is no reader for {path.suffix!r}: read are {', '.join(sorted(READERS))}")
    return READERS[path.suffix.lower()](path)


for _found in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
    _module = importlib.import_module(f"{__name__}.{_found.name}")
    for _suffix in getattr(_module, "SUFFIXES", ()):
        register_reader(_suffix, _module.read)
    if hasattr(_module, "FORMAT"):
        CONVERTERS[_module.FORMAT] = _module
