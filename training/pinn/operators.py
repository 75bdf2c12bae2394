"""Nets for many starts at once, from labels: a flow map, a DeepONet and a Fourier neural operator in time.

The Fourier operator (Li et al. 2021, arXiv:2010.08895) gives all times of a grid together, DeepONet (Lu et al. 2021,
Nat. Mach. Intell. 3, 218) and flow map one time per evaluation; its cost is therefore given per time that a host asks
for.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .problems import integrate, make_problem


@dataclass(frozen=True)
class Family:
    """Starts of a problem of `problems.PROBLEMS`, log-uniform where `log`, and a grid of times."""

    problem: str
    low: tuple
    high: tuple
    log: bool
    n_times: int = 64


FAMILIES = {
    "toy-constant": Family("toy-constant", (0.2, 0.0, 0.0), (1.2, 0.5, 0.5), False),
    "robertson": Family("robertson", (1e-2, 1e-9, 1e-3), (1.0, 1e-4, 1.0), True),
}


def draw_labels(family, n, seed):
    """(inputs, outputs): standardised starts of shape (n, n_vars), x of shape (n, n_times, n_vars) on the grid."""
    problem = make_problem(family.problem)
    low, high = np.array(family.low), np.array(family.high)
    u = np.random.default_rng(seed).random((n, len(low)))
    starts = low * (high / low) ** u if family.log else low + (high - low) * u
    times = problem.times(problem.points(family.n_times)).numpy().clip(*problem.span)
    states = np.array([integrate(problem.system, problem.parameters, y, 0.0, times[1:], 1e-8) for y in starts])
    # what is there at the first time of the grid, which for a logarithmic one is not the start, is not asked for
    outputs = problem.inward(torch.from_numpy(states)).float()
    return torch.from_numpy(2 * u - 1).float(), outputs


class FlowMap(nn.Module):
    """x of (start, time): a perceptron."""

    def __init__(self, n, width=64):
        super().__init__()
        self.net = _perceptron(n + 1, width, n)

    def forward(self, start, grid):
        inputs = torch.cat(
            [start[:, None].expand(-1, len(grid), -1), grid[None, :, None].expand(len(start), -1, -1)], -1
        )
        return self.net(inputs)


class DeepONet(nn.Module):
    """Products of a net of the start and a net of the time."""

    def __init__(self, n, width=64, products=32):
        super().__init__()
        self.branch, self.trunk = _perceptron(n, width, n * products), _perceptron(1, width, products)
        self.bias = nn.Parameter(torch.zeros(n))

    def forward(self, start, grid):
        branch = self.branch(start).view(len(start), len(self.bias), -1)
        return torch.einsum("bnp,tp->btn", branch, self.trunk(grid[:, None])) + self.bias


class FourierOperator(nn.Module):
    """Start and time at every point of the grid, through layers that mix the grid by its lowest `modes`."""

    def __init__(self, n, width=24, modes=16, layers=3):
        super().__init__()
        self.modes, self.lift = modes, nn.Linear(n + 1, width)
        size = (layers, width, width, modes, 2)
        self.spectral = nn.Parameter(torch.randn(size) / width)
        self.local = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.project = _perceptron(width, width, n, depth=1)

    def forward(self, start, grid):
        inputs = torch.cat(
            [start[:, None].expand(-1, len(grid), -1), grid[None, :, None].expand(len(start), -1, -1)], -1
        )
        v = self.lift(inputs)
        for weights, local in zip(torch.view_as_complex(self.spectral), self.local):
            spectrum = torch.fft.rfft(v, dim=1)[:, : self.modes]
            mixed = torch.einsum("bkw,wvk->bkv", spectrum, weights[..., : spectrum.shape[1]])
            v = nn.functional.gelu(torch.fft.irfft(mixed, n=len(grid), dim=1) + local(v))
        return self.project(v)


def _perceptron(n_in, width, n_out, depth=3):
    sizes, layers = [n_in] + [width] * depth, []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(width, n_out))


OPERATORS = {"flow map": FlowMap, "DeepONet": DeepONet, "Fourier operator": FourierOperator}


def train_operator(kind, labels, tests, iterations=1500, batch=32, lr=3e-3, seed=0):
    """Adam with a cosine schedule on standardised x.

    Returns
    -------
    dict
        ``error``: mean \\|x - x_ref\\| in units of the largest \\|x_ref\\| of each variable, on test starts; ``cpu_s``;
        ``weights``, their number.
    net : Module
    """
    torch.manual_seed(seed)
    (starts, outputs), n_times = labels, labels[1].shape[1]
    middle, spread = outputs.mean((0, 1)), outputs.std((0, 1))
    grid, net = torch.linspace(-1, 1, n_times), OPERATORS[kind](starts.shape[1])
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    begin, generator = time.process_time(), torch.Generator().manual_seed(seed)
    for _ in range(iterations):
        pick = torch.randint(len(starts), (batch,), generator=generator)
        optimizer.zero_grad()
        (net(starts[pick], grid) - (outputs[pick] - middle) / spread).square().mean().backward()
        optimizer.step()
        schedule.step()
    seconds = time.process_time() - begin
    with torch.no_grad():
        got = net(tests[0], grid) * spread + middle
        error = ((got - tests[1]).abs() / tests[1].abs().amax((0, 1))).mean()
    weights = sum(p.numel() for p in net.parameters())
    return {"error": error.item(), "cpu_s": seconds, "weights": weights}, net


def measure_cost(kind, net, starts, n_times, repeats=3):
    """``us_time``: cost of one start at one time of its own; ``us_grid``: of one at all times, over their number."""
    grid, many = torch.linspace(-1, 1, n_times), starts.repeat(2000 // len(starts) + 1, 1)
    one, out = grid if kind == "Fourier operator" else grid[:1], []  # that one has no value at a time alone
    for times in (one, grid):
        spent = []
        for _ in range(repeats):
            begin = time.process_time()
            with torch.no_grad():
                net(many, times)
            spent.append(time.process_time() - begin)
        out.append(1e6 * sorted(spent)[repeats // 2] / len(many))
    return {"us_time": out[0], "us_grid": out[1] / n_times}


def compare_operators(name, seeds=range(3), n=400, iterations=1500):
    """All kinds on `n` starts of one family, tested on a quarter as many others; {kind: dict of medians}."""
    family = FAMILIES[name]
    labels, tests = draw_labels(family, n, 1), draw_labels(family, max(n // 4, 2), 2)
    out = {}
    for kind in OPERATORS:
        trained = [train_operator(kind, labels, tests, iterations, seed=seed) for seed in seeds]
        runs, net = [result for result, _ in trained], trained[-1][1]
        out[kind] = {key: float(np.median([r[key] for r in runs])) for key in runs[0]}
        out[kind] |= {"errors": [r["error"] for r in runs], **measure_cost(kind, net, tests[0], family.n_times)}
    return out
