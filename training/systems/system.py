"""The one description of an ODE system that everything else is derived from."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np
import sympy as sp

from .checks import check_system
from .expressions import where_lt
from .reactions import Reaction
from .tables import Table

#: fractions of the total density below this are all alike to a net
FRACTION_FLOOR = 1e-12
#: a cell has not changed if only species below this fraction of the total density have
MAJOR_FRACTION = 1e-3
#: decades below the lower end of its range from which on a parameter counts as absent to a net
ABSENT_DECADES = 6.0


@dataclass(frozen=True)
class Variable:
    """One component of the state.

    Attributes
    ----------
    name, unit : str
    lower, upper : float
        Inclusive range of a meaningful input; a cell outside is flagged and left untouched.
    floor : float
        The solver never returns less: 0 for densities, -inf for signed variables.
    scale : float, "total" or "range", optional
        What the absolute tolerance is a fraction of: a typical magnitude; "total", the sum at the start over all
        variables of this unit that say so; "range", the largest magnitude that this variable has had since the start.
        By default "total" where `floor` is 0 and "range" elsewhere, so that the units make no difference.
    sample : tuple of float
        Typical range, for tests and default sampling; logarithmic where its lower end is positive.
    initial : float
        Default initial value.
    role : {"other", "species", "temperature"}
    mass, n_hydrogen : float, int
        Particle mass [g] and H nuclei per particle, for species.
    """

    name: str
    unit: str = ""
    lower: float = -np.inf
    upper: float = np.inf
    floor: float = -np.inf
    scale: float | str | None = None
    sample: tuple[float, float] = (0.0, 1.0)
    initial: float = 0.0
    role: str = "other"
    mass: float = 0.0
    n_hydrogen: int = 0

    def __post_init__(self):
        if self.scale is None:
            object.__setattr__(self, "scale", "total" if self.floor == 0 else "range")
        elif isinstance(self.scale, str) and self.scale not in ("total", "range"):
            raise ValueError(f"{self.name}: scale is {self.scale!r}: give a number, 'total' or 'range'")
        elif not isinstance(self.scale, str) and not 0 <= self.scale < np.inf:
            raise ValueError(f"{self.name}: scale is {self.scale}: give a finite number, not negative")
        if self.role == "species" and not 0 < self.mass < np.inf:
            raise ValueError(
                f"{self.name} is a species of mass {self.mass} g: give the mass of a particle, or role='other'"
            )


@dataclass(frozen=True)
class Parameter:
    """A quantity that a host may set per cell; `value` where it does not. The name ``t`` is the start time."""

    name: str
    unit: str = ""
    value: float = 0.0
    lower: float = -np.inf
    upper: float = np.inf


def symbol(name: str) -> sp.Symbol:
    """The SymPy symbol of a variable, parameter or definition (``e-``, ``CH2(S)`` and the like become identifiers)."""
    for old, new in (("++", "pp"), ("+", "p"), ("-", "m")):
        name = name.replace(old, new)
    name = re.sub(r"[()\[\]*',.:#=]", "_", name)
    return sp.Symbol(f"_{name}" if name[:1].isdigit() else name, real=True)


@dataclass(frozen=True, eq=False)
class System:
    """dy/dt = f(t, y; parameters).

    Attributes
    ----------
    name : str
    variables, parameters : tuple
    rhs : tuple of sympy.Expr
        One per variable, in the symbols of variables, parameters, ``t`` and `definitions`. For reactions a sum of
        ``stoichiometric coefficient * rate``: production, loss and conservation laws are read off these terms.
    definitions : tuple of (sympy.Symbol, sympy.Expr)
        Intermediate quantities, each in terms of earlier ones.
    tables : dict of str to Table
    declared : dict of str to tuple of float
        Conservation laws known from the physics (elements, charge); checked against the null space.
    constants : dict
        ``gamma``, ``k_boltzmann`` [erg/K], ``mass_hydrogen`` [g] for thermal conversions, where meaningful.
    dt_range : tuple of float
        Meaningful time steps, in the system's unit of time.
    references : tuple of str
    reactions : tuple of Reaction
        What the right-hand sides were made of, if of reactions: form and constants of rates, stoichiometry. No result
        depends on it.
    weights : tuple of float
        What the terms of each right-hand side are multiples of: molar masses, where the variables are mass fractions.
        Laws are sought in whole numbers of what is left. By default 1.
    """

    name: str
    variables: tuple[Variable, ...]
    rhs: tuple[sp.Expr, ...]
    parameters: tuple[Parameter, ...] = ()
    definitions: tuple[tuple[sp.Symbol, sp.Expr], ...] = ()
    tables: dict[str, Table] = field(default_factory=dict)
    declared: dict[str, tuple[float, ...]] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)
    dt_range: tuple[float, float] = (0.0, np.inf)
    references: tuple[str, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self):
        if len(self.rhs) != len(self.variables):
            raise ValueError(f"{self.name}: {len(self.rhs)} right-hand sides for {len(self.variables)} variables")
        known = {*self.symbols, *self.parameter_symbols}
        for name, expr in (*self.definitions, *((v.name, f) for v, f in zip(self.variables, self.rhs))):
            unknown = sp.sympify(expr).free_symbols - known
            if unknown:
                raise ValueError(f"{self.name}: {name} uses {sorted(map(str, unknown))}, defined nowhere before it")
            if isinstance(name, sp.Symbol):
                known.add(name)
        check_system(self)

    @property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """Symbols of the variables."""
        return tuple(symbol(v.name) for v in self.variables)

    @property
    def parameter_symbols(self) -> tuple[sp.Symbol, ...]:
        """Symbols of the parameters."""
        return tuple(symbol(p.name) for p in self.parameters)

    @property
    def time(self) -> sp.Symbol | None:
        """Symbol of the explicit time, or None."""
        return next((s for s in self.parameter_symbols if s.name == "t"), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables."""
        return tuple(v.name for v in self.variables)

    @property
    def initial(self) -> np.ndarray:
        """Default initial state, ndarray of shape (n_vars,)."""
        return np.array([v.initial for v in self.variables])

    @property
    def parameter_values(self) -> np.ndarray:
        """Default parameters, ndarray of shape (n_params,)."""
        return np.array([p.value for p in self.parameters])

    @property
    def total_units(self) -> list[str]:
        """Units of the variables whose scale is "total": each has a total of its own."""
        return list(dict.fromkeys(v.unit for v in self.variables if v.scale == "total"))

    def sample(self, n: int, seed: int) -> np.ndarray:
        """Random states over the typical ranges, ndarray of shape (n, n_vars)."""
        u = np.random.default_rng(seed).random((n, len(self.variables)))
        lower, upper = np.array([v.sample for v in self.variables], float).T
        log = lower > 0
        safe = np.where(log, lower, 1.0)
        return np.where(log, safe * (np.where(log, upper, 1.0) / safe) ** u, lower + (upper - lower) * u)

    @cached_property
    def terms(self) -> tuple[dict[sp.Expr, sp.Expr], ...]:
        """rhs as {term: coefficient} per variable; one column of the stoichiometric matrix per distinct term."""
        result = []
        for expr in self.rhs:
            terms = {}
            for term in sp.Add.make_args(sp.expand(expr)):
                coeff, rest = term.as_coeff_Mul()
                terms[rest] = terms.get(rest, 0) + coeff
            result.append({term: c for term, c in terms.items() if c != 0})
        return tuple(result)

    @property
    def production(self) -> tuple[sp.Expr, ...]:
        """Terms that increase each variable (all rates are taken positive)."""
        return tuple(sp.Add(*(c * t for t, c in row.items() if c > 0)) for row in self.terms)

    @property
    def loss(self) -> tuple[sp.Expr, ...]:
        """Terms that decrease each variable, as a positive quantity: rhs = production - loss."""
        return tuple(sp.Add(*(-c * t for t, c in row.items() if c < 0)) for row in self.terms)

    @cached_property
    def conserved(self) -> dict[str, tuple[float, ...]]:
        """Conservation laws, linear, {name: weights}: sum(weights * y) is constant.

        They span the left null space of the stoichiometric matrix of `terms`; declared laws (elements, charge)
        come first under their names and raise ValueError if the equations violate them.
        """
        columns = sorted({t for row in self.terms for t in row}, key=sp.default_sort_key)
        index = {t: j for j, t in enumerate(columns)}
        matrix = sp.zeros(len(self.terms), max(len(columns), 1))
        scale = self.weights or (1,) * len(self.terms)
        for i, row in enumerate(self.terms):
            for term, c in row.items():
                matrix[i, index[term]] = _multiple(c, scale[i]) if self.weights else sp.nsimplify(c, rational=True)
        laws, rows = {}, sp.zeros(0, len(self.terms))
        for name, weights in self.declared.items():
            row = sp.Matrix(
                [[_multiple(w, 1 / s) if self.weights else sp.nsimplify(w) for w, s in zip(weights, scale)]]
            )
            if any(x != 0 for x in row * matrix):
                raise ValueError(f"{self.name}: the equations do not conserve {name}")
            if any(row) and rows.col_join(row).rank() > rows.rank():
                laws[name], rows = tuple(map(float, weights)), rows.col_join(row)
        for vector in matrix.T.nullspace():
            row = vector.T * sp.ilcm(1, *(x.q for x in vector))
            if rows.col_join(row).rank() > rows.rank():
                laws[f"invariant_{len(laws)}"] = tuple(float(x) / s for x, s in zip(row, scale))
                rows = rows.col_join(row)
        return laws

    @property
    def restored_laws(self) -> list[tuple[float, ...]]:
        """Rows of `conserved` over densities alone: what the solver and the net can restore by scaling components."""
        return [w for w in self.conserved.values() if all(x == 0 or v.floor == 0 for x, v in zip(w, self.variables))]

    @cached_property
    def derived(self) -> Derived:
        """Derivatives by the chain rule through `definitions`; see `Derived`."""
        return Derived(self)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over everything that changes a result; numbers as the doubles that they become, for versions of SymPy
        differ in the digits beyond."""
        return self._digest("\n".join(_canonical(e) for e in (*self.rhs, *(e for _, e in self.definitions))))

    def has_hash(self, digest: str | None) -> bool:
        """Whether a file's hash is of this system: `hash`, or the one before it, of this version of SymPy alone."""
        former = sp.srepr((tuple(self.rhs), tuple(e for _, e in self.definitions)))
        return digest in (self.hash, self._digest(former))

    def _digest(self, equations):
        text = repr((self.name, self.variables, self.parameters, self.dt_range)) + equations
        text += "".join(repr((k, t.lower, t.width, t.coeffs.tolist())) for k, t in sorted(self.tables.items()))
        return hashlib.sha256(text.encode()).hexdigest()


def _multiple(value, unit):
    """`value` in units of `unit`, as the number of few digits that it is meant to be."""
    return sp.Rational(Fraction(float(value) / float(unit)).limit_denominator(10**6))


def _canonical(expr):
    """Text of an expression: constants as doubles, terms and factors in the order of their texts."""
    if expr.is_Float:
        return repr(float(expr))
    if not expr.args:
        return str(expr)
    arguments = [_canonical(argument) for argument in expr.args]
    if expr.is_Add or expr.is_Mul:
        arguments.sort()
    return f"{type(expr).__name__}({', '.join(arguments)})"


class Derived:
    """What code generation needs: every quantity as an assignment, plus the outputs in terms of them.

    Attributes
    ----------
    assignments : dict of Symbol to Expr
        `System.definitions` and the derivatives of each by the variables (and time) it depends on.
    jacobian : dict of (int, int) to Expr
        Structurally non-zero df_i/dy_j, row by row.
    time_derivative : tuple of Expr
        Partial df_i/dt.
    """

    def __init__(self, system):
        self.assignments, self._chain = dict(system.definitions), {}
        wrt = (*system.symbols, *((system.time,) if system.time else ()))
        for name, expr in system.definitions:
            for v, d in self._totals(expr, wrt):
                if not (d.is_Number or d.is_Symbol):
                    symbol_d = sp.Symbol(f"d_{name.name}_d_{v.name}", real=True)
                    self.assignments[symbol_d], d = d, symbol_d
                self._chain[name, v] = d
        self.jacobian, column = {}, {s: j for j, s in enumerate(system.symbols)}
        time = dict.fromkeys(range(len(system.rhs)), sp.Integer(0))
        for i, expr in enumerate(system.rhs):
            for v, d in self._totals(expr, wrt):
                if v == system.time:
                    time[i] = d
                else:
                    self.jacobian[i, column[v]] = d
        self.time_derivative = tuple(time.values())

    def _totals(self, expr, wrt):
        """d expr / d v for each v where it is not zero, through the symbols of earlier definitions."""
        partial = {}
        for s in sorted(expr.free_symbols, key=lambda s: s.name):
            if s in wrt or any((s, v) in self._chain for v in wrt):
                partial[s] = expr.diff(s)
        for v in wrt:
            inner = [(d, sp.Integer(1) if s == v else self._chain.get((s, v))) for s, d in partial.items()]
            total = sp.Add(*(_chain(d, x) for d, x in inner if x is not None))
            if total != 0:
                yield v, total


def _chain(outer, inner):
    """Product of two derivatives, taken inside a selection: a branch not taken may be infinite."""
    if isinstance(outer, where_lt):
        x, y, a, b = outer.args
        return type(outer)(x, y, _chain(a, inner), _chain(b, inner))
    for factor in sp.Mul.make_args(outer):
        if isinstance(factor, where_lt) and outer != factor:
            return _chain(factor, outer / factor * inner)
    return outer * inner
