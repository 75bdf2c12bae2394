"""Freeze-out by physics-informed training: the solution for a given interaction strength, and the strength for a given
relic density."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from .equations import W_END, freeze_out
from .perceptron import Ansatz, make_weights
from .quasi_newton import minimise
from .residuals import loss, make_rule

#: 95 % of the initial guesses of C lie in 28..33, as in the paper
PRIOR = (30.5, 1.25)


@dataclass(frozen=True)
class Config:
    """How to train; the defaults are ours, `PUBLISHED` what the paper's code does.

    Attributes
    ----------
    rule : str
        One of `residuals.RULES`.
    output : str
        Kind of `perceptron.Ansatz`.
    width, depth : int
    activation : str
    points : int
        Collocation points.
    adaptive : bool
        Most points where the abundance leaves equilibrium, instead of uniformly many.
    adam : int
        Iterations of AdamW, at the rate `lr` that falls by 1 % every 1000.
    quasi_newton : int
        Iterations of the quasi-Newton method after these.
    double : bool
    """

    rule: str = "jacobian"
    output: str = "hard"
    width: int = 20
    depth: int = 2
    activation: str = "tanh"
    points: int = 400
    adaptive: bool = True
    adam: int = 500
    lr: float = 3e-3
    quasi_newton: int = 4000
    double: bool = True


PUBLISHED = Config(
    output="linear",
    width=40,
    depth=4,
    activation="gelu",
    points=1000,
    adaptive=False,
    adam=200_000,
    lr=1e-3,
    quasi_newton=0,
    double=False,
)


@dataclass(frozen=True)
class Solution:
    """What training gave.

    Attributes
    ----------
    z, w : ndarray
        Check points, uniform in z = ln(m/T), and W = ln Y there.
    c : float
        Interaction strength, given or found.
    error : float
        Mean of ((W - W_ref)/W_ref)^2 over the check points, against Radau at 1e-11 for this `c`.
    loss : float
    seconds : float
        CPU time.
    """

    z: np.ndarray
    w: np.ndarray
    c: float
    error: float
    loss: float
    seconds: float


def solve_forward(cosmology, c, config=None, seed=0, report=None):
    """Train for the interaction strength `c`; see `Config`.

    Returns
    -------
    Solution
    """
    return _train(cosmology, c, config or Config(), seed, report, is_inverse=False)


def solve_inverse(cosmology, config=None, seed=0, report=None):
    """Find the strength for which W = `W_END` at the end, from a guess drawn from `PRIOR`.

    The strength is one more unknown of the same minimisation. With ``output="hard"`` the end holds by construction, as
    the start does; else its square deviation is part of the loss.

    Returns
    -------
    Solution
    """
    c = float(np.random.default_rng(seed).normal(*PRIOR))
    return _train(cosmology, c, config or Config(), seed, report, is_inverse=True)


def collocation(equation, n, adaptive, c=29.0):
    """Points in z, float64 Tensor of shape (n,): uniform, or two thirds of them about freeze-out and the kink."""
    first, last = equation.span
    if not adaptive:
        return torch.linspace(first, last, n, dtype=torch.float64)
    fine = np.linspace(first, last, 20001)
    peaks = [(np.log(22.5), 0.25), *([(equation.kink, 0.3)] if equation.kink else [])]
    density = sum(1 / (1 + ((fine - centre) / width) ** 2) / width for centre, width in peaks) / len(peaks) * 0.7
    density = density + np.trapezoid(density, fine) / (last - first)
    share = np.concatenate([[0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return torch.from_numpy(np.interp(np.linspace(0, share[-1], n), share, fine))


def _train(cosmology, c, config, seed, report, is_inverse):
    start = time.process_time()
    equation, dtype = freeze_out(cosmology), torch.float64 if config.double else torch.float32
    z = collocation(equation, config.points, config.adaptive).to(dtype)
    kind = "pinned" if is_inverse and config.output == "hard" else config.output
    options = {
        "kind": kind,
        "scale": abs(W_END),
        "end": W_END,
        "activation": config.activation,
        "inform": config.output == "hard",
    }
    ansatz, rule = Ansatz(equation, z, base=equation.estimate(z, c), **options), make_rule(config.rule)
    unknowns = make_weights(ansatz.n_in, config.width, config.depth, seed=seed, dtype=dtype)
    strength = torch.full((1, 1), c, dtype=dtype)
    if is_inverse:
        unknowns.append(strength)
    for p in unknowns:
        p.requires_grad_(True)
    weights = unknowns[:-1] if is_inverse else unknowns

    def objective():
        total = loss(ansatz, weights, rule, strength)[0]
        if is_inverse and kind != "pinned":
            total = total + ((ansatz(weights)[0][0, -1] - W_END) / ansatz.scale) ** 2
        return total

    value = _adam(objective, unknowns, config, report)
    if config.quasi_newton:
        value = _quasi_newton(objective, unknowns, config, report)
    check = torch.linspace(*equation.span, 1001, dtype=torch.float64)
    with torch.no_grad():
        trained = Ansatz(equation, check, base=equation.estimate(check, c), **options)
        w = trained([p.double() for p in weights])[0][0].numpy()
    seconds, c = time.process_time() - start, strength.item()
    exact = equation.reference(check.numpy(), c)
    return Solution(check.numpy(), w, c, float(np.mean((w / exact - 1) ** 2)), value, seconds)


def _adam(objective, unknowns, config, report):
    """AdamW as in the paper; the best unknowns are kept."""
    best, kept = np.inf, [p.detach().clone() for p in unknowns]
    optimizer = torch.optim.AdamW(unknowns, lr=config.lr)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
    for i in range(config.adam):
        optimizer.zero_grad()
        value = objective()
        value.backward()
        if value.item() < best:
            best, kept = value.item(), [p.detach().clone() for p in unknowns]
        optimizer.step()
        if i % 1000 == 0:
            schedule.step()
        if report and i % 100 == 0:
            report("adam", i, value.item())
    with torch.no_grad():
        for p, k in zip(unknowns, kept):
            p.copy_(k)
    return best


def _quasi_newton(objective, unknowns, config, report):
    sizes = [p.numel() for p in unknowns]

    def put(x):
        with torch.no_grad():
            for p, part in zip(unknowns, torch.from_numpy(x).split(sizes)):
                p.copy_(part.view(p.shape))

    def function(x):
        put(x)
        value = objective()
        gradient = torch.autograd.grad(value, unknowns)
        return value.item(), torch.cat([g.flatten() for g in gradient]).double().numpy()

    x = torch.cat([p.detach().flatten() for p in unknowns]).double().numpy()
    x, value = minimise(
        function, x, config.quasi_newton, report=report and (lambda i, v: i % 100 == 0 and report("quasi-newton", i, v))
    )
    put(x)
    return value
