"""A quasi-Newton method with self-scaling: the last digits of a physics-informed fit.

Self-scaled Broyden update of the inverse Hessian (Al-Baali 1998, Comput. Optim. Appl. 9, 191; for such fits Urban,
Stefanou & Pons 2025, J. Comput. Phys. 523, 113656).
"""

import warnings

import numpy as np
from scipy.optimize import line_search


def minimise(function, x, iterations, target=0.0, report=None):
    """Minimise from `x` until `iterations` are done, the value is below `target`, or no step lowers it any more.

    Parameters
    ----------
    function : callable
        ndarray of shape (n,) -> (value, gradient of shape (n,)).
    x : ndarray of shape (n,)
        n in the hundreds or few thousands: an n x n matrix is kept.
    report : callable, optional
        Called with (iteration, value) after each.

    Returns
    -------
    x : ndarray
    value : float
    """
    cache = {}

    def call(point):
        key = point.tobytes()
        if key not in cache:
            cache.clear()
            cache[key] = function(point)
        return cache[key]

    value, g = call(x)
    inverse, fresh, previous, failed = _first(g), True, None, 0
    for i in range(iterations):
        if value <= target:
            break
        direction = -inverse @ g
        if direction @ g >= 0:  # round-off has made it indefinite
            inverse, fresh = _first(g), True
            direction = -inverse @ g
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step = line_search(
                lambda p: call(p)[0], lambda p: call(p)[1], x, direction, g, value, previous, maxiter=30
            )[0]
        if step is None:
            failed = failed + 1 if fresh else 0
            if failed > 6:
                break
            inverse, fresh = _first(g) * 1e-3**failed, True
            continue
        failed, s = 0, step * direction
        new_value, new_g = call(x + s)
        y = new_g - g
        if y @ s > 0:
            inverse = _update(inverse, s, y, step, g, fresh)
            fresh = False
        previous, x, value, g = value, x + s, new_value, new_g
        if report:
            report(i, value)
    return x, value


def _first(g):
    """A step of length 1 at most, as the line search shortens it about a thousandfold and no more."""
    return np.eye(len(g)) / max(1.0, np.sqrt(g @ g))


def _update(inverse, s, y, step, g, fresh):
    """Inverse Hessian after a step `s` = -step inverse g that changed the gradient by `y`."""
    ys = y @ s
    if fresh:
        inverse = inverse * (ys / (y @ y))
        b = (s @ s) * (y @ y) / ys**2
    else:
        b = -step * (s @ g) / ys
    hy = inverse @ y
    h = (y @ hy) / ys
    a = max(h * b - 1, 1e-300)
    c = np.sqrt(a / (a + 1))
    low = min(1.0, h * (1 - c))
    theta = max((low - 1) / a, min(1 / low, (1 - b) / b))
    sigma = 1 + theta * a
    power = sigma ** (1 / (1 - len(s)))
    high = min(1.0, 1 / b)
    tau = min(high * power, sigma) if theta <= 0 else high * min(power, 1 / theta)
    phi = (1 - theta) / sigma
    v = s / ys - hy / (h * ys)
    return (inverse - np.outer(hy, hy) / (h * ys) + phi * h * ys * np.outer(v, v)) / tau + np.outer(s, s) / ys
