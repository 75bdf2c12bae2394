"""Train on a problem by a method: Adam, then the quasi-Newton method, in double precision."""

import time
from dataclasses import replace

import numpy as np
import torch

from .methods import Effort, Moments, Trial
from .problems import root_of
from .quasi_newton import minimise
from .weighting import PointWeights, gradient_weights, ntk_weights
from .windows import march

#: of the conditions where subdomains meet (Jagtap & Karniadakis 2020, Commun. Comput. Phys. 28, 2002)
MEETING = 20.0
#: of the derivative of the residual, over the length of the span (Yu et al. 2022, CMAME 393, 114823: 0.001 to 1)
SMOOTH = 0.01


class Objective:
    """The loss of a trial between two fractions of the whole span, in terms with weights of their own."""

    def __init__(self, trial, effort, span=(0.0, 1.0)):
        self.trial, self.problem, self.method = trial, trial.problem, trial.method
        self.moments = Moments(self.problem, effort.points, span) if self.method.residual == "weak" else None
        n_windows = len(trial.edges) - 1
        s = self.moments.s if self.moments else self.problem.points(effort.points // n_windows * n_windows, *span)
        self.s = s.view(n_windows, -1)
        self.weigh = PointWeights(self.method.points)
        self.factors = None

    def residual(self, x, slope):
        """Of shape (n_vars, n)."""
        s, x, slope = self.s.flatten(), x.flatten(0, 1), slope.flatten(0, 1)
        if self.moments:
            return self.moments(self.problem, x)
        r, kind = slope - self.problem.field(s, x), self.method.residual
        if kind == "jacobian":
            r = r / torch.sqrt(1 + self.problem.jacobian(s, x).square().sum(-1))
        if kind == "matrix":
            root = root_of(self.problem, self.problem.jacobian(s, x))
            r = torch.linalg.solve_triangular(root, r[..., None], upper=False)[..., 0]
        return r.T

    def terms(self, weights):
        """Residual vectors: of the start, where it is not built in, of each variable, of the meeting points."""
        s = self.s.clone().requires_grad_(True) if self.method.residual == "smooth" else self.s
        x, slope = self.trial(weights, s)
        if self.method.residual == "smooth":
            r = (slope.flatten(0, 1) - self.problem.field(s.flatten(), x.flatten(0, 1))).T
            a, b = self.problem.ends
            slopes = [torch.autograd.grad(row.sum(), s, create_graph=True)[0].flatten() for row in r]
            r = torch.cat([r, (b - a) * SMOOTH**0.5 * torch.stack(slopes)], 1) * 2**0.5
        else:
            r = self.residual(x, slope)
        start = [] if self.method.start == "hard" else [self._start(weights)]
        return start, r, self._meeting(weights)

    def _start(self, weights):
        first = self.trial.edges[:-1, None]
        return self.trial(weights, first)[0][0, 0] - self.trial.x_start

    def _meeting(self, weights):
        """Jumps of x, and of the residual, between neighbouring windows."""
        if len(self.trial.edges) == 2:
            return []
        both = torch.stack([self.trial.edges[:-1], self.trial.edges[1:]], 1)
        x, slope = self.trial(weights, both)
        r = (slope.flatten(0, 1) - self.problem.field(both.flatten(), x.flatten(0, 1))).view(x.shape)
        return [((v[:-1, 1] - v[1:, 0]) * MEETING**0.5).flatten() for v in (x / 2**0.5, r)]

    def losses(self, weights):
        """One number per term, the residual of all variables last."""
        start, r, meeting = self.terms(weights)
        return [t.square().sum() for t in start] + [t.square().mean() for t in meeting] + [self.weigh(r).mean(1).sum()]

    def __call__(self, weights):
        losses = torch.stack(self.losses(weights))
        return losses.sum() if self.factors is None else (self.factors * losses).sum()

    def balance(self, weights, i):
        """New weights of the terms, where the method has any."""
        if self.method.terms == "ntk" and i % 100 == 0:
            start, r, _ = self.terms(weights)
            self.factors = ntk_weights([*start, r.flatten()], weights).detach()
        if self.method.terms == "gradient" and i % 10 == 0:
            losses = self.losses(weights)
            before = torch.ones(len(losses), dtype=torch.float64) if self.factors is None else self.factors
            self.factors = gradient_weights(before, losses, weights)


def train(problem, method, effort=None, seed=0):
    """Train, and compare with the reference.

    Returns
    -------
    dict
        ``error``, mean over variables and points of \\|y - y_ref\\| in units of the largest \\|y_ref\\|, where points
        are uniform as in training; ``worst``, the largest; ``loss``, where training ended; ``cpu_s``.
    """
    effort, (check, exact) = effort or Effort(), problem.check
    begin = time.process_time()
    runner = {"curriculum": _curriculum, "extended": _extended, "marching": _marching}.get(method.time, _whole)
    runner = _drawn if method.net == "drawn" else runner
    x, loss = runner(problem, method, effort, seed, check)
    seconds = time.process_time() - begin
    error = np.abs(problem.outward(x).numpy() - exact) / np.abs(exact).max(0)
    return {"error": float(error.mean()), "worst": float(error.max()), "loss": loss, "cpu_s": seconds}


def _whole(problem, method, effort, seed, check):
    trial = Trial(problem, method, effort, torch.tensor(problem.ends, dtype=torch.float64), problem.x_start, seed)
    loss = fit([Objective(trial, effort)], trial.weights, effort)
    return trial.predict(trial.weights, check), loss


def _curriculum(problem, method, effort, seed, check):
    """Five intervals, each longer than the last, with as many iterations in all."""
    trial = Trial(problem, method, effort, torch.tensor(problem.ends, dtype=torch.float64), problem.x_start, seed)
    parts = [Objective(trial, effort, (0.0, (k + 1) / effort.windows)) for k in range(effort.windows)]
    loss = fit(parts, trial.weights, effort)
    return trial.predict(trial.weights, check), loss


def _extended(problem, method, effort, seed, check):
    narrow = replace(effort, width=round(effort.width / effort.windows**0.5))  # as many weights as one net
    trial = Trial(problem, method, narrow, _edges(problem, effort), problem.x_start, seed)
    loss = fit([Objective(trial, effort)], trial.weights, effort)
    return trial.predict(trial.weights, check), loss


def _marching(problem, method, effort, seed, check):
    """A window after the other, with a share of points and iterations each."""
    edges, start, loss = _edges(problem, effort), problem.x_start, 0.0
    n, x = effort.windows, torch.empty(len(check), len(start), dtype=torch.float64)
    share = replace(effort, points=effort.points // n, adam=effort.adam // n, quasi_newton=effort.quasi_newton // n)
    for k in range(n):
        trial = Trial(problem, method, effort, edges[k : k + 2], start, seed)
        loss += fit([Objective(trial, share, (k / n, (k + 1) / n))], trial.weights, share)
        inside = (check >= edges[k]) | (k == 0)
        x[inside] = trial.predict(trial.weights, check[inside])
        start = trial.predict(trial.weights, edges[k + 1 : k + 2])[0]
    return x, loss


def _drawn(problem, method, effort, seed, check):
    """Windows as many as it takes, from a fifth of the span on."""
    a, b = problem.ends
    solution = march(problem, (b - a) / effort.windows, seed=seed)
    x = problem.inward(torch.from_numpy(solution(problem.times(check))))
    return x, sum(w.residual for w in solution.windows)


def _edges(problem, effort):
    return problem.points(effort.windows + 1)


def fit(objectives, weights, effort):
    """Minimise the objectives one after the other, from where the last ended; the last value.

    Adam and the quasi-Newton method have their iterations for all of them together.
    """
    for w in weights:
        w.requires_grad_(True)
    n, value = len(objectives), 0.0
    for objective in objectives:
        optimizer = torch.optim.Adam(weights, lr=effort.lr)
        for i in range(effort.adam // n):
            objective.balance(weights, i)
            optimizer.zero_grad()
            objective(weights).backward()
            optimizer.step()
        objective.weigh.freeze()
        value = finish(objective, weights, effort.quasi_newton // n)
    for w in weights:
        w.requires_grad_(False)
    return value


def finish(objective, weights, iterations):
    """The quasi-Newton method, in place; the last value."""
    sizes = [w.numel() for w in weights]

    def put(vector):
        with torch.no_grad():
            for w, part in zip(weights, torch.from_numpy(vector).split(sizes)):
                w.copy_(part.view(w.shape))

    def function(vector):
        put(vector)
        value = objective(weights)
        return value.item(), torch.cat([g.flatten() for g in torch.autograd.grad(value, weights)]).numpy()

    vector, value = minimise(function, torch.cat([w.detach().flatten() for w in weights]).numpy(), iterations)
    put(vector)
    return value
