"""Mechanisms of ideal gases that Cantera reads: its YAML, and CHEMKIN files by way of ``ck2yaml``.

Cantera parses, so that colliders, duplicates, units and sections mean what they mean there; what it cannot load is
refused with its own message. Needs the extra ``cantera``.
"""

import sys
import warnings
from typing import Any

from .gas import thermo_entry

FORMAT = "cantera"
HELP = "a mechanism of ideal gases in Cantera's YAML"
REACTORS = ("constant-volume", "constant-pressure", "isothermal")
#: what the rate of a reaction may be, by the class in Cantera: name of the form, names of its constants
FALL_OFF = {"LindemannRate": "lindemann", "TroeRate": "troe", "SriRate": "sri", "TsangRate": "tsang"}


def add_options(parser: Any) -> None:
    """Options of ``surrogate import cantera``."""
    parser.add_argument("file", metavar="FILE", help="a path, or a file of Cantera's own such as gri30.yaml")
    parser.add_argument("--phase", default="", help="name of the phase in the file (default: the first)")
    parser.add_argument(
        "--reactor",
        required=True,
        choices=REACTORS,
        help="constant-volume: concentrations [kmol/m^3] and T; constant-pressure: mass fractions and T, the pressure "
        "[Pa] is a parameter; isothermal: concentrations at the T that you give",
    )
    parser.add_argument(
        "--temperatures",
        nargs=2,
        type=float,
        default=(200.0, 6000.0),
        metavar=("LOWEST", "HIGHEST"),
        help="range of T [K], at whose ends rates are held (default 200 6000)",
    )


def convert(options: Any) -> tuple[dict[str, Any], str]:
    """A mechanism as a network of our own format, and a head for its file.

    Raises
    ------
    ValueError
        If Cantera cannot load it, or it holds what cannot be expressed.
    """
    import cantera as ct

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            gas = ct.Solution(options.file, options.phase)
        except ct.CanteraError as error:
            reason = " ".join(str(error).replace("*" * 79, "").split())
            raise ValueError(f"Cantera cannot load {options.file}: {reason}") from error
    for warning in said:
        print(f"Cantera: {' '.join(str(warning.message).split())}", file=sys.stderr)
    if gas.thermo_model != "ideal-gas":
        raise ValueError(f"{options.file}: phase {gas.name} is {gas.thermo_model!r}: only ideal gases are read")
    if gas.kinetics_model not in ("bulk", "gas", "none"):
        raise ValueError(f"{options.file}: kinetics {gas.kinetics_model!r}: only reactions in a gas are read")
    if not gas.n_reactions:
        raise ValueError(f"{options.file}: phase {gas.name} has no reactions")
    colliders = _Colliders(gas.species_names)
    reactions = [_reaction(f"R{k}", r, colliders, options.file) for k, r in enumerate(gas.reactions(), 1)]
    pressures = {species.thermo.reference_pressure for species in gas.species()}
    if len(pressures) > 1:
        raise ValueError(f"{options.file}: species have reference pressures {sorted(pressures)} Pa: give them one")
    low, high = options.temperatures
    at_pressure = options.reactor == "constant-pressure"
    network = {
        "quantity": "mass-fraction" if at_pressure else "concentration",
        "energy": "constant" if options.reactor == "isothermal" else options.reactor,
        "temperature": {"floor": low, "upper": high, "lower": low, "sample": [max(low, 300.0), min(high, 3000.0)]},
        "dt_range": [0.0, 1e6],
        "constants": {"gas_constant": ct.gas_constant, "reference_pressure": pressures.pop()},
        "species": [_species(gas, species, options.file) for species in gas.species()],
        "parameters": {"pressure": {"value": ct.one_atm, "unit": "Pa", "lower": 1.0, "upper": 1e10}}
        if at_pressure
        else {},
        "definitions": colliders.definitions,
        "reactions": reactions,
    }
    head = (
        f"Phase {gas.name} of {gas.source}, read by Cantera {ct.__version__}.\n"
        f"Reactor: {options.reactor}. Species in {'mass fractions' if at_pressure else 'kmol/m^3'}, masses in kg/kmol, "
        "rates in kmol, m^3, s and K."
    )
    return network, head


def _species(gas, species, file):
    atoms = {element: _whole(n) for element, n in species.composition.items() if element != "E" and n}
    mass = float(gas.molecular_weights[gas.species_index(species.name)])
    charge = {"charge": _whole(species.charge)} if species.charge else {}
    entry = {"name": species.name, **atoms, **charge, "mass": mass}
    return {**entry, "thermo": thermo_entry(species, file)}


class _Colliders:
    """Sums of concentrations with efficiencies, each once: definitions ``M_1``, ``M_2``, ..."""

    def __init__(self, species):
        self.species, self.names, self.definitions = species, {}, []

    def __call__(self, body):
        """Text of the concentration of colliders of a reaction."""
        from ..system import symbol

        every = {s: body.efficiencies.get(s, body.default_efficiency) for s in self.species}
        key = tuple(every.values())
        if all(e == 1 for e in key):
            return "n_total"
        if key not in self.names:
            if min(key) < 0.1:  # a difference from the total would round where a gas is of these alone
                terms = [(e, f"n_{symbol(s).name}") for s, e in every.items() if e != 0]
            else:
                terms = [(1, "n_total"), *((e - 1, f"n_{symbol(s).name}") for s, e in every.items() if e != 1)]
            text = (
                " + ".join(name if e == 1 else f"{_whole(e)!r}*{name}" for e, name in terms).replace("+ -", "- ") or "0"
            )
            if len(terms) == 1 and terms[0][0] == 1:
                self.names[key] = text
            else:
                self.names[key] = f"M_{len(self.definitions) + 1}"
                self.definitions.append({self.names[key]: text})
        return self.names[key]


def _reaction(key, reaction, colliders, file):
    arrow = "<=>" if reaction.reversible else "->"
    sides = (" + ".join(_term(s, n) for s, n in side.items()) for side in (reaction.reactants, reaction.products))
    entry = {"id": key, "equation": f" {arrow} ".join(sides), "rate": _rate(key, reaction, colliders, file)}
    if reaction.orders:
        entry["orders"] = {s: _whole(n) for s, n in reaction.orders.items()}
    return entry | ({"duplicate": True} if reaction.duplicate else {})


def _rate(key, reaction, colliders, file):
    """Text of the rate coefficient."""
    rate, kind = reaction.rate, type(reaction.rate).__name__
    body = reaction.third_body
    if kind == "ArrheniusRate":
        text = _arrhenius(rate)
    elif kind in FALL_OFF:
        name = ("activated_" if rate.chemically_activated else "") + FALL_OFF[kind]
        constants = [repr(float(c)) for c in _constants(kind, rate)]
        text = (
            f"{name}({', '.join([_arrhenius(rate.low_rate), _arrhenius(rate.high_rate), colliders(body), *constants])})"
        )
    elif kind == "PlogRate":
        at = {}
        for pressure, one in rate.rates:
            at.setdefault(float(pressure), []).append(_arrhenius(one))
        text = f"plog(pressure, {', '.join(f'{p!r}, ' + ' + '.join(ks) for p, ks in sorted(at.items()))})"
    elif kind == "ChebyshevRate":
        ends = (*rate.temperature_range, *rate.pressure_range)
        numbers = [*map(float, ends), *rate.data.shape, *map(float, rate.data.ravel())]
        text = f"chebyshev(pressure, {', '.join(map(repr, numbers))})"
    else:
        raise ValueError(
            f"{file}: reaction {key}, {reaction.equation}, is of type {reaction.reaction_type!r}, which cannot be "
            f"expressed: known are Arrhenius, three-body, {', '.join(FALL_OFF.values())}, PLOG and Chebyshev"
        )
    return f"{text}*{colliders(body)}" if body is not None and body.mass_action else text


def _constants(kind, rate):
    values = [float(c) for c in rate.falloff_coeffs]
    if kind == "TroeRate" and len(values) == 4 and values[3] == 0:  # Cantera drops the last term, CHEMKIN would add 1
        return values[:3]
    return values


def _arrhenius(rate):
    from cantera import gas_constant

    numbers = (rate.pre_exponential_factor, rate.temperature_exponent, rate.activation_energy / gas_constant)
    return f"arrhenius({', '.join(repr(_whole(n)) for n in numbers)})"


def _term(species, coefficient):
    return species if coefficient == 1 else f"{_whole(coefficient)!r} {species}"


def _whole(number):
    """A number without the noise of a change of units in its last digits."""
    return int(number) if number == int(number) and abs(number) < 1e6 else float(f"{number:.15g}")
