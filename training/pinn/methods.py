"""Ways to train on the residual of a system, as data: what each changes, and what it is trained on.

Not here: causal weights (Wang, Sankaran & Perdikaris 2024, CMAME 421, 116813) are patented by the University of
Pennsylvania. The growing interval that they refine is (`time="curriculum"`).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from .perceptron import OMEGA, make_weights, propagate


@dataclass(frozen=True)
class Method:
    """One way.

    Attributes
    ----------
    promise : str
        What it is for, by its authors.
    net : {"tanh", "sine", "fourier", "drawn"}
        "drawn": the hidden layer stays as it was drawn (`windows`).
    start : {"soft", "hard"}
        A term of the loss, or by construction.
    residual : {"plain", "jacobian", "matrix", "smooth", "weak"}
        r; r_i / sqrt(1 + sum_j J_ij^2); |r| by the matrix 1/L^2 + J J^T; r and its derivative; moments of r.
    points : {"none", "rba", "soft"}
        Weights of the points.
    terms : {"none", "ntk", "gradient"}
        Weights of the terms of the loss.
    time : {"whole", "curriculum", "extended", "marching"}
        One net for all times at once, or growing; several with conditions where they meet, or one after the other.
    """

    promise: str
    net: str = "tanh"
    start: str = "soft"
    residual: str = "plain"
    points: str = "none"
    terms: str = "none"
    time: str = "whole"


METHODS = {
    "vanilla": Method("the equation is enough"),
    "Jacobian-normalised": Method("stiff parts weigh as their error, not as J times it", residual="jacobian"),
    "preconditioned": Method("the same for systems, with a matrix", residual="matrix"),
    "residual attention": Method("points that are badly off weigh more", points="rba"),
    "soft attention": Method("weights of the points climb the loss", points="soft"),
    "NTK weights": Method("all terms of the loss converge at one rate", terms="ntk"),
    "gradient statistics": Method("no term drowns the gradient of another", terms="gradient"),
    "curriculum": Method("early times first, as causes precede effects", time="curriculum"),
    "SIREN": Method("steep and oscillating solutions", net="sine"),
    "Fourier features": Method("no bias against high frequencies", net="fourier"),
    "hard start": Method("nothing to balance", start="hard"),
    "gradient-enhanced": Method("more from each point", residual="smooth"),
    "variational": Method("no derivatives, less noise", residual="weak"),
    "extended": Method("a net per subdomain, coupled where they meet", time="extended"),
    "marching": Method("a net per window, each from the end of the last", start="hard", time="marching"),
    "preconditioned, hard start": Method("two that help, together", start="hard", residual="matrix"),
    "preconditioned, marching": Method("three", start="hard", residual="matrix", time="marching"),
    "drawn, Gauss-Newton": Method("the same, almost linear", "drawn", "hard", "matrix", time="marching"),
}


@dataclass(frozen=True)
class Effort:
    """What every method gets: a net, points, iterations of Adam and of the quasi-Newton method, windows in time."""

    width: int = 20
    depth: int = 2
    points: int = 200
    adam: int = 500
    lr: float = 3e-3
    quasi_newton: int = 700
    windows: int = 5


class Trial:
    """Nets that stand for the solution at given points of `n_windows` windows.

    Attributes
    ----------
    edges : Tensor of shape (n_windows + 1,)
        In s.
    x_start : Tensor of shape (n_vars,)
    """

    def __init__(self, problem, method, effort, edges, x_start, seed):
        self.problem, self.method, self.edges, self.x_start = problem, method, edges, x_start
        generator = torch.Generator().manual_seed(seed)
        n = effort.width // 2
        self.frequencies = (
            torch.randn(n, generator=generator, dtype=torch.float64) * 2
        )  # of 2 as in the wide literature
        n_in = 2 * n if method.net == "fourier" else 1
        width, depth = effort.width, effort.depth
        self.weights = make_weights(n_in, width, depth, len(edges) - 1, seed, n_out=len(x_start))
        if method.net == "sine":
            for k, w in enumerate(self.weights[:-2:2]):
                reach = 1.0 if k == 0 else math.sqrt(6 / width) / OMEGA
                w.copy_((2 * torch.rand(w.shape, generator=generator, dtype=w.dtype) - 1) * reach)

    def __call__(self, weights, s):
        """(x, x') of shape (n_windows, n, n_vars), at s of shape (n_windows, n)."""
        length = (self.edges[1:] - self.edges[:-1])[:, None]
        u = (s - self.edges[:-1, None]) / length
        features, tangents = (2 * u - 1)[..., None], (2 / length).expand(s.shape)[..., None]
        activation = "tanh"
        if self.method.net == "fourier":
            angle, turn = features * self.frequencies, tangents * self.frequencies
            features = torch.cat([torch.sin(angle), torch.cos(angle)], -1)
            tangents = torch.cat([turn * torch.cos(angle), -turn * torch.sin(angle)], -1)
        elif self.method.net == "sine":
            activation = "sine"
        x, slope = propagate(weights, features, tangents, activation)
        if self.method.start == "hard":
            x, slope = self.x_start + u[..., None] * x, u[..., None] * slope + x / length[..., None]
        return x, slope

    def predict(self, weights, s):
        """x at s of shape (n,), each from its window."""
        window = torch.bucketize(s, self.edges[1:-1])
        with torch.no_grad():
            return self(weights, s.expand(len(self.edges) - 1, -1))[0][window, torch.arange(len(s))]


class Moments:
    """Integrals of the residual against Legendre polynomials on elements, by parts, so that x' is not asked for.

    Kharazmi, Zhang & Karniadakis 2021, CMAME 374, 113547.
    """

    def __init__(self, problem, n, span, n_nodes=10, n_tests=4):
        nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
        edges = problem.points(max(n // n_nodes, 1) + 1, *span)
        self.length = (edges[1:] - edges[:-1])[:, None]
        inside = edges[:-1, None] + self.length * torch.from_numpy((nodes + 1) / 2)
        self.shape, self.s = inside.shape, torch.cat([inside.flatten(), edges])
        basis = np.polynomial.legendre.Legendre.basis
        tests = [basis(k) for k in range(n_tests)]
        self.value = torch.from_numpy(np.array([p(nodes) * weights / 2 for p in tests]))
        self.slope = torch.from_numpy(
            np.array([p.deriv()(nodes) * weights if k else 0 * nodes for k, p in enumerate(tests)])
        )
        self.sign = torch.from_numpy((-1.0) ** np.arange(n_tests))

    def __call__(self, problem, x):
        """Moments per unit length, of shape (n_vars, n_elements n_tests), of x at ``self.s``."""
        split = self.shape.numel()
        inner, edge = x[:split].view(*self.shape, -1), x[split:]
        g = problem.field(self.s[:split], x[:split]).view(inner.shape)
        ends = edge[1:, None] - self.sign[:, None] * edge[:-1, None]
        r = (ends - torch.einsum("kq,eqv->ekv", self.slope, inner)) / self.length[..., None]
        return (r - torch.einsum("kq,eqv->ekv", self.value, g)).flatten(0, 1).T
