"""Reaction networks, with heating and cooling or at constant temperature, from files that `importers` read."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .builder import Builder
from .checks import real
from .energy import ENERGIES
from .importers import read_network
from .quantities import quantity_of
from .reactions import exact, laws_of
from .section import Section, section
from .system import Parameter, System, Variable

DATA = Path(__file__).parent / "data"
#: seconds in a year (365 days) and a million years, as used for time steps throughout
YEAR, MYR = 3.1536e7, 3.1536e13

#: what a network need not have
OPTIONAL = {"definitions": (), "parameters": {}, "constants": {}, "presets": {}, "sample": {}, "thermal": {}}
KEYS = (
    *("name", "doc", "quantity", "energy", "temperature", "species_range", "dt_range", "species", "reactions"),
    *OPTIONAL,
)
#: what heating and cooling need not have, and what there is without them: the temperature stays
OPTIONAL_HEAT = {"constants": {}, "tables": {}, "definitions": (), "metals": None}
NO_HEAT = {**OPTIONAL_HEAT, "heating": (), "cooling": ()}
#: the typical least share of a species
LEAST_SHARE = 1e-6

#: what reading data of an unknown shape can raise
_ODD = (KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError, UnicodeError)


def load_network(
    name: str,
    network: str | os.PathLike = "ism_network.yaml",
    thermal: str | os.PathLike | None = "ism_thermal.yaml",
    preset: str | None = None,
    species: Sequence[str] | None = None,
    cosmic_rays: bool = True,
    metals: str | None = None,
) -> System:
    """Build the `System` of a reaction network with a temperature equation.

    Parameters
    ----------
    name : str
    network : str or path
        A file in one of the formats of `importers`; a relative name is looked up in the package data. The format of
        YAML files is explained at the top of those.
    thermal : str or path, optional
        Heating and cooling. With None the section ``thermal`` of the network's own file; without that, too, the
        temperature stays as it is.
    preset : str, optional
        Choice of rate variants, reactions and parameter values, one of the network's ``presets``; default "corrected"
        if there is one of this name, else the first, if there is any.
    species : sequence of str, optional
        Keep these only; reactions that involve others are dropped.
    cosmic_rays : bool
        Whether the reactions C1, C2, ... are kept.
    metals : str, optional
        One of the ``metals`` models of the thermal file; default "fs_cie" if there is one of this name, else
        the first.

    Returns
    -------
    System
        Variables: the species in file order, as number densities [cm^-3] or what the file says, then T [K]; time in s.

    Raises
    ------
    ValueError
        For unknown presets, species, models or names in expressions, or reactions that do not conserve.
    """
    files = f"{network}{f' with {thermal}' if thermal else ''}"
    try:
        net = section(read_network(DATA / network), "the file")
        net.only(KEYS, "a network")
        net = Section(OPTIONAL | net, net.line)
        heat = section(read_network(DATA / thermal) if thermal else net["thermal"], "the section thermal")
        heat.only(NO_HEAT, "the section thermal")
        heat = Section((OPTIONAL_HEAT if thermal else NO_HEAT) | heat, heat.line)
        return _build(name, net, heat, preset, species, cosmic_rays, metals)
    except OSError as error:
        raise ValueError(f"{files} cannot be read: {error}") from error
    except ValueError as error:
        raise ValueError(f"{' '.join(str(error).split())} ({files})") from error
    except _ODD as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{files} is not in the format of ism_network.yaml: {type(error).__name__}: {reason}"
        ) from error


def _build(name, net, heat, preset, species, cosmic_rays, metals):
    chosen = section(_choice(preset, net["presets"], "corrected", "preset", name) or {}, "a preset")
    chosen.only(("variants", "definitions", "parameters", "without", "doc"), "a preset")
    if heat["metals"] is not None:
        heat["metals"] = {"chosen": _choice(metals, heat["metals"], "fs_cie", "metal model", name)}
    every = _species_of(net)
    for s in species or ():
        _require(s, every, "species", name)
    kept = {s: every[s] for s in every if species is None or s in species}

    quantity = quantity_of(net)
    builder = Builder(net, heat, chosen, kept, every, net.get("quantity", "number-density"))
    builder.add_definitions([*net["definitions"]], {**chosen.get("definitions", {})})
    rhs, heating = builder.add_reactions(net["reactions"], cosmic_rays)
    energy = net.get("energy", "thermal")
    _require(energy, ENERGIES, "energy", name)
    rhs.append(ENERGIES[energy](builder, heating, heat, "chosen"))

    parameters = {k: section(p, f"parameter {k}") for k, p in net["parameters"].items()}
    values = {**{k: p["value"] for k, p in parameters.items()}, **chosen.get("parameters", {})}
    laws = laws_of(every.values())
    quantity, typical = _samples(net, quantity)
    return System(
        name=name,
        variables=(*(_variable(s, quantity) for s in kept.values()), _temperature(net["temperature"], typical)),
        rhs=tuple(rhs),
        parameters=tuple(
            Parameter(k, p.get("unit", ""), float(values[k]), float(p["lower"]), float(p["upper"]))
            for k, p in parameters.items()
        ),
        definitions=tuple(builder.definitions),
        tables=builder.tables,
        declared={law: _weights(law, kept.values(), builder.per_rate) for law in laws},
        constants={k: float(v) for k, v in net["constants"].items()},
        dt_range=tuple(map(float, net.get("dt_range", (0.0, 1e4 * MYR)))),
        references=_references(net["reactions"], {reaction.id for reaction in builder.reactions}),
        reactions=tuple(builder.reactions),
        weights=(*map(float, builder.per_rate.values()), 1.0) if any(w != 1 for w in builder.per_rate.values()) else (),
    )


def _species_of(net):
    """Species by name; their other keys are atoms of elements."""
    every = {}
    for k, s in enumerate(net["species"], 1):
        s = section(s, f"species {k}")
        if not isinstance(s["name"], str):
            raise ValueError(f'{s.where}the name of a species is {s["name"]!r}: put it in quotes, as in name: "NO"')
        if s["name"] in every:
            raise ValueError(f"{s.where}there are two species {s['name']!r}: leave one out")
        if "mass" not in s:
            raise ValueError(
                f"{s.where}species {s['name']!r} has no mass: give that of a particle [g], or the molar mass [kg/kmol] "
                "where the quantity is no number density; null if it has none"
            )
        for law in laws_of([s]):
            real(s.get(law, 0), f"{s.where}{law} of {s['name']}", -1000.0 if law == "charge" else 0.0, 1000.0)
        every[s["name"]] = s
    return every


def _choice(wanted, choices, usual, what, where):
    """The wanted one of `choices`; without a wish the usual one, or the first. None where there are none."""
    if wanted is None:
        wanted = usual if usual in choices else next(iter(choices), None)
        return None if wanted is None else choices[wanted]
    _require(wanted, choices, what, where)
    return choices[wanted]


def _require(key, choices, what, where):
    if key not in choices:
        raise ValueError(f"{where}: no {what} {key!r}; choose from {', '.join(choices) or 'none at all'}")


def _samples(net, quantity):
    """The quantity with typical values, and typical temperatures: those of the section ``sample``, or our own."""
    t, sample = section(net["temperature"], "temperature"), section(net["sample"], "sample")
    sample.only(("density", "T"), "sample")
    lower, upper = float(t["floor"]), float(t["upper"])
    ranges = {"T": t.get("sample", (max(lower, 3.0), upper)), **sample}
    for name, ends in ranges.items():
        low, high = ranges[name] = tuple(map(float, ends))
        if not (0 < low < high < np.inf and (name != "T" or (lower <= low and high <= upper))):
            raise ValueError(f"sample: {name} is of {low:g}..{high:g}: give an ascending range within its bounds")
    if "density" in ranges:
        low, high = ranges["density"]
        quantity = quantity._replace(sample=(LEAST_SHARE * low, high))
    return quantity, ranges["T"]


def _weights(law, species, per_rate):
    """How much of an element, or charge, one unit of each variable holds."""
    return tuple(float(exact(s.get(law, 0)) / per_rate[s["name"]]) for s in species) + (0.0,)


def _references(entries, kept):
    found = [(str(entry.get("id", f"R{k}")), entry.get("ref")) for k, entry in enumerate(entries, 1)]
    return tuple(dict.fromkeys(ref for key, ref in found if ref and key in kept))


def _variable(s, quantity):
    role = quantity.role if s["mass"] is not None else "other"
    return Variable(
        s["name"],
        quantity.unit,
        lower=0.0,
        upper=quantity.upper,
        floor=0.0,
        scale="total",
        sample=quantity.sample,
        role=role,
        mass=float(s["mass"]) if role == "species" else 0.0,
        n_hydrogen=int(s.get("H", 0)),
        initial=float(s.get("initial", 0.0)),
    )


def _temperature(t, sample):
    """Bounds of the file: ``floor`` and ``upper`` of rates; ``lower``, ``sample`` and ``initial`` of the variable."""
    t = section(t, "temperature")
    t.only(("floor", "upper", "lower", "sample", "initial"), "temperature")
    upper = float(t["upper"])
    return Variable(
        "T",
        "K",
        lower=float(t.get("lower", 1.0)),
        upper=upper,
        floor=float(t["floor"]),
        scale=0.0,
        sample=sample,
        role="temperature",
        initial=float(t.get("initial", 100.0)),
    )


def abundances(system: System, n_total: float, fractions: dict[str, float]) -> np.ndarray:
    """Number densities [cm^-3] from fractions of the total by name, electrons from neutrality; T is left 0.

    Parameters
    ----------
    n_total : float
    fractions : dict of str to float

    Returns
    -------
    ndarray of shape (n_vars,)
    """
    state = np.array([n_total * fractions.get(name, 0.0) for name in system.names])
    charge = np.array(system.conserved["charge"])
    electron = system.names.index("e-")
    state[electron] = 0.0
    state[electron] = charge @ state
    return state
