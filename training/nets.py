"""Nets: stacks of region experts, each cell evaluated by one."""

import math
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class NetConfig:
    """Architecture of a residual multilayer perceptron with region experts.

    Attributes
    ----------
    width, depth : int
        Hidden width and number of residual layers.
    regions : tuple of int
        Experts along each routing coordinate, (temperature, time in units of the two-body time); (1, 1) is one net.
    base : int
        Degree of the polynomial of the features that a perceptron corrects: 0 (none), 1 or 2.
    """

    width: int = 96
    depth: int = 3
    regions: tuple = (4, 4)
    base: int = 0

    def __post_init__(self):
        if self.width < 1 or self.depth < 0 or min(self.regions) < 1:
            raise ValueError(f"{self}: width and regions must be positive, depth not negative")
        if self.base not in (0, 1, 2):
            raise ValueError(f"{self}: base is the degree of a polynomial, 0 (none), 1 or 2")

    @property
    def n_experts(self):
        """Number of experts."""
        return self.regions[0] * self.regions[1]


class Router(torch.nn.Module):
    """Hard assignment of cells to experts: quantile bins of one coordinate, then of a second within each.

    Parameters
    ----------
    rows : Tensor of shape (2, n_features)
        The two coordinates as combinations of the features.
    first : Tensor of shape (a - 1,)
        Edges of the first coordinate.
    second : Tensor of shape (a, b - 1)
        Edges of the second within each bin of the first.
    """

    def __init__(self, rows, first, second):
        super().__init__()
        for name, value in (("rows", rows), ("first", first), ("second", second)):
            self.register_buffer(name, value)

    @classmethod
    def fit(cls, features, rows, regions):
        """Equally many training cells in each region."""
        u, v = (features @ rows.T).T.contiguous()
        first = _edges(u, regions[0])
        bins = torch.bucketize(u, first)
        second = torch.stack([_edges(v[bins == i], regions[1]) for i in range(regions[0])])
        return cls(rows, first, second)

    def forward(self, features):
        """Number of the expert, int64 of shape (n,)."""
        coordinates = features @ self.rows.T
        i = (coordinates[:, :1] > self.first).sum(1)
        j = (coordinates[:, 1:] > self.second[i]).sum(1)
        return i * (self.second.shape[1] + 1) + j


def _edges(x, n):
    return torch.as_tensor(np.quantile(x.numpy(), np.arange(1, n) / n), dtype=x.dtype)


class Experts(torch.nn.Module):
    """Residual perceptrons side by side, weights stacked over experts.

    ``h = silu(W0 x + b0)``, ``h += silu(Wk h + bk)``, ``y = Wn h + bn``, on standardised inputs and outputs.
    """

    def __init__(self, config, n_in, n_out, n_experts):
        super().__init__()
        sizes = [n_in, *[config.width] * (config.depth + 1), n_out]
        self.weights = torch.nn.ParameterList()
        self.biases = torch.nn.ParameterList()
        for k, (i, o) in enumerate(zip(sizes[:-1], sizes[1:])):
            bound = (0.1 if k == len(sizes) - 2 else 1.0) / math.sqrt(i)
            self.weights.append(torch.nn.Parameter((2 * torch.rand(n_experts, i, o) - 1) * bound))
            self.biases.append(torch.nn.Parameter(torch.zeros(n_experts, 1, o)))

    def forward(self, x, experts=slice(None)):
        """Outputs of shape (n_experts, n, n_out) for inputs of shape (n_experts, n, n_in), of a slice of experts."""
        layers = [(b[experts], w[experts]) for b, w in zip(self.biases, self.weights)]
        silu = torch.nn.functional.silu
        h = silu(torch.baddbmm(layers[0][0], x, layers[0][1]))
        for bias, weight in layers[1:-1]:
            h = h + silu(torch.baddbmm(bias, h, weight))
        return torch.baddbmm(layers[-1][0], h, layers[-1][1])


def polynomial(x, order):
    """Basis functions 1, x_i and, for order 2, x_i x_j with i <= j (j running first).

    Parameters
    ----------
    x : Tensor of shape (..., n)
    order : int
        1 or 2.

    Returns
    -------
    Tensor of shape (..., n_basis)
    """
    parts = [torch.ones_like(x[..., :1]), x]
    if order == 2:
        i, j = torch.triu_indices(x.shape[-1], x.shape[-1])
        parts.append(x[..., i] * x[..., j])
    return torch.cat(parts, -1)


class Surrogate(torch.nn.Module):
    """(state, dt) -> (new state, predicted error), with everything it was trained with.

    The last output of the net is log10 of the error it expects of itself: the largest |y/y_ref - 1| over variables.
    With ``config.base`` the buffer `base` of shape (n_experts, n_basis, n_vars) holds the coefficients of a polynomial
    of the standardised features that is added to the change; zeros until it is fitted. Else it is None.
    """

    def __init__(self, encoding, router, config, statistics):
        super().__init__()
        self.encoding, self.router, self.config = encoding, router, config
        for name in ("mean", "std", "out_std"):  # (n_experts, n)
            self.register_buffer(name, statistics[name])
        n_experts, n_in = self.mean.shape
        n_vars = self.out_std.shape[1]
        self.experts = Experts(config, n_in, n_vars + 1, n_experts)
        n_basis = polynomial(torch.zeros(n_in), config.base).shape[0]
        self.register_buffer("base", torch.zeros(n_experts, n_basis, n_vars) if config.base else None)

    def predict_change(self, features, expert):
        """Change per variable and log10 of its expected error, for features sorted into experts by number."""
        x = ((features - self.mean[expert]) / self.std[expert]).to(self.experts.weights[0].dtype)
        change = x.new_empty(len(x), self.out_std.shape[1])
        error = x.new_empty(len(x))
        for e in range(len(self.mean)):
            rows = (expert == e).nonzero()[:, 0]
            if len(rows):
                out = self.experts(x[rows].unsqueeze(0), slice(e, e + 1))[0]
                change[rows] = out[:, :-1] * self.out_std[e].to(x.dtype)
                if self.base is not None:
                    change[rows] += polynomial(x[rows], self.config.base) @ self.base[e]
                error[rows] = out[:, -1]
        return change, error

    def forward(self, state, dt):
        """New state and predicted error.

        Parameters
        ----------
        state : Tensor of shape (n, n_vars), float64
        dt : Tensor of shape (n,), float64

        Returns
        -------
        end : Tensor of shape (n, n_vars), float64
        error : Tensor of shape (n,)
        """
        features = self.encoding.features(state, dt)
        change, error = self.predict_change(features, self.router(features))
        return self.encoding.apply_change(state, dt, change), 10.0**error
