"""Tables of the KIDA database (Wakelam et al. 2012, 2024): names in columns of 11 characters, then numbers."""

from typing import Any

from . import rate_tables
from .lines import lines_of
from .rate_tables import Entry, kooij, names_of, network_of, rate_of

FORMAT = "kida"
HELP = "a rate file of KIDA (kida.uva)"
add_options = rate_tables.add_options
#: columns of the reactants, of the products, and where the numbers begin
REACTANTS, PRODUCTS, NUMBERS = (0, 11, 22), (34, 45, 56, 67, 78), 90


def convert(options: Any) -> tuple[dict[str, Any], str]:
    """A table as a network of our own format, and a head for its file; ValueError with file, line and text."""
    channels = {}
    for line in lines_of(options.file):
        if line.text.strip() and line.text[0] not in "#!":
            reactants, products, entry, number = _entry(line)
            if entry is not None:
                sides = tuple(sorted(reactants)), tuple(sorted(products))
                channels.setdefault(sides, (reactants, products, [], f"KIDA {number}"))[2].append(entry)
    reactions = [(r, p, rate_of(entries), note) for r, p, entries, note in channels.values()]
    head = "T is held within the range of each fit. No grains, no H2 formation: add what you need."
    return network_of(
        reactions, options
    ), f"{options.file}: densities in cm^-3 at the temperature that you give. {head}"


def _entry(line):
    reactants, products = (names_of(line.text[k : k + 11] for k in columns) for columns in (REACTANTS, PRODUCTS))
    numbers = line.text[NUMBERS:].split()
    try:
        alpha, beta, gamma = (float(x) for x in numbers[:3])
        low, high, formula, number = float(numbers[7]), float(numbers[8]), int(numbers[9]), numbers[10]
        rank = int(numbers[12]) if len(numbers) > 12 else 1
    except (ValueError, IndexError):
        raise line.refuse("names in columns of 11 characters and, from column 91 on, 10 numbers and more") from None
    if formula == 1:
        text = f"{alpha!r}*zeta"
    elif formula == 2:
        text = f"{alpha!r}*G0*exp({-gamma!r}*Av)"
    elif formula == 3:
        text = kooij(alpha, beta, gamma)
    elif formula == 4:
        text = f"{alpha * beta!r}*(0.62 + {0.4767 * gamma!r}*sqrt(300/(T_)))"
    elif formula == 5:
        text = f"{alpha * beta!r}*(1 + {0.0967 * gamma!r}*sqrt(300/(T_)) + {gamma**2 / 10.526!r}*300/(T_))"
    else:
        raise line.refuse(f"formula {formula} is not read: known are 1 to 5, rates in the gas")
    return reactants, products, Entry(low, high, rank, text) if rank else None, number
