"""Reaction networks with heating and cooling, read from YAML."""

import re
from pathlib import Path

import numpy as np
import sympy as sp
import yaml
from sympy.core.symbol import Str

from .expressions import Basis, Lowering, Parser, maximum, minimum, number, table
from .system import Parameter, System, Variable, symbol
from .tables import Table

DATA = Path(__file__).parent / "data"
#: seconds in a year (365 days) and a million years, as used for time steps throughout
YEAR, MYR = 3.1536e7, 3.1536e13


class _Loader(yaml.SafeLoader):
    """Plain data alone. Aliases, with which a short file is a large one, are refused."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases (*name) are not read: write it out")
        return super().compose_node(parent, index)


#: what reading data of an unknown shape can raise
_ODD = (KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError, UnicodeError, yaml.YAMLError)


def load_network(
    name,
    network="ism_network.yaml",
    thermal="ism_thermal.yaml",
    preset="corrected",
    species=None,
    cosmic_rays=True,
    metals="fs_cie",
):
    """Build the `System` of a reaction network with a temperature equation.

    Parameters
    ----------
    name : str
    network, thermal : str or path
        YAML files; relative names are looked up in the package data. Their format is explained at their top.
    preset : str
        Choice of rate variants and parameter values, one of the network's ``presets``.
    species : sequence of str, optional
        Keep these only; reactions that involve others are dropped.
    cosmic_rays : bool
        Whether the reactions C1, C2, ... are kept.
    metals : str
        One of the ``metals`` models of the thermal file.

    Returns
    -------
    System
        Variables: number densities [cm^-3] in file order, then T [K]; time in s.

    Raises
    ------
    ValueError
        For unknown presets, species, models or names in expressions, or reactions that do not conserve.
    """
    files = f"{network} with {thermal}"
    try:
        net, heat = (yaml.load((DATA / path).read_text(encoding="utf-8"), _Loader) for path in (network, thermal))
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
    _require(preset, net["presets"], "preset", name)
    _require(metals, heat["metals"], "metal model", name)
    chosen = net["presets"][preset]
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
    conserved = {law: tuple(float(s[law]) for s in kept.values()) + (0.0,) for law in ("H", "He", "charge")}
    return System(
        name=name,
        variables=(*(_species(s) for s in kept.values()), _temperature(net["temperature"])),
        rhs=tuple(rhs),
        parameters=parameters,
        definitions=tuple(builder.definitions),
        tables=builder.tables,
        declared=conserved,
        constants={k: float(v) for k, v in net["constants"].items()},
        dt_range=(0.0, 1e4 * MYR),
        references=tuple(dict.fromkeys(r["ref"] for r in net["reactions"] if builder.is_kept(r, cosmic_rays))),
    )


def _require(key, choices, what, where):
    if key not in choices:
        raise ValueError(f"{where}: no {what} {key!r}; choose from {', '.join(choices)}")


def _species(s):
    return Variable(
        s["name"],
        "cm^-3",
        lower=0.0,
        upper=1e15,
        floor=0.0,
        scale="total",
        sample=(1e-8, 1e3),
        role="species",
        mass=float(s["mass"]),
        n_hydrogen=int(s["H"]),
    )


def _temperature(t):
    return Variable(
        "T",
        "K",
        lower=1.0,
        upper=float(t["upper"]),
        floor=float(t["floor"]),
        scale=0.0,
        sample=(3.0, float(t["upper"])),
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
        for law in ("H", "He", "charge"):
            before, after = (sum(self.every[s][law] for s in side) for side in (reactants, products))
            if before != after:
                raise ValueError(f"reaction {key} changes {law} from {before} to {after}; check its equation")

    def energy(self, photo, heat, metals):
        """dT/dt."""
        self.add_definitions(heat["definitions"])
        total, per_cell = (sp.Symbol(n, real=True) for n in ("n_total", "kelvin_per_erg"))
        factor = (self.constants["gamma"] - 1) / self.constants["k_boltzmann"]
        self.definitions.append((total, sp.Add(*(symbol(s) for s in self.kept))))
        self.definitions.append((per_cell, factor / total))
        terms = [(1, {"photo": photo}), *((1, term) for term in heat["heating"])]
        terms += [(-1, term) for term in (*heat["cooling"], *heat["metals"][metals])]
        rhs = sp.Integer(0)
        for sign, term in terms:
            for name, text in term.items():
                power = text if isinstance(text, sp.Expr) else self._rate(text)
                if power != 0:
                    named = sp.Symbol(f"E_{name}", real=True)
                    self.definitions.append((named, power))
                    rhs += sign * per_cell * named
        return rhs


def abundances(system, n_total, fractions):
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
