"""From expressions to an ordered list of assignments, shared by all targets."""

import math

import sympy as sp

from ..systems.expressions import Opaque, fexp, flog, fsqrt, table, where_le, where_lt


class Program:
    """Assignments that compute some outputs of a system, in an order in which each uses only earlier ones.

    Attributes
    ----------
    assignments : list of (str, sympy.Expr)
    outputs : list of sympy.Expr
        One per requested output: symbols or numbers or short expressions.
    """

    def __init__(self, system, outputs):
        known, used, stack = dict(system.definitions), {}, list(outputs)
        given = {*system.symbols, *system.parameter_symbols}
        if any(s not in known and s not in given for output in outputs for s in output.free_symbols):
            known = dict(system.derived.assignments)  # derivatives, which take their time, are wanted
        while stack:  # drop what the outputs do not need
            for s in sorted(stack.pop().free_symbols, key=lambda s: s.name):
                if s in known and s not in used:
                    used[s] = known[s]
                    stack.append(known[s])
        symbols = sp.numbered_symbols("common", real=True)
        common, reduced = sp.cse([*used.values(), *outputs], symbols=symbols, order="none")
        everything = {**dict(zip(used, reduced)), **dict(common)}
        self.outputs = reduced[len(used) :]
        self.assignments, done = [], set()
        for output in self.outputs:
            self._emit(output, everything, done)

    def _emit(self, expr, everything, done):
        stack = [(s, False) for s in self._needs(expr, everything)]
        while stack:
            s, ready = stack.pop()
            if s in done:
                continue
            if ready:
                done.add(s)
                self.assignments.append((s.name, everything[s]))
            else:
                stack.append((s, True))
                stack += [(t, False) for t in self._needs(everything[s], everything) if t not in done]

    @staticmethod
    def _needs(expr, everything):
        return sorted((s for s in expr.free_symbols if s in everything), key=lambda s: s.name)


def literal(value):
    """Text of a number in double precision, in C and Python."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"the constant {str(value)[:50]} is beyond double precision")
    return repr(number)


class Printer:
    """Prints an expression; a target fills in the vocabulary.

    Subclasses define `call`, a dict of format strings for ``exp log sqrt sin cos min max where_lt where_le table``,
    `constant`, and `language`, the key of the text that a function brings along (`expressions.Opaque`).
    """

    call: dict
    language: str

    def __init__(self, rename=None):
        self.rename = rename or {}

    def name(self, name):
        """Identifier of a symbol; the underscore keeps clear of keywords, functions and arguments."""
        return self.rename.get(name, f"{name}_")

    def constant(self, value):
        """A number."""
        return literal(value)

    def __call__(self, e):
        """Source text of `e`."""
        if e.is_Symbol:
            return self.name(e.name)
        if e.is_Number:
            return self.constant(e)
        if e.is_Add:
            return self._sum(e)
        if e.is_Mul:
            return self._product(e)
        if e.is_Pow:
            return self._power(e)
        if isinstance(e, where_lt):
            return self._where(e)
        if isinstance(e, table):
            name, order, x = e.args
            return self.call["table"].format(name=name, order=int(order), x=self(x))
        for kind, name in ((fexp, "exp"), (flog, "log"), (fsqrt, "sqrt"), (sp.sin, "sin"), (sp.cos, "cos")):
            if isinstance(e, kind):
                return self.call[name].format(self(e.args[0]))
        if isinstance(e, Opaque) and self.language in e.code:
            return f"({e.code[self.language].format(*map(self, e.args))})"
        raise ValueError(f"no code for {type(e).__name__} in {e}")

    def _sum(self, e):
        positive, negative = [], []
        for term in e.as_ordered_terms() if len(e.args) < 6 else e.args:
            (negative if term.could_extract_minus_sign() else positive).append(term)
        text = " + ".join(self(t) for t in positive)
        for t in negative:
            text += f" - {self(-t)}"
        return f"({text.strip()})"

    def _product(self, e):
        if e.args[0] == -1:
            return f"(-{self(-e)})"
        above = [f for f in e.args if not (f.is_Pow and f.exp.is_Integer and f.exp < 0)]
        below = [1 / f for f in e.args if f.is_Pow and f.exp.is_Integer and f.exp < 0]
        text = "*".join(self(f) for f in above) if above else self.constant(1)
        return f"({text}/({'*'.join(self(f) for f in below)}))" if below else f"({text})"

    def _power(self, e):
        base, n = e.args
        if n == sp.Rational(1, 2):
            return self.call["sqrt"].format(self(base))
        if not n.is_Integer:
            raise ValueError(f"power {e} was not lowered")
        if n < 0:
            return f"({self.constant(1)}/{self(base**-n)})"
        half = self.call["square"].format(self(base ** (n // 2)) if n > 3 else self(base))
        return half if n in (2,) else f"({half}*{self(base)})" if n % 2 else half

    def _where(self, e):
        x, y, a, b = e.args
        kind = "where_le" if isinstance(e, where_le) else "where_lt"
        if (x, y) == (a, b):
            kind = "min"
        elif (x, y) == (b, a):
            kind = "max"
        return self.call[kind].format(*map(self, (x, y, a, b)))
