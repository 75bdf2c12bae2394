"""What each ingredient of a published recipe for training without labels is worth: all, each left out, none, each one.

The recipe is that of Branca & Pallottini (2023, MNRAS 518, 5718): a net of gated layers (deep Galerkin method) with
adaptive sigmoids, the terms of the loss weighed by the statistics of their gradients, points of a Halton sequence that
are renewed every 1000 iterations, time in logarithms, and L-BFGS at the end. Here for one start each.
"""

import math
import time
import warnings
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch
from scipy.stats import qmc

from ..nets.architectures import SLOPE, DeepGalerkin
from ..nets.experts import NetConfig
from .problems import Problem
from .weighting import gradient_weights

#: systems whose equations do not depend on time, from the first time on, which is where the start is put
SYSTEMS = {
    "toy-constant": Problem("toy-constant", (1e-3, 10.0), (1.0, 1e-3, 0.1), (1.0, 1.0, 1.0)),
    "robertson": Problem("robertson", (1e-3, 1e2), (1.0, 0.0, 0.0), (1.0, 3.65e-5, 1.0)),
}
#: iterations after which points are drawn anew, and weights of the terms
RENEWED, BALANCED = 1000, 10


@dataclass(frozen=True)
class Recipe:
    """Which ingredients are taken.

    Attributes
    ----------
    gates : bool
        Layers of `DeepGalerkin`; else a perceptron with as many sigmoid layers.
    adaptive_sigmoid : bool
        Slopes of the sigmoids are trained.
    gradient_statistics : bool
        Weights of start and residual; else both 1.
    halton : bool
        Points of a Halton sequence, renewed; else equally spaced ones, which stay.
    log_time : bool
        Input, derivative and points in ln t; else in t.
    lbfgs : bool
        The last third of the iterations is L-BFGS; else Adam as before.
    """

    gates: bool = True
    adaptive_sigmoid: bool = True
    gradient_statistics: bool = True
    halton: bool = True
    log_time: bool = True
    lbfgs: bool = True


INGREDIENTS = tuple(field.name for field in fields(Recipe))
NONE = Recipe(*[False] * len(INGREDIENTS))
#: rows of the table
RECIPES = {
    "all": Recipe(),
    **{f"without {name}": replace(Recipe(), **{name: False}) for name in INGREDIENTS},
    "none": NONE,
    **{f"{name} alone": replace(NONE, **{name: True}) for name in INGREDIENTS},
}


class Perceptron(torch.nn.Module):
    """Layers ``sigmoid(SLOPE a x)`` with one trainable a each, as `DeepGalerkin` has them, and a linear output."""

    def __init__(self, width, depth, n_out):
        super().__init__()
        sizes = [1] + [width] * (depth + 1)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.slopes = torch.nn.ParameterList(torch.full((1, 1, 1), 1 / SLOPE) for _ in self.layers)
        self.last = torch.nn.Linear(width, n_out)

    def forward(self, x):
        """Outputs for x of shape (1, n, 1)."""
        for layer, slope in zip(self.layers, self.slopes):
            x = torch.sigmoid(SLOPE * slope * layer(x))
        return self.last(x)


def make_net(recipe, width, depth, n_out):
    """A net of one input, in double precision."""
    config = NetConfig(width, depth, (1,))
    net = DeepGalerkin(config, 1, n_out, 1) if recipe.gates else Perceptron(width, depth, n_out)
    for slope in net.slopes:
        slope.requires_grad_(recipe.adaptive_sigmoid)
    return net.double()


class Loss:
    """Squares of the residual and of the distance from the start at points s, with weights."""

    def __init__(self, problem, recipe, net, n_points, seed):
        self.problem, self.recipe, self.net = problem, recipe, net
        self.n_points, self.sequence = n_points, qmc.Halton(1, seed=seed)
        self.weights, (self.first, last) = torch.ones(2, dtype=torch.float64), problem.ends
        self.half, self.s = (last - self.first) / 2, problem.points(n_points)

    def solution(self, s):
        """x of shape (n, n_vars) at s of shape (n,)."""
        return self.net(((s - self.first) / self.half - 1)[None, :, None])[0]

    def renew(self):
        """New points, if the recipe says so."""
        if self.recipe.halton:
            self.s = self.problem.place(torch.from_numpy(self.sequence.random(self.n_points)[:, 0]))

    def terms(self):
        """Of the start, of the residual."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own use of TorchScript, at the first call
            x, slope = torch.func.jvp(self.solution, (self.s,), (torch.ones_like(self.s),))
        start = self.solution(self.s.new_tensor([self.first]))[0] - self.problem.x_start
        return [start.square().sum(), (slope - self.problem.field(self.s, x)).square().mean(0).sum()]

    def balance(self, parameters):
        """New weights of the terms, if the recipe says so."""
        if self.recipe.gradient_statistics:
            self.weights = gradient_weights(self.weights, self.terms(), parameters)

    def __call__(self):
        return (self.weights * torch.stack(self.terms())).sum()


def train_recipe(system, recipe, seed=0, iterations=4500, width=16, depth=2, n_points=128):
    """Train on the residual of one start, and compare with the reference.

    Parameters
    ----------
    system : str
        One of `SYSTEMS`.
    recipe : Recipe
    seed, iterations, width, depth, n_points : int
        The last third of the iterations is L-BFGS, if the recipe has it.

    Returns
    -------
    dict
        ``error``, mean over variables and times, equally spaced in ln t, of \\|y - y_ref\\| in units of the largest
        \\|y_ref\\|, None where training diverged; ``cpu_s``.
    """
    if system not in SYSTEMS:
        raise ValueError(f"no system {system!r}: choose from {', '.join(SYSTEMS)}")
    begin = time.process_time()
    problem = replace(SYSTEMS[system], log_time=recipe.log_time)
    torch.manual_seed(seed)
    net = make_net(recipe, width, depth, len(problem.start))
    loss, parameters = Loss(problem, recipe, net, n_points, seed), [p for p in net.parameters() if p.requires_grad]
    n_lbfgs = iterations // 3 if recipe.lbfgs else 0
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    for i in range(iterations - n_lbfgs):
        if i % RENEWED == 0:
            loss.renew()
        if i % BALANCED == 0:
            loss.balance(parameters)
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    if n_lbfgs:
        _finish(loss, parameters, n_lbfgs)
    return {"error": _error(problem, loss), "cpu_s": time.process_time() - begin}


def _finish(loss, parameters, n):
    """L-BFGS on the last points with the last weights."""
    options = {"history_size": 50, "tolerance_grad": 0, "tolerance_change": 0, "line_search_fn": "strong_wolfe"}
    optimizer = torch.optim.LBFGS(parameters, max_iter=n, max_eval=2 * n, **options)

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def _error(problem, loss):
    times = torch.exp(torch.linspace(*np.log(problem.span), 301, dtype=torch.float64)[1:])
    s = torch.log(times) if problem.log_time else times
    with torch.no_grad():
        y = problem.outward(loss.solution(s)).numpy()
    exact = problem.reference(s.numpy())
    error = float((np.abs(y - exact) / np.abs(exact).max(0)).mean())
    return error if math.isfinite(error) else None


def run_recipes(systems, seeds, progress=list, **effort):
    """Every row of the table for each system: dict of dict of a summary, for JSON."""
    jobs = [(name, system) for name in RECIPES for system in systems]
    table = {name: {"recipe": asdict(recipe)} for name, recipe in RECIPES.items()}
    for name, system in progress(jobs):
        runs = [train_recipe(system, RECIPES[name], seed, **effort) for seed in range(seeds)]
        errors = sorted(math.inf if r["error"] is None else r["error"] for r in runs)
        errors = [e if math.isfinite(e) else None for e in errors]
        middle = errors[len(errors) // 2]
        seconds = float(np.mean([r["cpu_s"] for r in runs]))
        table[name][system] = {"error": middle, "best": errors[0], "worst": errors[-1], "cpu_s": seconds}
    return table


def print_recipes(table):
    """Median errors."""
    systems = [key for key in table["all"] if key != "recipe"]
    print(f"{'mean error, median of seeds':<32}" + "".join(f"{s:>16}" for s in systems) + f"{'CPU s':>8}")
    for name, row in table.items():
        texts = ("diverged" if row[s]["error"] is None else f"{row[s]['error']:.1e}" for s in systems)
        print(
            f"{name:<32}" + "".join(f"{t:>16}" for t in texts) + f"{np.mean([row[s]['cpu_s'] for s in systems]):>8.1f}"
        )
