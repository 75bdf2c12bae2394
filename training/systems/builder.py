"""From the sections of a network's file to expressions, in the order of the file."""

import re

import sympy as sp
from sympy.core.symbol import Str

from .expressions import Basis, Lowering, fexp, maximum, minimum, number, table, times
from .parser import Parser
from .reactions import KEYS, check_balance, check_twins, exact, read_reaction
from .section import section
from .system import symbol
from .tables import Table
from .thermo import thermo_of

#: what a reversible reaction divides by where its exponent alone would overflow
LARGEST_EXPONENT = sp.Integer(690)
#: densities below this count as this where they have a power that is negative or no whole number
LEAST_DENSITY = number("1e-30")


class Builder:
    """Parses a network in order; keeps what earlier parts defined.

    Parameters
    ----------
    net, heat : Section
        The network, and heating and cooling.
    chosen : Section
        The preset.
    kept, every : dict of str to Section
        The species of the system, and those of the file.
    quantity : str
        A key of `quantities.QUANTITIES`.

    Attributes
    ----------
    definitions : list of (sympy.Symbol, sympy.Expr)
    tables : dict of str to Table
    reactions : list of Reaction
    amounts : dict of str to sympy.Expr
        What reaction rates change, by species: number or kmol per volume, or per mass.
    per_rate : dict of str to sympy.Rational
        Change of a variable for one such amount: molar masses for mass fractions, else 1.
    """

    def __init__(self, net, heat, chosen, kept, every, quantity):
        self.net, self.chosen, self.kept, self.every, self.quantity = net, chosen, kept, every, quantity
        lower, upper = float(net["temperature"]["floor"]), float(net["temperature"]["upper"])
        self.temperature, clamped = symbol("T"), sp.Symbol("Tc", real=True)
        self.basis = Basis(clamped, lower, upper)
        self.definitions = [(clamped, minimum(maximum(self.temperature, number(lower)), number(upper)))]
        self.definitions += self.basis.definitions()
        self.tables = {k: Table.monotone(t["x"], t["y"]) for k, t in heat["tables"].items()}
        functions = {k: self._interpolator(k) for k in self.tables}
        names = {"T": clamped, **{k: symbol(k) for k in net["parameters"]}}
        names |= {k: number(v) for k, v in {**heat["constants"]}.items()}
        names |= {"n_" + symbol(s).name: symbol(s) if s in kept else sp.Integer(0) for s in every}
        self.parse = Parser(names, Lowering(self.basis, self._keep), functions)
        self.constants = {k: number(v) for k, v in net["constants"].items()}
        self.amounts, self.per_rate = {s: symbol(s) for s in kept}, dict.fromkeys(kept, sp.Integer(1))
        self.per_volume, self.thermo, self.parts, self.reactions = sp.Integer(1), {}, {}, []
        if quantity in ("concentration", "mass-fraction"):
            self._add_gas()

    def _interpolator(self, name):
        lower, upper = number(self.tables[name].lower), number(self.tables[name].upper)
        return lambda x: table(Str(name), 0, minimum(maximum(x, lower), upper))

    def constant(self, key, what):
        """A constant of the file; `what` needs it."""
        if key not in self.constants:
            raise ValueError(f"{what} needs the constant {key!r}: add it to the section constants")
        return self.constants[key]

    def _add_gas(self):
        """Names of an ideal gas: ``n_total`` [kmol/m^3], ``pressure`` [Pa], for mass fractions ``density`` [kg/m^3]."""
        names, parameters = self.parse.names, self.net["parameters"]
        kelvins = self.constant("gas_constant", "an ideal gas") * self.basis.x
        if self.quantity == "mass-fraction":
            self.per_rate = {s: exact(str(self.every[s]["mass"])) for s in self.kept}
            self.amounts = {s: symbol(s) / self.per_rate[s] for s in self.kept}
            total = self.name("n_per_mass", sp.Add(*self.amounts.values()))
            if "density" in parameters:
                self.per_volume = symbol("density")
                names["pressure"] = self.name("pressure", self.per_volume * total * kelvins)
            elif "pressure" in parameters:
                self.per_volume = self.name("density", symbol("pressure") / (total * kelvins))
            else:
                raise ValueError("mass fractions need a parameter 'pressure' [Pa] or 'density' [kg/m^3]: add one")
            names |= {"density": self.per_volume, "n_total": self.name("n_total", self.per_volume * total)}
            names |= {"n_" + symbol(s).name: self.per_volume * x for s, x in self.amounts.items()}
        else:
            names["n_total"] = self.name("n_total", sp.Add(*self.amounts.values()))
            names["pressure"] = self.name("pressure", names["n_total"] * kelvins)

    def name(self, name, expr):
        """Give an expression an assignment of its own."""
        named = sp.Symbol(name, real=True)
        if any(named == other for other, _ in self.definitions):
            raise ValueError(f"{name!r} is defined twice: give one of them another name")
        self.definitions.append((named, expr))
        return named

    def _keep(self, expr):
        """An assignment for a part of a rate, the same for the same part."""
        if expr.is_Number or expr.is_Symbol:
            return expr
        if expr not in self.parts:
            self.parts[expr] = self.name(f"part_{len(self.parts) + 1}", expr)
        return self.parts[expr]

    def define(self, name, expr):
        """Make `name` known; only expressions of some length get an assignment of their own."""
        if sp.count_ops(expr) > 6 and not expr.is_number:
            expr = self.name(name, expr)
        self.parse.names[name] = expr

    def add_definitions(self, items, replace=()):
        """``[{name: text or pieces}]`` in order; `replace` overrides by name."""
        for item in items:
            for name, text in item.items():
                self.define(name, self.rate(dict(replace).get(name, text), f"definition {name}"))

    def rate(self, text, what=""):
        """An expression from text or pieces; `what` it is is in the message where it cannot be read."""
        try:
            return self.parse.pieces(text) if isinstance(text, list) else self.parse(str(text))
        except ValueError as error:
            raise ValueError(f"{what}: {error}" if what else str(error)) from error

    def add_reactions(self, entries, cosmic_rays):
        """Rates as definitions; returns the species' rhs and the heating by reactions."""
        rhs, heating = {s: sp.Integer(0) for s in self.kept}, sp.Integer(0)
        for entry, reaction in self._read_reactions(entries, cosmic_rays):
            key, chosen = reaction.id, self._variant(reaction, entry)
            what = f"{entry.where}reaction {key}"
            density = sp.Mul(*(self._power(s, order) for s, order in reaction.orders.items()))
            if "total" in chosen:
                rate, coefficient = self.rate(chosen["total"], what), None
            else:
                coefficient = self.rate(chosen["rate"], what)
                self.define(f"k_{key}", coefficient)
                rate = self.parse.names[f"k_{key}"] * density / self.per_volume
            named = self.name(f"R_{key}", rate)
            self.parse.names[f"R_{key}"] = named
            reverse = (
                self.name(f"R_{key}_reverse", self._reverse(reaction, coefficient, what)) if reaction.reversible else 0
            )
            for s, change in reaction.net.items():
                rhs[s] += change * (named - reverse)
            heat = chosen.get("heat", 0)
            heating += (self.rate(heat, f"heat of {what}") if isinstance(heat, (str, list)) else number(heat)) * density
            self.reactions.append(reaction)
        return [self.per_rate[s] * f if self.per_rate[s] != 1 else f for s, f in rhs.items()], heating

    def _read_reactions(self, entries, cosmic_rays):
        """Entries that stay, with their reactions; the names of the others are zero."""
        off, read = tuple(self.chosen.get("without", ())), []
        for k, entry in enumerate(entries, 1):
            entry = section(entry, f"reaction {k}")
            entry.only(KEYS, "a reaction")
            reaction = read_reaction(entry, self.every, f"R{k}")
            check_balance(reaction, self.every, entry.where)
            read.append((reaction, entry))
        check_twins(read)
        names = {reaction.id for reaction, _ in read}
        for name, preset in self.net["presets"].items():
            for key in (*(preset or {}).get("without", ()), *(preset or {}).get("variants", ())):
                if key not in names:
                    raise ValueError(f"preset {name} names the reaction {key!r}, which there is not")
        for reaction, entry in read:
            here = {*reaction.reactants, *reaction.products, *reaction.orders} <= set(self.kept)
            if here and reaction.id not in off and (cosmic_rays or not re.fullmatch(r"C\d+", reaction.id)):
                yield entry, reaction
            else:
                self.parse.names |= {f"k_{reaction.id}": sp.Integer(0), f"R_{reaction.id}": sp.Integer(0)}

    def _variant(self, reaction, entry):
        variants = self.chosen.get("variants", {})
        if reaction.id not in variants:
            return entry
        choice, choices = variants[reaction.id], section(entry.get("variants", {}), f"variants of {reaction.id}")
        if choice not in choices:
            raise ValueError(f"{reaction.id}: no variant {choice!r}; choose from {', '.join(choices)}")
        return section(choices[choice], f"variant {choice} of {reaction.id}")

    def _power(self, species, order):
        """A density to a power; one that is no whole number is continued to 0 along a straight line, or held there."""
        density = self.parse.names["n_" + symbol(species).name]
        if order == int(order) and order >= 0:
            return density ** int(order)
        low, least = self.parse.low, maximum(density, LEAST_DENSITY)
        return low.power(least, order) if order < 0 else density * low.power(least, order - 1)

    def _reverse(self, reaction, coefficient, what):
        """Rate of the reverse by detailed balance: k / K_c, K_c = exp(-sum nu g/RT) (p0/RT)^(sum nu)."""
        if coefficient is None or self.quantity not in ("concentration", "mass-fraction"):
            raise ValueError(
                f"{what}: a reverse is for coefficients 'rate' between gases in concentrations: write '->'"
            )
        change = sum(reaction.net.values(), sp.Integer(0))
        exponent = sp.Add(*(c * self.gas(s).g for s, c in reaction.net.items()))
        per_kelvin = self.constant("gas_constant", "a reverse") / self.constant("reference_pressure", "a reverse")
        exponent += change * (self.basis.log + self.parse.low.ln(per_kelvin))
        if any(isinstance(factor, fexp) for factor in sp.Mul.make_args(coefficient)):
            rate = times(coefficient, fexp(exponent))  # one exponential, which neither overflows nor underflows
        else:
            rate = self.parse.names[f"k_{reaction.id}"] * fexp(minimum(exponent, LARGEST_EXPONENT))
        rate *= sp.Mul(*(self._power(s, c) for s, c in reaction.products.items()))
        return rate / self.per_volume

    def gas(self, species):
        """`Thermo` of a species, as symbols that are defined once."""
        if species not in self.thermo:
            thermo = thermo_of(self.every[species], self.basis)
            name = symbol(species).name
            self.thermo[species] = type(thermo)(*(self.name(f"{k}_{name}", e) for k, e in thermo._asdict().items()))
        return self.thermo[species]
