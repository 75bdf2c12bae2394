"""A term of the equations that is not known, learned from noisy observations: a biologically-informed net.

One net for the solution, one for the term as a function of the state, the residual of all the rest known (Lagergren,
Nardini, Baker, Simpson & Flores 2020, PLoS Comput. Biol. 16, e1008462). Here: the first toy, of whose dn2/dt the loss
-k2 n2 with k2 = 0.5 has been taken away.
"""

import time

import numpy as np
import torch

from .gauss_newton import minimise_squares
from .problems import make_problem
from .windows import draw_hidden, make_basis

#: which variable lacks its loss, and with what rate
MISSING, RATE = 1, 0.5
#: standard deviation of the residual, first so large that the observations decide alone; of the weights
RESIDUAL, WEIGHTS = (1.0, 0.1, 1e-2, 1e-3), 30.0


class UnknownTerm:
    """Deviations of a solution and a term, in the output layers of their nets, from equations and observations."""

    def __init__(self, times, observed, noise, width=24, term_width=6, points=60, seed=0):
        self.problem, self.observed, self.noise = make_problem("toy-constant"), observed, noise
        a, b = self.problem.ends
        u = torch.from_numpy((1 - np.cos(np.pi * (np.arange(points) + 0.5) / points)) / 2)
        self.s, hidden = a + (b - a) * u, draw_hidden(width, 6.0, seed)
        self.basis, self.slopes = make_basis(hidden, u)
        self.slopes = self.slopes / (b - a)
        self.looks = make_basis(hidden, torch.from_numpy((times - a) / (b - a)))[0]
        self.term_hidden = draw_hidden(term_width, 2.0, seed + 1)
        self.split, self.n = (width + 1) * len(self.problem.start), len(self.problem.start)
        self.n_unknowns = self.split + term_width + 1

    def term(self, vector, n2):
        """The loss that was learned, at densities `n2`; nothing where there is nothing."""
        return make_basis(self.term_hidden, torch.as_tensor(n2))[0] @ torch.from_numpy(vector[self.split :])

    def __call__(self, vector, sigma=RESIDUAL[-1]):
        """(deviations, their derivatives), standardised, the residual by `sigma`."""
        output = torch.from_numpy(vector[: self.split]).view(-1, self.n)
        x = self.problem.x_start + self.basis @ output
        basis, slope = make_basis(self.term_hidden, x[:, MISSING])
        weights = torch.from_numpy(vector[self.split :])
        known = self.problem.field(self.s, x)
        jacobian = self.problem.jacobian(self.s, x)
        known[:, MISSING] += RATE * x[:, MISSING] - basis @ weights  # the net in place of the true loss
        jacobian[:, MISSING, MISSING] += RATE - slope @ weights
        r = self.slopes @ output - known
        identity = torch.eye(self.n, dtype=x.dtype)
        rows = self.slopes[:, None, :, None] * identity[:, None] - self.basis[:, None, :, None] * jacobian[:, :, None]
        by_term = torch.zeros(len(x), self.n, basis.shape[1], dtype=x.dtype)
        by_term[:, MISSING] = basis
        rows = torch.cat([rows.flatten(2), by_term], 2).flatten(0, 1) / sigma
        seen = (self.problem.x_start + self.looks @ output - torch.from_numpy(self.observed)) / self.noise
        at = (self.looks[:, None, :, None] * identity[:, None]).flatten(2).flatten(0, 1) / self.noise
        at = torch.nn.functional.pad(at, (0, by_term.shape[2]))
        value = torch.cat([r.flatten() / sigma, seen.flatten(), torch.from_numpy(vector) / WEIGHTS])
        prior = torch.eye(len(vector), dtype=x.dtype) / WEIGHTS
        return value.numpy(), torch.cat([rows, at, prior]).numpy()


def recover_rate(noise=0.01, n=40, seed=0):
    """Learn the term from `n` noisy observations of the three densities, at even times; dict for JSON.

    ``rate``: slope of the straight line through 0 that is nearest to the term over the densities that occur; ``term``:
    root mean square deviation from the truth there, in units of its largest value.
    """
    begin, problem = time.process_time(), make_problem("toy-constant")
    times = np.linspace(problem.span[1] / n, problem.span[1], n)
    exact = problem.reference(times)
    observed = exact + noise * np.random.default_rng(seed).standard_normal(exact.shape)
    function = UnknownTerm(times, observed, noise, seed=seed)
    vector = np.zeros(function.n_unknowns)
    for sigma in RESIDUAL:
        vector, *_ = minimise_squares(lambda v, sigma=sigma: function(v, sigma), vector, 40)
    seconds = time.process_time() - begin
    n2 = np.linspace(0.0, exact[:, MISSING].max(), 101)
    term = function.term(vector, n2).numpy()
    return {
        "rate": float(n2 @ term / (n2 @ n2)),
        "true": RATE,
        "term": float(np.sqrt(np.mean((term - RATE * n2) ** 2)) / (RATE * n2[-1])),
        "noise": noise,
        "cpu_s": seconds,
    }
