"""How the curvature of a loss grows with stiffness: three scalar equations, C from 1 to 1e4, with and without J."""

from dataclasses import dataclass

import numpy as np
import torch

from .equations import STIFF
from .hessian import largest_eigenvalue
from .perceptron import Ansatz, make_weights
from .quasi_newton import minimise
from .residuals import loss, make_rule


@dataclass(frozen=True)
class Config:
    """How to train; the defaults are those of the paper's code, with N = `points` collocation points uniform in ln x.

    Attributes
    ----------
    output : str
        "linear" as in the paper, or "hard".
    adam : int
        Largest number of iterations of AdamW, at the rate `lr` that falls by 1 % every 1000.
    quasi_newton : int
        Iterations of the quasi-Newton method after these, in double precision.
    enough : float
        Loss at which to stop.
    """

    output: str = "linear"
    width: int = 40
    depth: int = 4
    activation: str = "gelu"
    points: int = 1000
    adam: int = 500_000
    lr: float = 8e-5
    quasi_newton: int = 0
    enough: float = 1e-8


#: what a laptop does in seconds per value of C, and better: converged
QUICK = Config("hard", width=16, depth=2, activation="tanh", points=300, adam=1000, lr=3e-3, quasi_newton=1000)


@dataclass(frozen=True)
class Study:
    """One equation and rule; arrays of shape (n_c,).

    Attributes
    ----------
    c : ndarray
    eigenvalue : ndarray
        Largest of the Hessian of the loss, where training ended.
    error : ndarray
        Mean of (y - y_exact)^2 over the points (eq. 26).
    loss : ndarray
    slope : float
        Of log eigenvalue against log C, by `huber_line`.
    """

    c: np.ndarray
    eigenvalue: np.ndarray
    error: np.ndarray
    loss: np.ndarray
    slope: float


def study_stiffness(equation, rule, c, config=None, seed=0, report=None):
    """Train one perceptron for each value of `c`, all at once, and look at the curvature they end in.

    Parameters
    ----------
    equation : str
        One of `STIFF`.
    rule : str
        "vanilla" or "jacobian".
    c : array_like of shape (n_c,)

    Returns
    -------
    Study
    """
    config, c = config or Config(), np.asarray(c, float)
    if equation not in STIFF:
        raise ValueError(f"no equation {equation!r}; choose from {', '.join(STIFF)}")
    exact = STIFF[equation].exact
    x = torch.exp(torch.linspace(-15, 0, config.points, dtype=torch.float64))
    weights = make_weights(1, config.width, config.depth, len(c), seed)
    weights = [p.float() for p in weights] if not config.quasi_newton else weights
    ansatz = Ansatz(STIFF[equation], x.to(weights[0].dtype), config.output, activation=config.activation)
    strength = torch.from_numpy(c).to(weights[0].dtype)[:, None]
    weights = _adam(lambda p: loss(ansatz, p, make_rule(rule), strength), weights, config, report)
    if config.quasi_newton:
        parts = [
            _finish(ansatz, [p[k : k + 1] for p in weights], rule, strength[k : k + 1], config) for k in range(len(c))
        ]
        weights = [torch.cat(p) for p in zip(*parts)]

    def objective(p):
        return loss(ansatz, p, make_rule(rule), strength)

    eigenvalue = largest_eigenvalue(objective, weights).double().numpy()
    with torch.no_grad():
        y = ansatz(weights)[0].double()
        error = (y - exact(x, torch.from_numpy(c)[:, None])).square().mean(1).numpy()
        value = objective(weights).double().numpy()
    return Study(c, eigenvalue, error, value, huber_line(np.log10(c), np.log10(np.abs(eigenvalue)))[0])


def _adam(objective, weights, config, report):
    """AdamW on all stacks at once, which do not see each other; the best weights of each are kept."""
    weights = [p.requires_grad_(True) for p in weights]
    kept, best = [p.detach().clone() for p in weights], torch.full((len(weights[0]),), torch.inf)
    optimizer = torch.optim.AdamW(weights, lr=config.lr)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
    for i in range(config.adam):
        optimizer.zero_grad()
        values = objective(weights)
        values.sum().backward()
        with torch.no_grad():
            better = (values < best) & ~(best < config.enough)
            best = torch.where(better, values, best)
            for k, p in zip(kept, weights):
                k[better] = p[better]
        optimizer.step()
        if i % 1000 == 0:
            schedule.step()
        if report and i % 100 == 0:
            report(i, best.max().item())
        if (best < config.enough).all():
            break
    return kept


def _finish(ansatz, weights, rule, c, config):
    shapes, sizes = [p.shape for p in weights], [p.numel() for p in weights]

    def unpack(v):
        return [part.view(shape) for part, shape in zip(v.split(sizes), shapes)]

    def function(v):
        v = torch.from_numpy(v).requires_grad_(True)
        value = loss(ansatz, unpack(v), make_rule(rule), c)[0]
        return value.item(), torch.autograd.grad(value, v)[0].numpy()

    start = torch.cat([p.detach().flatten() for p in weights]).numpy()
    return unpack(torch.from_numpy(minimise(function, start, config.quasi_newton, config.enough)[0]))


def huber_line(x, y, epsilon=1.35, iterations=100):
    """Robust straight line (Huber 1964), the scale of the residuals from their median: (slope, intercept)."""
    basis, w = np.stack([x, np.ones_like(x)], 1), np.ones_like(x)
    for _ in range(iterations):
        line = np.linalg.lstsq(basis * np.sqrt(w)[:, None], y * np.sqrt(w), rcond=None)[0]
        r = np.abs(y - basis @ line)
        scale = 1.4826 * np.median(r) + 1e-12
        w = np.minimum(1.0, epsilon * scale / np.maximum(r, 1e-300))
    return float(line[0]), float(line[1])
