"""Tables of the UMIST database for astrochemistry (McElroy et al. 2013; Millar et al. 2024), separated by colons.

A line is ``number:type:R1:R2:P1:P2:P3:P4:n`` and, for each of n ranges, alpha, beta, gamma, lowest T, highest T, notes.
"""

from typing import Any

from . import rate_tables
from .lines import lines_of
from .rate_tables import Entry, kooij, names_of, network_of, rate_of

FORMAT = "umist"
HELP = "a rate file of UMIST (RATE12, RATE22)"
add_options = rate_tables.add_options
#: the ionisation rate by H2 that the table's rates hold already [1/s]
ZETA = 1.3e-17


def convert(options: Any) -> tuple[dict[str, Any], str]:
    """A table as a network of our own format, and a head for its file; ValueError with file, line and text."""
    reactions = [_reaction(line) for line in lines_of(options.file) if line.text.strip() and line.text[0] != "#"]
    head = "T is held within the range of each fit. No grains, no H2 formation: add what you need."
    return network_of(
        reactions, options
    ), f"{options.file}: densities in cm^-3 at the temperature that you give. {head}"


def _reaction(line):
    fields = line.text.split(":")
    if len(fields) < 14:
        raise line.refuse(f"{len(fields)} fields, 14 and more are wanted")
    reactants, products = names_of(fields[2:4]), names_of(fields[4:8])
    kind = fields[3].strip().upper()
    entries = {}
    for alpha, beta, gamma, low, high in _fits(fields[8:], line):
        if kind == "CRP":
            formula = f"{alpha!r}*(zeta/{ZETA!r})"
        elif kind == "CRPHOT":
            formula = f"{kooij(alpha, beta, 0.0)}*{gamma!r}/(1 - omega)*(zeta/{ZETA!r})"
        elif kind == "PHOTON":
            formula = f"{alpha!r}*G0*exp({-gamma!r}*Av)"
        else:
            formula = kooij(alpha, beta, gamma)
        entries.setdefault((low, high), []).append(formula)
    rates = [Entry(low, high, 0, " + ".join(formulas)) for (low, high), formulas in entries.items()]
    return reactants, products, rate_of(rates), f"{fields[1].strip()} {fields[0].strip()}"


def _fits(fields, line):
    """Five numbers in a row, for each range; texts between may hold colons, and be missing."""
    try:
        n, fields, fits = int(fields[0]), fields[1:], []
    except ValueError:
        raise line.refuse(f"the number of ranges is {fields[0]!r}") from None
    while len(fields) >= 5 and len(fits) < n:
        alpha, beta, gamma, low, high = (field.strip() for field in fields[:5])
        try:
            fits.append((float(alpha), float(beta or 0), float(gamma or 0), float(low), float(high)))
            fields = fields[5:]
        except ValueError:
            fields = fields[1:]
    if len(fits) != n:
        raise line.refuse(f"{len(fits)} ranges with alpha, beta, gamma and two temperatures, not {n}")
    return fits
