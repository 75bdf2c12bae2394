"""Equations of reactions: what is consumed and produced, what it conserves, what is listed twice."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from .expressions import number
from .section import Section

#: keys of a species that are no elements
NOT_ELEMENTS = ("name", "charge", "mass", "thermo", "initial", "doc")
KEYS = ("id", "equation", "rate", "total", "heat", "variants", "orders", "duplicate", "ref", "note")
_COEFFICIENT = re.compile(r"(\d+\.?\d*|\.\d+)\s+(\S.*)", re.ASCII)


@dataclass(frozen=True)
class Reaction:
    """A reaction as data, beside the expressions that a `System` is made of.

    Attributes
    ----------
    id : str
    reactants, products : dict of str to sympy.Rational
        Stoichiometric coefficients by species.
    orders : dict of str to sympy.Rational
        Powers of the densities in the forward rate, by species.
    rate : object
        The text of the coefficient, or of the whole rate, or the list of its pieces, as in the file.
    reversible : bool
        Whether there is a reverse rate, from the thermodynamics of the species.
    """

    id: str
    reactants: Mapping[str, sp.Rational]
    products: Mapping[str, sp.Rational]
    orders: Mapping[str, sp.Rational]
    rate: Any = field(compare=False)
    reversible: bool = False

    @property
    def net(self) -> dict[str, sp.Rational]:
        """Change of every species that changes."""
        change = {s: -c for s, c in self.reactants.items()}
        for s, c in self.products.items():
            change[s] = change.get(s, 0) + c
        return {s: c for s, c in change.items() if c != 0}


def read_reaction(entry: Section, species: Mapping[str, Any], default_id: str) -> Reaction:
    """The reaction of an entry of a file.

    Raises
    ------
    ValueError
        If the equation is none, or names species that there are not.
    """
    key = str(entry.get("id", default_id))
    equation = str(entry["equation"])
    arrow = "<=>" if "<=>" in equation else "->"
    sides = equation.split(arrow)
    if len(sides) != 2:
        raise ValueError(f"{entry.where}reaction {key}: {equation!r} is no equation: give 'A + B -> C' or 'A <=> B'")
    reactants, products = (_side(side, species, f"{entry.where}reaction {key}") for side in sides)
    orders = dict(reactants)
    for name, order in dict(entry.get("orders", {})).items():
        if name not in species:
            raise ValueError(f"{entry.where}reaction {key}: an order is of {name!r}, which is no species")
        orders[name] = exact(order)
    if arrow == "<=>" and orders != reactants:
        raise ValueError(f"{entry.where}reaction {key}: with orders of its own it has no reverse: write '->'")
    return Reaction(key, reactants, products, orders, entry.get("total", entry.get("rate")), arrow == "<=>")


def exact(value: Any) -> sp.Rational:
    """A coefficient as a rational, decimals taken as they are written."""
    return sp.Rational(str(number(value) if isinstance(value, int) else value))


def _side(side, species, where):
    amounts = {}
    for term in side.split(" + "):
        term, coefficient = term.strip(), sp.Integer(1)
        if term not in species and (found := _COEFFICIENT.fullmatch(term)):
            term, coefficient = found[2].strip(), exact(found[1])
        if term == "0" and side.strip() == "0":  # nothing: what comes from outside, or leaves
            return amounts
        if term not in species:
            raise ValueError(f"{where}: no species {term!r}; choose from {', '.join(species)[:1000]}")
        amounts[term] = amounts.get(term, 0) + coefficient
    return amounts


def laws_of(species: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """What reactions conserve: the elements that the species are made of, in the order in which they occur, charge."""
    return (*dict.fromkeys(key for s in species for key in s if key not in NOT_ELEMENTS), "charge")


def check_balance(reaction: Reaction, species: Mapping[str, Mapping[str, Any]], where: str = "") -> None:
    """Raise ValueError if a reaction changes the number of atoms of an element, or the charge."""
    for law in laws_of(species.values()):
        sides = (reaction.reactants, reaction.products)
        before, after = (sum(c * exact(species[s].get(law, 0)) for s, c in side.items()) for side in sides)
        if before != after:
            raise ValueError(
                f"{where}reaction {reaction.id} changes {law} from {before} to {after}; check its equation"
            )


def check_twins(reactions: Iterable[tuple[Reaction, Section]]) -> None:
    """Raise ValueError if a name, or an equation with the same rate, is there twice and not marked as a duplicate."""
    names, twins = {}, {}
    for reaction, entry in reactions:
        if reaction.id in names:
            raise ValueError(f"{entry.where}two reactions are called {reaction.id}: give them names of their own")
        names[reaction.id] = reaction
        sides = tuple(tuple(sorted(side.items())) for side in (reaction.reactants, reaction.products))
        text = (sides, str(reaction.rate), str(reaction.orders))
        if text in twins and not entry.get("duplicate", False):
            raise ValueError(
                f"{entry.where}reaction {reaction.id} is {twins[text]} once more, with the same rate: leave one out, "
                "or mark this one with 'duplicate: true' if both are meant"
            )
        twins.setdefault(text, reaction.id)
