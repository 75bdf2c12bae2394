"""What tables of interstellar rates have in common: parameters, ranges of temperature, a choice of species."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .names import ELECTRONS, species_entry

#: a host sets these; rates of cosmic rays and of light are proportional to them
PARAMETERS = {
    "zeta": {"value": 1.3e-17, "unit": "1/s", "lower": 0.0, "upper": 1e-8, "doc": "cosmic-ray ionisation"},
    "Av": {"value": 0.0, "unit": "mag", "lower": 0.0, "upper": 1e4, "doc": "visual extinction"},
    "G0": {"value": 1.0, "unit": "", "lower": 0.0, "upper": 1e8, "doc": "field, in units of that of the table"},
    "omega": {"value": 0.5, "unit": "", "lower": 0.0, "upper": 0.99, "doc": "albedo of grains"},
}
#: what stands among the reactants or products and is no species
NO_SPECIES = ("", "CR", "CRP", "CRPHOT", "PHOTON")


class Entry(NamedTuple):
    """A rate over a range of temperatures [K]; in an overlap the highest `rank` counts, then the narrower range."""

    low: float
    high: float
    rank: int
    formula: str

    def text(self):
        """The formula with T held within the range; a fit may explode outside."""
        if self.low <= 0 and self.high >= 9990 or "T_" not in self.formula:
            return self.formula.replace("T_", "T")
        return self.formula.replace("T_", f"min(max(T, {self.low:g}), {self.high:g})")


def add_options(parser: Any) -> None:
    """Options of the importers of tables."""
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--species", nargs="+", metavar="NAME", help="keep these alone, with all reactions among them")
    parser.add_argument(
        "--elements", nargs="+", metavar="SYMBOL", help="keep species of these elements alone: H He C O"
    )


def kooij(alpha: float, beta: float, gamma: float) -> str:
    """alpha (T/300)^beta exp(-gamma/T)."""
    text = repr(alpha)
    if beta:
        text += f"*(T_/300)**({beta!r})"
    return text + (f"*exp({-gamma!r}/(T_))" if gamma else "")


def rate_of(entries: Sequence[Entry]) -> str | list[dict[str, str]]:
    """One rate from those over several ranges: outside all of them the nearest one, at the end of its range."""
    ends = sorted({t for e in entries for t in (e.low, e.high)})
    chosen = []  # (upper end, entry) for each stretch between ends
    for a, b in zip(ends, ends[1:]):
        middle = (a + b) / 2
        here = [e for e in entries if e.low <= middle <= e.high]
        if here:
            chosen.append((b, max(here, key=lambda e: (e.rank, e.low - e.high))))
        else:  # a gap: each side takes half
            chosen += [(middle, chosen[-1][1]), (b, min(entries, key=lambda e: abs(e.low - b)))]
    pieces = []
    for k, (upper, entry) in enumerate(chosen or [(ends[0], entries[0])]):
        if k + 1 < len(chosen) and chosen[k + 1][1] is entry:
            continue
        pieces.append({"when": f"T < {upper:g}", "expr": entry.text()})
    pieces[-1]["when"] = "T > 0"
    return pieces[0]["expr"] if len(pieces) == 1 else pieces


def network_of(reactions: Iterable[tuple[list[str], list[str], Any, str]], options: Any) -> dict[str, Any]:
    """The form of our own files from (reactants, products, rate, note) with all names as in the table.

    Raises
    ------
    ValueError
        If a name that is to be kept is none of the table, or no reaction is left.
    """
    reactions, entries = [*reactions], {}
    wanted = None if options.species is None else {_electron(s) for s in options.species}
    for reactants, products, _, where in reactions:
        for name in (*reactants, *products):
            if name not in entries and (wanted is None or name in wanted):
                entries[name] = species_entry(name, where)
    if missing := sorted((wanted or set()) - entries.keys()):
        raise ValueError(f"{options.file}: no reaction has {', '.join(missing)}: check --species")
    if options.species is not None:  # in the order that is asked for
        entries = {name: entries[name] for name in map(_electron, options.species)}
    if options.elements is not None:
        allowed = {*options.elements, "name", "charge", "mass"}
        entries = {name: entry for name, entry in entries.items() if entry.keys() <= allowed}
    lines, used = [], set()
    for k, (reactants, products, rate, note) in enumerate(reactions, 1):
        if {*reactants, *products} <= entries.keys():
            equation = f"{' + '.join(reactants)} -> {' + '.join(products)}"
            lines.append({"id": f"R{k}", "equation": equation, "rate": rate, "note": note})
            used |= {*reactants, *products}
    if not lines:
        raise ValueError(f"{options.file}: no reaction is left: check --species and --elements")
    texts = " ".join(str(line["rate"]) for line in lines)
    return {
        "temperature": {"floor": 2.73, "upper": 1e9},
        "species": [entry for name, entry in entries.items() if name in used],
        "parameters": {name: p for name, p in PARAMETERS.items() if name in texts},
        "reactions": lines,
    }


def names_of(texts: Iterable[str]) -> list[str]:
    """Species among the names of one side."""
    names = [text.strip() for text in texts]
    return [_electron(name) for name in names if name.upper() not in NO_SPECIES]


def _electron(name):
    return "e-" if name.upper() in ELECTRONS else name
