"""A perceptron integrated step by step, compiled: what torch would need a second for takes milliseconds."""

import numba
import numpy as np

from .solvers import EXPLICIT, ROSENBROCK

jit = numba.njit(cache=True, error_model="numpy")


def rollout(parts, method, x, h, n, every=1):
    """States at 0, every h, 2 every h ..., ndarray of shape (n // every + 1, 5).

    Parameters
    ----------
    parts : tuple
        `Net.compiled`.
    method : str
        Of `solvers`.
    x : array_like of shape (5,)
    h : float
    n : int
        Steps.
    every : int
        Steps between the states that are returned. After a state that is not finite, or above 1e6, come NaN.
    """
    x = np.array(x, float)
    if method in EXPLICIT:
        a, b = EXPLICIT[method]
        return _explicit(*parts, _square(a), np.array(b), x, h, n, every)
    gamma, a, c = ROSENBROCK[method]
    return _rosenbrock(*parts, gamma, _square(a), _square(c), x, h, n, every)


def _square(rows):
    square = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        square[i, : len(row)] = row
    return square


@jit
def slopes(matrices, biases, layer_norm, drift, x):
    """dx/dt, ndarray of shape (5,)."""
    a = x
    last = len(matrices) - 1
    for k in range(last + 1):
        a = np.dot(matrices[k], a) + biases[k]
        if k < last:
            if layer_norm:
                a = (a - a.mean()) / np.sqrt(a.var() + 1e-5)
            a = np.tanh(a)
    out = np.empty(5)
    out[:4] = a
    out[4] = drift
    return out


@jit
def jacobian(matrices, biases, layer_norm, drift, x):
    """d slopes/dx, ndarray of shape (5, 5)."""
    a, d = x, np.eye(5)
    last = len(matrices) - 1
    for k in range(last + 1):
        a = np.dot(matrices[k], a) + biases[k]
        d = np.dot(matrices[k], d)
        if k < last:
            if layer_norm:
                deviation = np.sqrt(a.var() + 1e-5)
                a = (a - a.mean()) / deviation
                for j in range(5):
                    column = d[:, j].copy()
                    d[:, j] = (column - column.mean() - a * np.mean(a * column)) / deviation
            a = np.tanh(a)
            d = d * (1 - a**2).reshape(-1, 1)
    out = np.zeros((5, 5))
    out[:4] = d
    return out


@jit
def _is_lost(x):
    for value in x:
        if not abs(value) < 1e6:
            return True
    return False


@jit
def _explicit(matrices, biases, layer_norm, drift, a, b, x, h, n, every):
    out = np.full((n // every + 1, 5), np.nan)
    out[0] = x
    stages = np.empty((len(b), 5))
    for i in range(1, n + 1):
        for k in range(len(b)):
            y = x.copy()
            for j in range(k):
                y += h * a[k, j] * stages[j]
            stages[k] = slopes(matrices, biases, layer_norm, drift, y)
        for j in range(len(b)):
            x = x + h * b[j] * stages[j]
        if _is_lost(x):
            break
        if i % every == 0:
            out[i // every] = x
    return out


@jit
def _rosenbrock(matrices, biases, layer_norm, drift, gamma, a, c, x, h, n, every):
    out = np.full((n // every + 1, 5), np.nan)
    out[0] = x
    last = len(a) - 1
    stages = np.empty((last + 1, 5))
    for i in range(1, n + 1):
        inverse = np.linalg.inv(np.eye(5) / (h * gamma) - jacobian(matrices, biases, layer_norm, drift, x))
        for k in range(last + 1):
            y, right = x.copy(), np.zeros(5)
            for j in range(k):
                y += a[k, j] * stages[j]
                right += c[k, j] / h * stages[j]
            stages[k] = np.dot(inverse, right + slopes(matrices, biases, layer_norm, drift, y))
        x = x + stages[last]
        for j in range(last):
            x = x + a[last, j] * stages[j]
        if _is_lost(x):
            break
        if i % every == 0:
            out[i // every] = x
    return out
