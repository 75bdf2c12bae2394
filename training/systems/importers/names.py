"""Names of species: the atoms and the charge that they are made of, and their mass."""

import re

#: particle masses [g]: electron, and the unit of atomic masses (CODATA 2018)
ELECTRON_MASS, UNIT_MASS = 9.1093837015e-28, 1.66053906660e-24
#: standard atomic weights (IUPAC 2021, conventional values), and D
WEIGHTS = {
    **{"H": 1.008, "D": 2.014101778, "HE": 4.002602, "LI": 6.94, "BE": 9.0121831, "B": 10.81, "C": 12.011, "N": 14.007},
    **{"O": 15.999, "F": 18.998403162, "NE": 20.1797, "NA": 22.98976928, "MG": 24.305, "AL": 26.9815384, "SI": 28.085},
    **{
        "P": 30.973761998,
        "S": 32.06,
        "CL": 35.45,
        "AR": 39.95,
        "K": 39.0983,
        "CA": 40.078,
        "TI": 47.867,
        "CR": 51.9961,
    },
    **{"MN": 54.938043, "FE": 55.845, "NI": 58.6934, "BR": 79.904, "I": 126.90447},
}
#: electrons, and what is no species, as the formats write them in capitals
ELECTRONS = ("E", "E-", "ELECTR")
_LABEL = re.compile(r"(_(DUST|ICE|TOTAL|ORTHO|PARA|META|\d+|[A-Z]{1,3}))+$|\([^)]*\)$|^[LCT]-(?=[A-Z])|\*+$")


def composition_of(name: str) -> tuple[dict[str, int], int] | None:
    """Atoms by element (``He``, ``Si``) and charge of a species by its name; None if it cannot be read.

    In capitals a symbol of two letters goes before one of one letter, and there is no cobalt: CO is C and O.
    """
    if name.upper() in ELECTRONS:
        return {}, -1
    body = name.rstrip("+-")
    ends = name[len(body) :]
    charge = ends.count("+") - ends.count("-")
    mixed, body = any(c.islower() for c in body), _LABEL.sub("", body)
    atoms, rest = {}, body if mixed else body.upper()
    while rest:
        found = _next(rest, mixed)
        if not found:
            return None
        symbol, count, rest = found
        key = symbol[0] + symbol[1:].lower()
        atoms[key] = atoms.get(key, 0) + count
    return atoms, charge


def _next(text, mixed):
    for length in (2, 1):
        symbol = text[:length]
        if symbol.upper() in WEIGHTS and (not mixed or symbol[1:].islower() or length == 1):
            count = re.match(r"\d*", text[length:])[0]
            return symbol, int(count or 1), text[length + len(count) :]
    return None


def species_entry(name: str, what: str, elements: bool = True) -> dict:
    """The entry of a species in cm^-3: name, atoms, charge and mass.

    Raises
    ------
    ValueError
        If its name cannot be read; `what` it stands in is in the message.
    """
    found = composition_of(name)
    if found is None:
        raise ValueError(f"{what}: the atoms of {name!r} cannot be read from its name; give them with --species-file")
    atoms, charge = found
    mass = sum(WEIGHTS[element.upper()] * n for element, n in atoms.items()) * UNIT_MASS - charge * ELECTRON_MASS
    entry = {"name": name, **(atoms if elements else {})}
    return {**entry, **({"charge": charge} if charge else {}), "mass": float(f"{mass:.10g}")}
