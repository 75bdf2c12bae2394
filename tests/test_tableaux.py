"""The Rosenbrock methods of tableau.h satisfy the conditions of their order, and nearly all of it at infinity."""

import re
from pathlib import Path

import numpy as np
import pytest

TEXT = (Path(__file__).resolve().parent.parent / "bindings" / "kernel" / "tableau.h").read_text()
METHODS = re.findall(r"static const tableau (\w+) = ({.*?\n});", TEXT, re.S)


def _numbers(text):
    """An initialiser of C as nested lists."""
    return eval(re.sub(r"/\*.*?\*/", "", text, flags=re.S).replace("{", "[").replace("}", "]"))


def read(text):
    """(order, A, B, alpha, delta, weights, weights of the embedded one) in Hairer & Wanner's untransformed notation."""
    fields = dict(re.findall(r"\.(\w+) = (.*?)(?=,\s*\.\w+ =|,?\s*}$)", text.strip(), re.S))
    gamma, n = float(_numbers(fields["gamma"])), int(fields["stages"])

    def square(name):
        rows = np.zeros((n, n))
        for i, row in enumerate(_numbers(fields[name])):
            rows[i, : min(len(row), i)] = row[:i]
        return rows

    def padded(name):
        values = _numbers(fields[name])
        return np.array(values + [0.0] * (n - len(values)))

    inverse = np.eye(n) / gamma - square("c")
    lower = np.linalg.inv(inverse)
    a = square("a") @ lower
    last = np.eye(n)[-1]
    weights = (square("a")[-1] + last) @ lower
    return int(fields["order"]), a, a + lower, padded("alpha"), padded("delta"), weights, square("a")[-1] @ lower


@pytest.mark.parametrize(("name", "text"), METHODS)
def test_conditions_of_order_three(name, text):
    order, a, beta, alpha, delta, b, embedded = read(text)
    np.testing.assert_allclose(a.sum(1), alpha, atol=1e-12)
    np.testing.assert_allclose((beta - a).sum(1), delta, atol=1e-12)

    def residuals(w, p):
        conditions = [w.sum() - 1, w @ beta.sum(1) - 1 / 2, w @ alpha**2 - 1 / 3, w @ beta @ beta.sum(1) - 1 / 6]
        return np.abs(conditions[: (1, 2, 4)[p - 1]])

    assert residuals(b, 3).max() < 1e-12
    assert residuals(embedded, min(order - 1, 3)).max() < 1e-12


@pytest.mark.parametrize(("name", "text"), METHODS)
def test_both_solutions_vanish_at_infinity(name, text):
    """R(infinity) = 1 - b B^-1 1 is 0 for the method and for what it is compared with."""
    _, _, beta, _, _, b, embedded = read(text)
    for weights in (b, embedded):
        assert abs(1 - weights @ np.linalg.solve(beta, np.ones(len(b)))) < 1e-10


def test_there_are_two_methods_and_one_looks_inside():
    assert [name for name, _ in METHODS] == ["RODAS5P", "RODAS3_MIDDLE"]
    assert all(((alpha > 0.3) & (alpha < 0.7)).any() for _, _, _, alpha, *_ in (read(text) for _, text in METHODS))
