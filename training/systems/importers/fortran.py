"""Fortran expressions as those of our own files."""

import ast
import re
from collections.abc import Callable

#: double-precision names of functions, and those that are ours by another name
FUNCTIONS = {
    "dexp": "exp",
    "dlog": "log",
    "dlog10": "log10",
    "dsqrt": "sqrt",
    "dabs": "abs",
    "dmin1": "min",
    "dmax1": "max",
}
FUNCTIONS |= {"amin1": "min", "amax1": "max", "dble": "", "real": "", "alog": "log", "alog10": "log10"}
OPERATORS = {".lt.": "<", ".le.": "<=", ".gt.": ">", ".ge.": ">=", ".and.": "&", "&&": "&"}
_NUMBER = re.compile(r"(?<![\w.])(\d+\.?\d*|\.\d+)(?:[de]([+-]?\d+))?(?:_\w+)?", re.IGNORECASE)
_BARE_SIGN = re.compile(r"\*\*\s*[-+]\s*(?:[\w.]+(?:e[+-]?\d+)?)\s*(?:/|\*(?!\*))")


def expression(text: str, refuse: Callable[[str], ValueError]) -> str:
    """Text of an expression in our syntax: in small letters, with doubles, and with the same value.

    Parameters
    ----------
    text : str
    refuse : callable
        Makes the error from a reason.

    Raises
    ------
    ValueError
        Where Fortran would mean something else: whole numbers that are divided, a sign behind ``**`` before a product.
    """
    text = text.strip().lower()
    for old, new in OPERATORS.items():
        text = text.replace(old, f" {new} ")
    text = _NUMBER.sub(_number, text)
    text = re.sub(r"\b(" + "|".join(FUNCTIONS) + r")\s*\(", lambda m: f"{FUNCTIONS[m[1]]}(", text)
    if _BARE_SIGN.search(text):
        raise refuse("a sign behind ** before a product: compilers differ, write brackets")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise refuse("this is no expression") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and _is_whole(node.left) and _is_whole(node.right):
            if isinstance(node.op, ast.Div):
                raise refuse(f"Fortran divides the whole numbers {ast.unparse(node)} to a whole number: write 2.0/3.0")
            if isinstance(node.op, ast.Pow) and isinstance(node.right, ast.UnaryOp):
                raise refuse(f"Fortran raises whole numbers to whole numbers, {ast.unparse(node)} is 0: write 10.0")
    return text.strip()


def names_in(text: str) -> set[str]:
    """Names that an expression of ours refers to, functions included."""
    return {node.id for node in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(node, ast.Name)}


def _number(found):
    mantissa, power = found[1], found[2]
    if power is not None:
        return f"{mantissa}e{power}" if mantissa != "." else found[0]
    return mantissa


def _is_whole(node):
    if isinstance(node, ast.UnaryOp):
        return _is_whole(node.operand)
    if isinstance(node, ast.BinOp):
        return _is_whole(node.left) and _is_whole(node.right)
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def split_arguments(text: str) -> list[str]:
    """What commas separate outside brackets."""
    parts, depth, start = [], 0, 0
    for k, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(text[start:k])
            start = k + 1
    return [*parts, text[start:]]
