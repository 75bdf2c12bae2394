"""Windows of time, each a perceptron that solves a problem from its start, without labels.

The hidden layer is drawn, with centres all over the window, and stays; the output layer is trained, by Gauss-Newton
(extreme learning: Huang, Zhu & Siew 2006, Neurocomputing 70, 489; for stiff kinetics De Florio, Schiassi & Furfaro
2022, Chaos 32, 063107). All but the right-hand side is then linear in the unknowns, and residuals fall to round-off.
"""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from .gauss_newton import minimise_squares
from .problems import Problem, root_of


@dataclass(frozen=True)
class Window:
    """A solved window.

    Attributes
    ----------
    problem : Problem
    hidden : tuple of Tensor
        Weights and biases of shape (width,).
    output : ndarray of shape (width + 1, n_vars)
    residual : float
        Largest preconditioned residual between the points of training.
    iterations : int
    """

    problem: Problem
    hidden: tuple
    output: np.ndarray
    residual: float
    iterations: int

    @property
    def slope(self):
        """dx/ds at the end, Tensor of shape (n_vars,)."""
        a, b = self.problem.ends
        slopes = make_basis(self.hidden, torch.ones(1, dtype=torch.float64))[1]
        return (slopes @ torch.from_numpy(self.output))[0] / (b - a)

    def __call__(self, t):
        """State at times `t` of shape (n,), ndarray of shape (n, n_vars)."""
        t = torch.as_tensor(np.asarray(t, float))
        s = torch.log(t) if self.problem.log_time else t
        a, b = self.problem.ends
        basis, _ = make_basis(self.hidden, (s - a) / (b - a))
        return self.problem.outward(self.problem.x_start + basis @ torch.from_numpy(self.output)).numpy()


def draw_hidden(width, steepness, seed):
    """A hidden layer for u from 0 to 1, its centres evenly over the window and a bit beyond."""
    draws = np.random.default_rng(seed).uniform(0.5, 1.5, width)
    weight = torch.from_numpy(steepness * draws)
    return weight, -weight * torch.linspace(-0.1, 1.1, width, dtype=torch.float64)


def make_basis(hidden, u):
    """u times the hidden layer and a constant, and the derivatives by u, each of shape (n, width + 1)."""
    a = torch.tanh(u[:, None] * hidden[0] + hidden[1])
    a, slope = torch.nn.functional.pad(a, (0, 1), value=1.0), torch.nn.functional.pad((1 - a**2) * hidden[0], (0, 1))
    return u[:, None] * a, a + u[:, None] * slope


class Residuals:
    """Preconditioned residuals at `u`, and their derivatives by the output layer, for `minimise_squares`."""

    def __init__(self, problem, hidden, u):
        self.problem, (a, b) = problem, problem.ends
        self.basis, self.slopes = make_basis(hidden, u)
        self.s, self.slopes, self.n = a + (b - a) * u, self.slopes / (b - a), len(problem.start)

    def _residual(self, vector):
        output = torch.from_numpy(vector).view(-1, self.n)
        x = self.problem.x_start + self.basis @ output
        return x, (self.slopes @ output - self.problem.field(self.s, x))[..., None]

    def __call__(self, vector):
        """(r, rows); the preconditioner is taken as constant."""
        x, r = self._residual(vector)
        jacobian = self.problem.jacobian(self.s, x)
        self.root = root_of(self.problem, jacobian)
        identity = torch.eye(self.n, dtype=torch.float64)
        rows = self.slopes[:, None, :, None] * identity[:, None] - self.basis[:, None, :, None] * jacobian[:, :, None]
        both = torch.linalg.solve_triangular(self.root, torch.cat([r, rows.flatten(2)], -1), upper=False)
        return both[..., 0].flatten().numpy(), both[..., 1:].flatten(0, 1).numpy()

    def compare(self, vector):
        """r with the preconditioner of the last call."""
        r = self._residual(vector)[1]
        return torch.linalg.solve_triangular(self.root, r, upper=False).flatten().numpy()


def solve_window(problem, width=30, points=32, steepness=4.0, iterations=20, target=1e-12, seed=0, slope=0.0):
    """Train a window, and look between its points at what is left.

    Parameters
    ----------
    slope : Tensor of shape (n_vars,) or float
        dx/ds to begin with: in logarithms, a power law goes on as it was.

    Returns
    -------
    Window
    """
    hidden, n = draw_hidden(width, steepness, seed), len(problem.start)
    angles = np.pi * (np.arange(points) + 0.5) / points  # Chebyshev's points, for which a polynomial does not swing
    steps = []
    with np.errstate(all="ignore"):
        residuals = Residuals(problem, hidden, torch.from_numpy((1 - np.cos(angles)) / 2))
        guess = np.zeros((width + 1, n))
        guess[-1] = slope * (problem.ends[1] - problem.ends[0])
        vector, *_ = minimise_squares(
            residuals, guess.flatten(), iterations, target, residuals.compare, lambda i, size: steps.append(size)
        )
        between = torch.linspace(0.0, 1.0, 2 * points + 1, dtype=torch.float64)
        left = np.abs(Residuals(problem, hidden, between)(vector)[0]).max()
    return Window(problem, hidden, vector.reshape(-1, n), float(left if np.isfinite(left) else np.inf), len(steps))


#: what may be left in a window of a thirtieth of the longest: a kink of the right-hand side makes it not smooth
KINK = 1e-5


@dataclass(frozen=True)
class Trajectory:
    """Windows that together are a solution.

    Attributes
    ----------
    windows : list of Window
    seconds : float
        CPU time.
    given_up : int
        Windows that were halved.
    """

    windows: list
    seconds: float
    given_up: int

    def __call__(self, t):
        """State at times `t` of shape (n,), ndarray of shape (n, n_vars)."""
        t = np.asarray(t, float)
        which = np.searchsorted([w.problem.span[1] for w in self.windows[:-1]], t)
        out = np.empty((len(t), len(self.windows[0].problem.start)))
        for k in np.unique(which):
            out[which == k] = self.windows[k](t[which == k])
        return out


def march(problem, longest, accuracy=3e-7, report=None, seed=0, **window):
    """Windows one after the other, each from the end of the last.

    None is accepted by comparison with a solver: what is left of the residual between its points decides, and a window
    in which too much is left is halved.

    Parameters
    ----------
    problem : Problem
    longest : float
        Length of a window in s, at most.
    accuracy : float
        What may be left of the preconditioned residual anywhere between the points, in x.
    report : callable, optional
        Called with each window, also with those that are given up.
    **window
        For `solve_window`.

    Returns
    -------
    Trajectory
    """
    begin, end = time.process_time(), problem.span[1]
    part, windows, given_up, slope, length = _until(problem, longest, end), [], 0, 0.0, longest
    while True:
        trained = solve_window(part, seed=seed + len(windows), slope=slope, **window)
        if report:
            report(trained)
        if trained.residual <= (accuracy if length > longest / 30 else max(accuracy, KINK)):
            windows.append(trained)
            last, slope, length = part.span[1], trained.slope, min(longest, 1.5 * length)
            if last >= end:
                return Trajectory(windows, time.process_time() - begin, given_up)
            part = replace(part, span=(last, last), start=tuple(trained([last])[0].tolist()))
        else:
            given_up, length = given_up + 1, length / 2
            if length < 1e-5 * longest:
                raise ValueError(f"{part.system}: no window from t = {part.span[0]:g} can be trained to {accuracy:g}")
        part = _until(part, length, end)


def _until(problem, length, end):
    """The same problem over another length, of s."""
    first = problem.span[0]
    last = first * np.exp(length) if problem.log_time else first + length
    return replace(problem, span=(first, end if last > end * (1 - 1e-9) else last))
