"""Systems of elementary reactions with constant coefficients, and two that are in every stiff test set."""

from collections.abc import Sequence

import sympy as sp

from .expressions import number
from .system import System, Variable, symbol


def mass_action(
    name: str,
    species: Sequence[str],
    reactions: Sequence[tuple[str, float | str]],
    initial: dict[str, float],
    sample: tuple[float, float],
    references: tuple[str, ...] = (),
) -> System:
    """dy/dt from ``(equation, coefficient)`` pairs such as ``("A + B -> C", 0.5)``.

    Parameters
    ----------
    species : sequence of str
    initial : dict of str to float
        Initial values; the others start at zero.
    sample : tuple of float
        Typical range of every variable.
    """
    rhs, definitions = {s: sp.Integer(0) for s in species}, []
    for j, (equation, coefficient) in enumerate(reactions, 1):
        reactants, products = ([s for s in side.replace("+", " ").split()] for side in equation.split("->"))
        rate = sp.Symbol(f"r{j}", real=True)
        definitions.append((rate, number(coefficient) * sp.Mul(*(symbol(s) for s in reactants))))
        for s in reactants:
            rhs[s] -= rate
        for s in products:
            rhs[s] += rate
    variables = tuple(Variable(s, lower=0.0, floor=0.0, sample=sample, initial=initial.get(s, 0.0)) for s in species)
    return System(name, variables, tuple(rhs.values()), definitions=tuple(definitions), references=references)


def robertson():
    """Three reactions over nine decades of rates (Robertson 1966, in Walsh: Numerical Analysis, an Introduction)."""
    reactions = [("A -> B", 0.04), ("B + B -> B + C", 3e7), ("B + C -> A + C", 1e4)]
    return mass_action(
        "robertson",
        "ABC",
        reactions,
        {"A": 1.0},
        (1e-8, 1.0),
        ("Robertson 1966; Mazzia & Magherini, Test Set for IVP Solvers, problem ROBER",),
    )


_POLLU = """
NO2 -> NO + O3P : .35            | NO + O3 -> NO2 : 26.6          | HO2 + NO -> NO2 + OH : 12300
HCHO -> HO2 + HO2 + CO : .00086  | HCHO -> CO : .00082            | HCHO + OH -> HO2 + CO : 15000
ALD -> MEO2 + HO2 + CO : .00013  | ALD + OH -> C2O3 : 24000       | C2O3 + NO -> NO2 + MEO2 + CO2 : 16500
C2O3 + NO2 -> PAN : 9000         | PAN -> C2O3 + NO2 : .022       | MEO2 + NO -> CH3O + NO2 : 12000
CH3O -> HCHO + HO2 : 1.88        | NO2 + OH -> HNO3 : 16300       | O3P -> O3 : 4.8e6
O3 -> O1D : .00035               | O3 -> O3P : .0175              | O1D -> OH + OH : 1e8
O1D -> O3P : 4.44e11             | SO2 + OH -> SO4 + HO2 : 1240   | NO3 -> NO : 2.1
NO3 -> NO2 + O3P : 5.78          | NO2 + O3 -> NO3 : .0474        | NO3 + NO2 -> N2O5 : 1780
N2O5 -> NO3 + NO2 : 3.12
"""
_POLLU_SPECIES = ("NO2 NO O3P O3 HO2 OH HCHO CO ALD MEO2 C2O3 CO2 PAN CH3O HNO3 O1D SO2 SO4 NO3 N2O5").split()
_POLLU_INITIAL = {"NO": 0.2, "O3": 0.04, "HCHO": 0.1, "CO": 0.3, "ALD": 0.01, "SO2": 0.007}


def pollu():
    """Air pollution, 20 species and 25 reactions (Verwer 1994, SIAM J. Sci. Comput. 15, 1243; time in min)."""
    pairs = [item.rsplit(":", 1) for line in _POLLU.strip().splitlines() for item in line.split("|")]
    return mass_action(
        "pollu",
        _POLLU_SPECIES,
        [(e.strip(), k.strip()) for e, k in pairs],
        _POLLU_INITIAL,
        (1e-8, 1.0),
        ("Verwer 1994; Mazzia & Magherini, Test Set for IVP Solvers, problem POLLU",),
    )
