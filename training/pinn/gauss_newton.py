"""Gauss-Newton for few hundred residuals: where a quasi-Newton method creeps, it ends in tens of iterations."""

import numpy as np


def minimise_squares(function, x, iterations, target=0.0, compare=None, report=None, damping=1e-3):
    """Minimise |r|^2, with Levenberg's damping, from `x`.

    Parameters
    ----------
    function : callable
        ndarray of shape (n,) -> (r of shape (m,), dr/dx of shape (m, n)).
    x : ndarray of shape (n,)
    target : float
        Root mean square of r at which to stop.
    compare : callable, optional
        x -> r in the norm of the last call of `function`, where that norm depends on x: a step is good if it makes r
        smaller in the norm from which it came (Deuflhard 2004, Newton Methods for Nonlinear Problems, sec. 2.1).
    report : callable, optional
        Called with (iteration, root mean square) after each.
    damping : float
        To begin with, over the mean square of a row of dr/dx.

    Returns
    -------
    x : ndarray
    r : ndarray
    rows : ndarray of shape (m, n)
        dr/dx there.
    """
    r, rows = function(x)
    stuck = 0
    for i in range(iterations):
        if not np.isfinite(rows).all() or _rms(r) <= target or stuck >= 5:
            break
        trial, before = x + _step(r, rows, damping), _rms(r)
        after = _rms((compare or (lambda x: function(x)[0]))(trial))
        stuck = 0 if after < 0.999 * before else stuck + 1
        if after < before:
            x, damping = trial, max(damping / 10, 1e-15)
            r, rows = function(x)
        else:
            damping = min(damping * 30, 1e3)
        if report:
            report(i, _rms(r))
    return x, r, rows


def _rms(r):
    return float(np.sqrt(np.mean(r**2))) if np.isfinite(r).all() else np.inf


def _step(r, rows, damping):
    """The damped step; by QR, as in the normal equations half of the digits are lost."""
    scale = np.sqrt(damping * np.mean(np.sum(rows**2, 1)))
    q, root = np.linalg.qr(np.concatenate([rows, scale * np.eye(rows.shape[1])]))
    return -np.linalg.solve(root, q[: len(r)].T @ r)
