"""One noisy oscillation of the Hodgkin-Huxley membrane, and the undisturbed one to compare with."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.integrate import solve_ivp

from ..codegen import numba_functions, torch_functions
from ..systems import get_system

#: end of the training window [ms], distance of its points, injected current [uA/cm^2]
WINDOW, DT, CURRENT = 14.68, 0.01, 10.0
#: rate [1/ms] and strength of the noise
THETA, SIGMA = 5.0, 0.5
#: order of the state everywhere: voltage [mV] and the gates
NAMES = ("v", "n", "m", "h")


@dataclass(frozen=True)
class Window:
    """What a net may see.

    Attributes
    ----------
    t : ndarray of shape (n,)
    z : ndarray of shape (n, 4)
        Noisy states; the first is exact, as the noise starts from 0.
    centre, scale : ndarray of shape (4,)
        Mean and standard deviation of `z`.
    slope : ndarray of shape (4,)
        Standard deviation s_j of dz_j/dt of the smoothed states, by the known equations or by differences: the smaller,
        as the noise that is left adds to both.
    current : float
    """

    t: np.ndarray
    z: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    slope: np.ndarray
    current: float


@cache
def equations():
    """The known right-hand side and Jacobian for torch: functions of states (..., 4) and currents (..., 1)."""
    return torch_functions(get_system("hodgkin-huxley"))


def solve_truth(t, current=CURRENT, start=None):
    """States at the times `t` [ms] from t = 0 on, ndarray of shape (n, 4); Radau at 1e-10 (checked against DOP853)."""
    system = get_system("hodgkin-huxley")
    rhs, jacobian = compiled_equations()
    start, p = system.initial if start is None else start, np.array([float(current)])
    run = solve_ivp(rhs, (0.0, t[-1]), start, "Radau", t, jac=jacobian, args=(p,), rtol=1e-10, atol=1e-12)
    return run.y.T


@cache
def compiled_equations():
    """The same, compiled for SciPy: functions of (t, states, parameters)."""
    return numba_functions(get_system("hodgkin-huxley"))


def make_noise(n, n_channels, dt, rng, theta=THETA, sigma=SIGMA):
    """Ornstein-Uhlenbeck paths from 0 on: xi += -theta xi dt + sigma sqrt(dt) N(0, 1); ndarray (n, n_channels)."""
    xi = np.zeros((n, n_channels))
    for k in range(1, n):
        xi[k] = xi[k - 1] * (1 - theta * dt) + sigma * np.sqrt(dt) * rng.standard_normal(n_channels)
    return xi


def make_window(seed=0, noise=1.0, current=CURRENT, end=WINDOW):
    """The training window.

    The noise is that of the paper times `noise` and the standard deviation of each channel (0.158 of it when
    stationary); taken literally, in all channels alike, it would be as large as the variation of n.

    Returns
    -------
    Window
    """
    t = np.arange(round(end / DT)) * DT
    clean = solve_truth(t, current)
    xi = make_noise(len(t), 4, DT, np.random.default_rng(seed))
    z = clean + noise * clean.std(0) * xi
    smooth = smoothed(z)
    known = equations()[0](torch.from_numpy(smooth), torch.full((len(t), 1), float(current), dtype=torch.float64))
    slope = np.minimum(known.numpy().std(0), np.gradient(smooth, DT, axis=0).std(0))
    return Window(t, z, z.mean(0), z.std(0), slope, current)


def smoothed(z, width=0.1):
    """`z` after a Gaussian filter of standard deviation `width` [ms]."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(z, width / DT, axis=0, mode="nearest")
