"""Rates and other arithmetic as text, read into the lowered form of `expressions`."""

import ast
import operator

import sympy as sp

from .expressions import MOST_TEXT, bounded, number, times, where_le, where_lt
from .functions import FUNCTIONS

_COMPARE = {ast.Lt: (where_lt, False), ast.LtE: (where_le, False), ast.Gt: (where_lt, True), ast.GtE: (where_le, True)}


class Parser:
    """Arithmetic in Python syntax -> lowered expressions, without evaluating any code.

    Parameters
    ----------
    names : dict of str to sympy.Expr
        What the text may refer to.
    lowering : Lowering
    functions : dict, optional
        Further functions beside `functions.FUNCTIONS`, e.g. interpolated tables.
    """

    def __init__(self, names, lowering, functions=None):
        self.names, self.low = dict(names), lowering
        self.functions = {name: make(lowering) for name, make in FUNCTIONS.items()} | (functions or {})

    def __call__(self, text):
        """Parse one expression; raises ValueError naming the text and the unknown part."""
        return self._read(text, lambda: self.low.nest(self._visit(ast.parse(self.text.strip(), mode="eval").body)))

    def _read(self, text, read):
        """What `read` makes of `text`, of which anything may be wrong."""
        self.text = str(text)
        if len(self.text) > MOST_TEXT:
            raise ValueError(f"{self.text[:40]!r}... has {len(self.text)} characters, more than {MOST_TEXT}")
        try:
            return read()
        except (ValueError, TypeError, ArithmeticError, SyntaxError, RecursionError, MemoryError) as error:
            reason = "it is nested too deep" if isinstance(error, (RecursionError, MemoryError)) else error
            raise ValueError(f"{str(text)[:200]!r}: {reason}") from error

    def pieces(self, pieces, default=0):
        """``[{when, expr}, ...]``: the first true branch applies, otherwise `default`."""
        value, conditions = sp.Integer(default), [self._conditions(piece["when"]) for piece in pieces]
        for i in reversed(range(len(pieces))):
            self.low.range = self._range(conditions[i])
            branch = self(pieces[i]["expr"])
            self.low.range = (None, None)
            if i and len(conditions[i]) == 1 and self._negated(conditions[i]) == conditions[i - 1]:
                conditions[i] = []
            for kind, x, y in reversed(conditions[i]):
                branch = self.low.select(kind, x, y, branch, value)
            value = branch
        return value

    @staticmethod
    def _negated(conditions):
        kind, x, y = conditions[0]
        return [(where_le if kind is where_lt else where_lt, y, x)]

    def _conditions(self, text):
        """``(a < b) & (c >= d)`` as [(where, x, y)]; conditions that hold everywhere in the basis range vanish."""
        return self._read(text, self._read_conditions)

    def _read_conditions(self):
        nodes, conditions = [ast.parse(self.text.strip(), mode="eval").body], []
        while nodes:
            node = nodes.pop(0)
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
                nodes += [node.left, node.right]
            elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
                kind, swap = _COMPARE[type(node.ops[0])]
                x, y = self._visit(node.left), self._visit(node.comparators[0])
                conditions.append((kind, *((y, x) if swap else (x, y))))
            else:
                raise ValueError("only comparisons joined by & are understood in a condition")
        b = self.low.basis
        return [
            c
            for c in conditions
            if not (b and c[2] == b.x and c[1].is_Number and c[1] < b.lower)
            and not (b and c[1] == b.x and c[2].is_Number and c[2] > b.upper)
        ]

    def _range(self, conditions):
        lower = upper = None
        for _, x, y in conditions:
            if self.low.basis and x == self.low.basis.x and y.is_Number:
                upper = float(y)
            if self.low.basis and y == self.low.basis.x and x.is_Number:
                lower = float(x)
        return lower, upper

    def _visit(self, node):
        return bounded(self._build(node))

    def _build(self, node):
        low = self.low
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return (
                number(ast.get_source_segment(self.text.strip(), node) or node.value)
                if isinstance(node.value, float)
                else sp.Integer(node.value)
            )
        if isinstance(node, ast.Name):
            if node.id not in self.names:
                raise ValueError(f"unknown name {node.id!r}; known: {', '.join(sorted(self.names))}")
            return self.names[node.id]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            value = self._visit(node.operand)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.functions:
            arguments = [self._visit(arg) for arg in node.args]
            try:
                return self.functions[node.func.id](*arguments)
            except TypeError as error:  # too many or too few, of a function that goes by another name inside
                raise ValueError(f"{node.func.id}() {str(error).partition('() ')[2] or error}") from error
        if isinstance(node, ast.BinOp):
            a, b = self._visit(node.left), self._visit(node.right)
            if isinstance(node.op, ast.Pow):
                return low.power(a, b)
            if isinstance(node.op, ast.Mult):
                return times(a, b)
            if isinstance(node.op, ast.Div):
                return times(a, low.power(b, sp.Integer(-1)))
            simple = {ast.Add: operator.add, ast.Sub: operator.sub}.get(type(node.op))
            if simple:
                return simple(a, b)
        raise ValueError(f"cannot read {ast.unparse(node)[:200]!r}; use + - * / **, names and functions")
