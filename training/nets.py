"""Nets: stacks of region experts, each cell evaluated by one."""

from dataclasses import dataclass

import numpy as np
import torch

from .architectures import ARCHITECTURES


@dataclass(frozen=True)
class NetConfig:
    """Architecture of a net with region experts.

    Attributes
    ----------
    width, depth : int
        Hidden width and number of hidden layers after the first.
    regions : tuple of int
        Experts along each routing coordinate, (temperature, time in units of the two-body time); (1, 1) is one net.
    base : int
        Degree of the polynomial of the features that a perceptron corrects: 0 (none), 1 or 2.
    kind : str
        One of `ARCHITECTURES`.
    """

    width: int = 96
    depth: int = 3
    regions: tuple = (4, 4)
    base: int = 0
    kind: str = "residual"

    def __post_init__(self):
        if self.width < 1 or self.depth < 0 or min(self.regions) < 1:
            raise ValueError(f"{self}: width and regions must be positive, depth not negative")
        if self.base not in (0, 1, 2):
            raise ValueError(f"{self}: base is the degree of a polynomial, 0 (none), 1 or 2")
        if self.kind not in ARCHITECTURES:
            raise ValueError(f"kind is {self.kind!r}: choose from {', '.join(ARCHITECTURES)}")

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


@torch.jit.script_if_tracing
def sort_into_blocks(expert: torch.Tensor, n_experts: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cells sorted into blocks of one expert each.

    The number of blocks and their size depend on the number of cells alone, so that the same operations serve any
    cells: a net can be traced and exported.

    Returns
    -------
    rows : Tensor of shape (n_blocks, size)
        Numbers of cells; n where a block is filled up.
    owner : Tensor of shape (n_blocks,)
        The expert of each block.
    place : Tensor of shape (n,)
        Where each cell is in the flattened blocks.
    """
    n = expert.shape[0]
    size = 2 + n // (4 * n_experts)  # at least 2, and so many blocks: exported programs fix sizes of 0 and 1
    n_blocks = n // size + n_experts + 1
    counts = (expert.unsqueeze(1) == torch.arange(n_experts, device=expert.device)).sum(0)
    blocks = (counts + (size - 1)) // size
    end = blocks.cumsum(0)
    order = torch.argsort(expert, stable=True)
    sorted_expert = expert[order]
    rank = torch.arange(n, device=expert.device) - (counts.cumsum(0) - counts)[sorted_expert]
    slot = (end - blocks)[sorted_expert] * size + rank
    rows = torch.full((n_blocks * size,), n, device=expert.device).index_copy(0, slot, order)
    owner = (torch.arange(n_blocks, device=expert.device).unsqueeze(1) >= end).sum(1).clamp_max(n_experts - 1)
    return rows.view(n_blocks, size), owner, torch.empty_like(slot).index_copy(0, order, slot)


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
        self.experts = ARCHITECTURES[config.kind](config, n_in, n_vars + 1, n_experts)
        n_basis = polynomial(torch.zeros(n_in), config.base).shape[0]
        self.register_buffer("base", torch.zeros(n_experts, n_basis, n_vars) if config.base else None)

    def outputs(self, x, experts=slice(None)):
        """Change per variable and log10 of its expected error for standardised features of shape (n_stacks, n, n_in).

        `experts` says which expert each leading index belongs to: a slice or an index tensor.
        """
        x = x.to(next(self.experts.parameters()).dtype)
        out = self.experts(x, experts)
        change = out[..., :-1] * self.out_std[experts].unsqueeze(1).to(out.dtype)
        if self.base is not None:
            change = change + polynomial(x, self.config.base) @ self.base[experts].to(out.dtype)
        return change, out[..., -1]

    def predict_change(self, features, expert):
        """Change per variable and log10 of its expected error, for features and the numbers of their experts."""
        rows, owner, place = sort_into_blocks(expert, len(self.mean))
        x = (features - self.mean[expert]) / self.std[expert]
        x = torch.nn.functional.pad(x, (0, 0, 0, 1))  # what blocks are filled up with
        change, error = self.outputs(x[rows], owner)
        return change.flatten(0, 1)[place], error.flatten(0, 1)[place]

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
            Infinite where the prediction violates the invariants too much to be repaired.
        """
        end, (error, good) = self.flow(state, dt)
        return end, torch.where(good, 10.0**error, torch.inf)

    def flow(self, state, dt):
        """New state, beside it (log10 of its expected error, whether its invariants could be restored)."""
        features = self.encoding.features(state, dt)
        change, error = self.predict_change(features, self.router(features))
        end, good = self.encoding.decode(state, dt, change)
        return end, (error, good)
