"""Reaction networks, with heating and cooling or at constant temperature, from files that `importers` read."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sympy as sp
from sympy.core.symbol import Str

from .expressions import Basis, Lowering, maximum, minimum, number, table
from .importers import read_network
from .parser import Parser
from .system import Parameter, System, Variable, symbol
from .tables import Table

DATA = Path(__file__).parent / "data"
#: seconds in a year (365 days) and a million years, as used for time steps throughout
YEAR, MYR = 3.1536e7, 3.1536e13


#: keys of a species that are no elements
NOT_ELEMENTS = ("name", "charge", "mass", "initial")
#: what a network need not have, and what it has without heating and cooling: the temperature stays
OPTIONAL = {"definitions": (), "parameters": {}, "constants": {}, "sample": {}}
NO_HEAT = {"constants": {}, "tables": {}, "definitions": (), "heating": (), "cooling": (), "metals": None}

#: typical total densities [cm^-3], where a file says nothing, and the typical least share of a species
DENSITY, LEAST_SHARE = (1e-2, 1e3), 1e-6

#: what reading data of an unknown shape can raise
_ODD = (KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError, UnicodeError)


def load_network(
    name: str,
    network: str | os.PathLike = "ism_network.yaml",
    thermal: str | os.PathLike | None = "ism_thermal.yaml",
    preset: str = "corrected",
    species: Sequence[str] | None = None,
    cosmic_rays: bool = True,
    metals: str = "fs_cie",
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
    preset : str
        Choice of rate variants and parameter values, one of the network's ``presets``, if it has any.
    species : sequence of str, optional
        Keep these only; reactions that involve others are dropped.
    cosmic_rays : bool
        Whether the reactions C1, C2, ... are kept.
    metals : str
        One of the ``metals`` models of the thermal file, if it has any.

    Returns
    -------
    System
        Variables: number densities [cm^-3] in file order, then T [K]; time in s.

    Raises
    ------
    ValueError
        For unknown presets, species, models or names in expressions, or reactions that do not conserve.
    """
    files = f"{network}{f' with {thermal}' if thermal else ''}"
    try:
        net = OPTIONAL | read_network(DATA / network)
        heat = read_network(DATA / thermal) if thermal else NO_HEAT | net.get("thermal", {})
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
    presets = net.get("presets", {preset: {}})
    _require(preset, presets, "preset", name)
    if heat["metals"] is not None:
        _require(metals, heat["metals"], "metal model", name)
    chosen = presets[preset]
    every = {s["name"]: s for s in net["species"]}
    for s in species or ():
        _require(s, every, "species", name)
    kept = {s: every[s] for s in every if species is None or s in species}

    builder = _Builder(net, heat, chosen, kept, every)
    builder.add_definitions([*net["definitions"]], {**chosen.get("definitions", {})})
    rhs, heating = builder.add_reactions(net["reactions"], chosen.get("variants", {}), cosmic_rays)
    rhs.append(builder.energy(heating, heat, metals))

    values = {**{k: p["value"] for k, p in net["parameters"].items()}, **chosen.get("parameters", {})}
    parameters = tuple(
        Parameter(k, p["unit"], float(values[k]), float(p["lower"]), float(p["upper"]))
        for k, p in net["parameters"].items()
    )
    density, typical = _samples(net)
    conserved = {law: tuple(float(s.get(law, 0)) for s in kept.values()) + (0.0,) for law in laws_of(every.values())}
    return System(
        name=name,
        variables=(*(_species(s, density) for s in kept.values()), _temperature(net["temperature"], typical)),
        rhs=tuple(rhs),
        parameters=parameters,
        definitions=tuple(builder.definitions),
        tables=builder.tables,
        declared=conserved,
        constants={k: float(v) for k, v in net["constants"].items()},
        dt_range=(0.0, 1e4 * MYR),
        references=tuple(dict.fromkeys(r["ref"] for r in net["reactions"] if builder.is_kept(r, cosmic_rays))),
    )


def laws_of(species):
    """What reactions conserve: the elements that the species are made of, in the order in which they occur, charge."""
    return (*dict.fromkeys(key for s in species for key in s if key not in NOT_ELEMENTS), "charge")


def _require(key, choices, what, where):
    if key not in choices:
        raise ValueError(f"{where}: no {what} {key!r}; choose from {', '.join(choices)}")


def _samples(net):
    """Typical ranges of total density and temperature, of the section ``sample`` or our own."""
    lower, upper = float(net["temperature"]["floor"]), float(net["temperature"]["upper"])
    ranges = {"density": DENSITY, "T": (max(lower, 3.0), upper)}
    for name, ends in net["sample"].items():
        _require(name, ranges, "sample", "sample")
        low, high = map(float, ends)
        if not (0 < low < high < np.inf and (name != "T" or lower <= low and high <= upper)):
            raise ValueError(f"sample: {name} is of {low:g}..{high:g}: give an ascending range within its bounds")
        ranges[name] = low, high
    return ranges["density"], ranges["T"]


def _species(s, density):
    return Variable(
        s["name"],
        "cm^-3",
        lower=0.0,
        upper=1e15,
        floor=0.0,
        scale="total",
        sample=(LEAST_SHARE * density[0], density[1]),
        initial=float(s.get("initial", 0)),
        role="species",
        mass=float(s["mass"]),
        n_hydrogen=int(s.get("H", 0)),
    )


def _temperature(t, sample):
    return Variable(
        "T",
        "K",
        lower=1.0,
        upper=float(t["upper"]),
        floor=float(t["floor"]),
        scale=0.0,
        sample=sample,
        role="temperature",
        initial=100.0,
    )


class _Builder:
    """Parses a network in order; keeps what earlier parts defined."""

    def __init__(self, net, heat, chosen, kept, every):
        self.kept, self.every = kept, every
        lower, upper = float(net["temperature"]["floor"]), float(net["temperature"]["upper"])
        self.temperature, clamped = symbol("T"), sp.Symbol("Tc", real=True)
        basis = Basis(clamped, lower, upper)
        self.definitions = [(clamped, minimum(maximum(self.temperature, number(lower)), number(upper)))]
        self.definitions += basis.definitions()
        self.tables = {k: Table.monotone(t["x"], t["y"]) for k, t in heat["tables"].items()}
        functions = {k: self._interpolator(k) for k in self.tables}
        names = {"T": clamped, **{k: symbol(k) for k in net["parameters"]}}
        names |= {k: number(v) for k, v in {**heat["constants"]}.items()}
        names |= {"n_" + symbol(s).name: symbol(s) if s in kept else sp.Integer(0) for s in every}
        self.parse = Parser(names, Lowering(basis), functions)
        self.constants = {k: number(v) for k, v in net["constants"].items()}

    def _interpolator(self, name):
        lower, upper = number(self.tables[name].lower), number(self.tables[name].upper)
        return lambda x: table(Str(name), 0, minimum(maximum(x, lower), upper))

    def define(self, name, expr):
        """Make `name` known; only expressions of some length get an assignment of their own."""
        if sp.count_ops(expr) > 6 and not expr.is_number:
            named = sp.Symbol(name, real=True)
            self.definitions.append((named, expr))
            expr = named
        self.parse.names[name] = expr

    def add_definitions(self, items, replace=()):
        """``[{name: text or pieces}]`` in order; `replace` overrides by name."""
        for item in items:
            for name, text in item.items():
                text = dict(replace).get(name, text)
                self.define(name, self._rate(text))

    def _rate(self, text):
        return self.parse.pieces(text) if isinstance(text, list) else self.parse(str(text))

    def is_kept(self, reaction, cosmic_rays):
        """Whether all species of a reaction are kept, and cosmic rays wanted if it is one."""
        names = {s for side in self._sides(reaction) for s in side}
        return names <= set(self.kept) and (cosmic_rays or not re.fullmatch(r"C\d+", reaction["id"]))

    def _sides(self, reaction):
        sides = [[s.strip() for s in side.split(" + ")] for side in reaction["equation"].split("->")]
        for s in (s for side in sides for s in side):
            _require(s, self.every, "species", reaction["id"])
        return sides

    def add_reactions(self, reactions, variants, cosmic_rays):
        """Rates as definitions; returns the species' rhs and the photo-heating."""
        rhs, heating = {s: sp.Integer(0) for s in self.kept}, sp.Integer(0)
        for reaction in reactions:
            key = reaction["id"]
            if not self.is_kept(reaction, cosmic_rays):
                self.parse.names |= {f"k_{key}": sp.Integer(0), f"R_{key}": sp.Integer(0)}
                continue
            reactants, products = self._sides(reaction)
            self._check_balance(key, reactants, products)
            chosen = reaction
            if key in variants:
                _require(variants[key], reaction["variants"], "variant", key)
                chosen = reaction["variants"][variants[key]]
            density = sp.Mul(*(symbol(s) for s in reactants))
            if "total" in chosen:
                rate = self._rate(chosen["total"])
            else:
                self.define(f"k_{key}", self._rate(chosen["rate"]))
                rate = self.parse.names[f"k_{key}"] * density
            named = sp.Symbol(f"R_{key}", real=True)
            self.definitions.append((named, rate))
            self.parse.names[f"R_{key}"] = named
            for s in reactants:
                rhs[s] -= named
            for s in products:
                rhs[s] += named
            heating += number(chosen.get("heat", 0)) * density
        return list(rhs.values()), heating

    def _check_balance(self, key, reactants, products):
        for law in laws_of(self.every.values()):
            before, after = (sum(self.every[s].get(law, 0) for s in side) for side in (reactants, products))
            if before != after:
                raise ValueError(f"reaction {key} changes {law} from {before} to {after}; check its equation")

    def energy(self, photo, heat, metals):
        """dT/dt."""
        self.add_definitions(heat["definitions"])
        losses = (*heat["cooling"], *(heat["metals"][metals] if heat["metals"] is not None else ()))
        if photo == 0 and not heat["heating"] and not losses:
            return sp.Integer(0)
        total, per_cell = (sp.Symbol(n, real=True) for n in ("n_total", "kelvin_per_erg"))
        factor = (self.constants["gamma"] - 1) / self.constants["k_boltzmann"]
        self.definitions.append((total, sp.Add(*(symbol(s) for s in self.kept))))
        self.definitions.append((per_cell, factor / total))
        terms = [(1, {"photo": photo}), *((1, term) for term in heat["heating"])]
        terms += [(-1, term) for term in losses]
        rhs = sp.Integer(0)
        for sign, term in terms:
            for name, text in term.items():
                power = text if isinstance(text, sp.Expr) else self._rate(text)
                if power != 0:
                    named = sp.Symbol(f"E_{name}", real=True)
                    self.definitions.append((named, power))
                    rhs += sign * per_cell * named
        return rhs


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
