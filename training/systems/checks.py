"""What files and users may hand to the code generators: names that are names, numbers that are numbers, within bounds.

Text is generated from systems and nets and then compiled or executed, so that everything that is written into it passes
here first, or through `nets.checks`.
"""

import math
import re

import numpy as np

#: a system, model or file: no directories, no comments, no options
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
ROLES = ("other", "species", "temperature")


def name_of(text, what="name"):
    """`text` if it can name a system, a model and their files."""
    if not (isinstance(text, str) and _NAME.fullmatch(text)):
        raise ValueError(
            f"{what} is {text!r}: give letters, digits and . _ + -, up to 100 of them, a letter or digit first"
        )
    return text


def identifier(text, what="name"):
    """`text` if it is an identifier in C and Python."""
    if not (isinstance(text, str) and _IDENTIFIER.fullmatch(text)):
        raise ValueError(f"{what} is {text!r}: give letters, digits and _, up to 100 of them, no digit first")
    return text


def real(value, what, lower=-math.inf, upper=math.inf):
    """`value` as a finite float within [lower, upper]."""
    good = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not (good and math.isfinite(value) and lower <= value <= upper):
        raise ValueError(f"{what} is {value!r}: a finite number of {lower:g}..{upper:g} is wanted")
    return float(value)


def whole(value, what, lower, upper):
    """`value` as an int within [lower, upper]."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not lower <= value <= upper:
        raise ValueError(f"{what} is {value!r}: a whole number of {lower}..{upper} is wanted")
    return int(value)


def array(values, what, shape, finite=True):
    """`values` as a float64 array of (finite) numbers; None in `shape` is any length of 1 and more."""
    try:
        result = np.asarray(values)
        if result.dtype.kind not in "fiub":
            raise TypeError(f"type {result.dtype}")
        result = result.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} is no array of numbers: {error}") from None
    fits = len(result.shape) == len(shape) and all(b in (None, a) for a, b in zip(result.shape, shape))
    if not fits or not result.size and 0 not in shape or finite and not np.isfinite(result).all():
        shape = tuple("any" if n is None else n for n in shape)
        raise ValueError(f"{what} has shape {result.shape}: finite numbers of shape {shape} are wanted")
    return result


def check_system(system):
    """Raise ValueError where a system cannot be written down as a program."""
    where = name_of(system.name, "the system's name")
    symbols = [s.name for s in (*system.symbols, *system.parameter_symbols)]
    for item, symbol in zip((*system.variables, *system.parameters), symbols):
        identifier(symbol, f"{where}: the name {item.name!r} as a symbol")
    if twice := {s for s in symbols if symbols.count(s) > 1}:
        raise ValueError(f"{where}: two variables or parameters are {', '.join(sorted(twice))}")
    for symbol, _ in system.definitions:
        identifier(symbol.name, f"{where}: the name of a definition")
    for table in system.tables:
        identifier(table, f"{where}: the name of a table")
    for item in (*system.variables, *system.parameters):
        if not isinstance(item.unit, str) or len(item.unit) > 100:
            raise ValueError(
                f"{where}: the unit of {item.name} is {item.unit!r:.100}: give a text of up to 100 characters"
            )
        if not item.lower <= item.upper:
            raise ValueError(f"{where}: {item.name} goes from {item.lower} to {item.upper}: give an ascending range")
    for v in system.variables:
        if v.role not in ROLES:
            raise ValueError(f"{where}: the role of {v.name} is {v.role!r}: choose from {', '.join(ROLES)}")
        real(v.mass, f"{where}: the mass of {v.name}", 0.0)
        whole(v.n_hydrogen, f"{where}: n_hydrogen of {v.name}", 0, 1000)
    for p in system.parameters:
        real(p.value, f"{where}: the value of {p.name}", p.lower, p.upper)
