"""Nets: stacks of region experts, each cell evaluated by one."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from .architectures import ARCHITECTURES, Residual, find_architecture
from .net_data import NetData

#: width and depth of the perceptrons that predict what the solver would cost, and what the net would err by
GAUGE, JUDGE = {"width": 16, "depth": 1}, {"width": 48, "depth": 2}


@dataclass(frozen=True)
class NetConfig:
    """Architecture of a net with region experts.

    Attributes
    ----------
    width, depth : int
        Hidden width and number of hidden layers after the first.
    regions : tuple of int
        Experts along each routing coordinate: temperature, density * time, time; what is left out is 1.
    linear : bool
        Whether a perceptron corrects a linear fit, made once.
    kind : str
        One of `ARCHITECTURES`, or one of your own, MODULE:NAME.
    """

    width: int = 96
    depth: int = 3
    regions: tuple = (4, 4, 2)
    linear: bool = True
    kind: str = "residual"

    def __post_init__(self):
        object.__setattr__(self, "regions", tuple(self.regions) + (1,) * (3 - len(self.regions)))
        if self.width < 1 or self.depth < 0 or min(self.regions) < 1:
            raise ValueError(f"{self}: width and regions must be positive, depth not negative")
        find_architecture(self.kind)

    @property
    def n_experts(self):
        """Number of experts."""
        return math.prod(self.regions)


class Router(torch.nn.Module):
    """Hard assignment of cells to experts: quantile bins of one coordinate, of the next within each of these, ...

    Parameters
    ----------
    rows : Tensor of shape (n_levels, n_features)
        The coordinates as combinations of the features.
    edges : sequence of Tensor
        Per level, shape (product of the earlier numbers of bins, bins - 1).
    """

    def __init__(self, rows, edges):
        super().__init__()
        self.n_levels = len(edges)
        self.register_buffer("rows", rows)
        for level, edge in enumerate(edges):
            self.register_buffer(f"edges{level}", edge)

    @classmethod
    def fit(cls, features, rows, regions):
        """Equally many training cells in each region."""
        coordinates = features @ rows.T
        expert, edges = torch.zeros(len(features), dtype=torch.int64), []
        for level, bins in enumerate(regions):
            x, levels = coordinates[:, level], torch.arange(1, bins, dtype=torch.float64) / bins
            parts = [np.quantile(x[expert == e].numpy(), levels.numpy()) for e in range(math.prod(regions[:level]))]
            edges.append(torch.as_tensor(np.stack(parts), dtype=features.dtype))
            expert = expert * bins + (x.unsqueeze(1) > edges[-1][expert]).sum(1)
        return cls(rows, edges)

    def edges(self):
        """The edges of every level."""
        return [getattr(self, f"edges{level}") for level in range(self.n_levels)]

    def forward(self, features):
        """Number of the expert, int64 of shape (n,)."""
        coordinates = features @ self.rows.T
        expert = torch.zeros_like(coordinates[:, 0], dtype=torch.int64)
        for level, edge in enumerate(self.edges()):
            above = (coordinates[:, level].unsqueeze(1) > edge[expert]).sum(1)
            expert = expert * (edge.shape[1] + 1) + above
        return expert


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


class Surrogate(torch.nn.Module):
    """(state, dt) -> (new state, predicted error), with everything it was trained with.

    Beside each expert stand two small perceptrons that see the features alone: its gauge says log10 of the attempts
    that the solver would need, its judge log10 of the error to expect of the expert, the largest |y/y_ref - 1| over
    variables; see `fit.predictors`.
    With ``config.linear`` the buffers `slope` (n_experts, n_in, n_vars) and `offset` (n_experts, 1, n_vars) give a
    linear function of the standardised features that is added to the change; zeros until they are fitted.
    """

    def __init__(self, encoding, router, config, statistics):
        super().__init__()
        self.encoding, self.router, self.config = encoding, router, config
        for name in ("mean", "std", "out_std"):  # (n_experts, n)
            self.register_buffer(name, statistics[name])
        n_experts, n_in = self.mean.shape
        n_vars = self.out_std.shape[1]
        self.experts = ARCHITECTURES[config.kind](config, n_in, n_vars, n_experts)
        self.gauge = Residual(NetConfig(**GAUGE, regions=(n_experts,)), n_in, 1, n_experts)
        self.judge = Residual(NetConfig(**JUDGE, regions=(n_experts,)), n_in, 1, n_experts)
        self.register_buffer("slope", torch.zeros(n_experts, n_in, n_vars) if config.linear else None)
        self.register_buffer("offset", torch.zeros(n_experts, 1, n_vars) if config.linear else None)

    def outputs(self, x, experts=slice(None)):
        """Change per variable for standardised features of shape (n_stacks, n, n_in).

        `experts` says which expert each leading index belongs to: a slice or an index tensor.
        """
        x = x.to(next(self.experts.parameters()).dtype)
        change = self.experts(x, experts)
        change = change * self.out_std[experts].unsqueeze(1).to(x.dtype)
        if self.slope is not None:
            change = change + torch.baddbmm(self.offset[experts].to(x.dtype), x, self.slope[experts].to(x.dtype))
        return change

    def predict_change(self, features, expert):
        """Change per variable and what judge and gauge say, for features and the numbers of their experts."""
        rows, owner, place = sort_into_blocks(expert, len(self.mean))
        x = (features - self.mean[expert]) / self.std[expert]
        x = torch.nn.functional.pad(x, (0, 0, 0, 1))  # what blocks are filled up with
        change = self.outputs(x[rows], owner)
        x = x[rows].to(self.judge.weights[0].dtype)
        judgement = torch.cat([self.judge(x, owner), self.gauge(x, owner)], -1)
        return change.flatten(0, 1)[place], judgement.flatten(0, 1)[place]

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
            Infinite where the prediction violates the laws too much to be repaired.
        """
        end, judgement, good = self.flow(state, dt)
        return end, torch.where(good, 10.0 ** judgement[:, 0], torch.inf)

    def net_data(self, system, domain, calibration) -> NetData:
        """What C is generated from, with what the net may be trusted with."""
        return NetData.of(system, self, domain, calibration)

    def flow(self, state, dt):
        """New state, what judge and gauge say (n, 2), whether the laws could be restored (n,)."""
        features = self.encoding.features(state, dt)
        change, judgement = self.predict_change(features, self.router(features))
        end, good = self.encoding.decode(state, dt, change)
        return end, judgement, good
