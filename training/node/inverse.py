"""The inverse problem: the three conductances from one noisy window, and how far to trust them.

Maximum likelihood through the solver: the noise is an Ornstein-Uhlenbeck process, so the differences
e_k - (1 - theta dt) e_{k-1} of the deviations are independent, and Gauss-Newton on their squares is all there is to do.
Its curvature predicts the spread; windows with other noise show it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from .data import DT, THETA, compiled_equations

#: of sodium, potassium and the leak [mS/cm^2], and their reversal potentials [mV]
CONDUCTANCES, REVERSAL = np.array([120.0, 36.0, 0.3]), np.array([50.0, -77.0, -54.387])


@dataclass(frozen=True)
class Estimate:
    """Conductances, what the curvature of the likelihood says about their spread (shape (3,)), and the iterations."""

    g: np.ndarray
    spread: np.ndarray
    iterations: int


def infer_conductances(window, guess, iterations=30):
    """Conductances from a noisy window.

    Parameters
    ----------
    window : Window
    guess : array_like of shape (3,)
        To start from; the unknowns are the logarithms.

    Returns
    -------
    Estimate
    """
    log_g, scale = np.log(np.asarray(guess, float)), window.scale

    def whitened(p):
        off = (solve_with(np.exp(p), window) - window.z) / scale
        return (off[1:] - (1 - THETA * DT) * off[:-1]).ravel()

    r, damping = whitened(log_g), 1e-3
    for tries in range(1, iterations + 1):
        jacobian = np.stack([(whitened(log_g + 1e-5 * e) - r) / 1e-5 for e in np.eye(3)], 1)
        normal = jacobian.T @ jacobian
        while damping < 1e8:
            step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)), jacobian.T @ r)
            new = whitened(log_g + np.clip(step, -0.5, 0.5))
            if new @ new < r @ r:
                break
            damping *= 5
        if damping >= 1e8:
            break
        log_g, r, damping = log_g + np.clip(step, -0.5, 0.5), new, max(damping / 10, 1e-12)
        if np.abs(step).max() < 1e-7:
            break
    variance = r @ r / (len(r) - 3)
    return Estimate(np.exp(log_g), np.exp(log_g) * np.sqrt(variance * np.diag(np.linalg.inv(normal))), tries)


def summarise_estimates(found):
    """True conductances; mean, spread, mean predicted spread of the estimates; share within two predicted spreads."""
    g, spread = (np.array([getattr(e, name) for e in found]) for name in ("g", "spread"))
    inside = (np.abs(g - CONDUCTANCES) <= 2 * spread).mean(0)
    return {
        "true": CONDUCTANCES.tolist(),
        "mean": g.mean(0).tolist(),
        "spread": g.std(0).tolist(),
        "predicted": spread.mean(0).tolist(),
        "inside": inside.tolist(),
    }


def solve_with(g, window):
    """States at the times of the window for other conductances, from its exact start; ndarray of shape (n, 4)."""
    rhs, jacobian = compiled_equations()
    extra, p = np.asarray(g) - CONDUCTANCES, np.array([window.current])

    def f(t, y):
        out = rhs(t, y, p)
        out[0] -= extra @ (_open(y) * (y[0] - REVERSAL))
        return out

    def df(t, y):
        v, n, m, h = y
        out = jacobian(t, y, p)
        out[0, 0] -= extra @ _open(y)
        out[0, 1] -= extra[1] * 4 * n**3 * (v - REVERSAL[1])
        out[0, 2] -= extra[0] * 3 * m**2 * h * (v - REVERSAL[0])
        out[0, 3] -= extra[0] * m**3 * (v - REVERSAL[0])
        return out

    run = solve_ivp(f, (0, window.t[-1]), window.z[0], "LSODA", window.t, jac=df, rtol=1e-9, atol=1e-9)
    return run.y.T


def _open(y):
    _, n, m, h = y
    return np.array([m**3 * h, n**4, 1.0])
