"""What a training run starts from: regions, statistics, linear fits, targets, and the net made of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..nets.encoding import Encoding
from ..nets.experts import NetConfig, Router, Surrogate
from ..systems import System
from .losses import Physics
from .pairs import Pairs
from .terms import LossConfig


@dataclass
class Prepared:
    """A net with the data that it is trained on, on the device of the training.

    Attributes
    ----------
    surrogate : Surrogate
    pairs : Pairs
    inputs : Tensor of shape (n, n_features), float32
        Standardised features.
    rows : list of Tensor
        Numbers of the pairs of each expert.
    target, counts : Tensor of shape (n, n_vars), float32, or None without labels
        See `Encoding.targets`.
    remaining : Tensor of shape (n, n_vars), float32, or None without labels
        What of the target the linear fits leave over.
    physics : Physics, optional
        The equations, if the loss asks for them.
    early : bool Tensor of shape (n,), optional
        See `Physics.is_early`.
    """

    surrogate: Surrogate
    pairs: Pairs
    inputs: torch.Tensor
    rows: list[torch.Tensor]
    target: torch.Tensor | None = None
    counts: torch.Tensor | None = None
    remaining: torch.Tensor | None = None
    physics: Physics | None = None
    early: torch.Tensor | None = None

    def params_of(self, rows: torch.Tensor) -> torch.Tensor | None:
        """Parameters of some pairs, as the net takes them."""
        params = self.pairs.params
        return None if params is None else self.surrogate.encoding.of_params(params[rows])

    def draw(self, n: int) -> torch.Tensor:
        """Numbers of training pairs, `n` of each expert."""
        return torch.cat([i[torch.randint(len(i), (n,), device=i.device)] for i in self.rows])


def prepare(
    system: System,
    encoding: Encoding,
    pairs: Pairs,
    net: NetConfig,
    loss: LossConfig,
    start: Surrogate | None,
    device: torch.device,
) -> Prepared:
    """Divide the pairs among experts and make the net; from `start`, its regions, scales and weights are taken."""
    features = encoding.features(pairs.state, pairs.dt, encoding.of_params(pairs.params))
    router = start.router if start else Router.fit(features, routing_rows(encoding), net.regions)
    expert = router(features)
    rows = divide(expert, net.n_experts)
    if start:
        statistics = {k: getattr(start, k) for k in ("mean", "std", "out_std")}
    else:
        statistics = statistics_of(features, rows)
    inputs = ((features - statistics["mean"][expert]) / statistics["std"][expert]).float()
    linear = target = counts = remaining = None
    if pairs.end is None:  # a decade, or as much as signed variables vary
        spread = torch.where(encoding.log, 1.0, pairs.state.std(0)).clamp_min(1e-4)
        statistics.setdefault("out_std", spread.repeat(net.n_experts, 1))
    else:
        target, counts = encoding.targets(pairs.state, pairs.dt, pairs.end)
        linear = linear_fits(inputs, target, counts, rows, start) if net.linear else None
        remaining = remaining_of(inputs, target, rows, linear)
        statistics.setdefault("out_std", torch.stack([_spread(remaining[i], counts[i]) for i in rows]))
    surrogate = make_net(encoding, router, net, statistics, linear, start).to(device)
    prepared = Prepared(surrogate, pairs.to(device), inputs.to(device), [i.to(device) for i in rows])
    if target is not None:
        prepared.target, prepared.counts = target.float().to(device), counts.float().to(device)
        prepared.remaining = remaining.float()
    if loss.needs_physics:
        prepared.physics = Physics(system, device)
        prepared.early = prepared.physics.is_early(prepared.pairs.state, prepared.pairs.dt)
    return prepared


def routing_rows(encoding: Encoding) -> torch.Tensor:
    """Coordinates that experts divide: temperature; density * time, the clock of two-body reactions; time."""
    names, n = encoding.names, encoding.n_features
    rows = torch.zeros(3, n, dtype=torch.float64)
    rows[0, names.index("T") if "T" in names else 0] = 1.0
    rows[1:, encoding.dt_column] = 1.0
    if encoding.has_total:
        rows[1, encoding.dt_column - 1] = 1.0
    return rows


def divide(expert: torch.Tensor, n_experts: int) -> list[torch.Tensor]:
    """Rows of each expert; raises ValueError if one has none."""
    rows = [(expert == e).nonzero()[:, 0] for e in range(n_experts)]
    if empty := [e for e, i in enumerate(rows) if not len(i)]:
        raise ValueError(f"regions {empty} of {len(rows)} hold no training cells: give labels of the whole domain")
    return rows


def statistics_of(features, rows):
    """Mean and standard deviation of the features of each expert; dict of tensors of shape (n_experts, n_features)."""
    return {
        "mean": torch.stack([features[i].mean(0) for i in rows]),
        "std": torch.stack([features[i].std(0) for i in rows]).clamp_min(1e-3),
    }


def linear_fits(inputs, target, counts, rows, start=None):
    """Slope and offset of each expert, those of `start` if it is given; list of pairs of tensors."""
    if start:
        return list(zip(start.slope.double(), start.offset.double()))
    return [fit_linear(inputs[i].double(), target[i], counts[i]) for i in rows]


def remaining_of(inputs, target, rows, linear):
    """The target less the linear fits, if there are any."""
    remaining = target.clone()
    for i, (slope, offset) in zip(rows, linear or ()):
        remaining[i] -= inputs[i].double() @ slope + offset
    return remaining


def make_net(encoding, router, net, statistics, linear, start):
    """A net with new weights, or those of `start`."""
    surrogate = Surrogate(encoding, router, net, statistics)
    if linear:
        for buffer, values in zip((surrogate.slope, surrogate.offset), zip(*linear)):
            buffer.copy_(torch.stack(values))
    if start:
        for part in ("experts", "gauge", "judge"):
            getattr(surrogate, part).load_state_dict(getattr(start, part).state_dict())
    return surrogate


def fit_linear(x, target, counts):
    """Least squares, per variable over the cells where it counts.

    Parameters
    ----------
    x : Tensor of shape (n, n_in)
    target, counts : Tensor of shape (n, n_vars)

    Returns
    -------
    slope : Tensor of shape (n_in, n_vars)
    offset : Tensor of shape (1, n_vars)
    """
    basis = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    columns = []
    for y, used in zip(target.T, counts.T):
        part = basis[used]
        gram = part.T @ part + 1e-9 * (len(part) + 1) * torch.eye(basis.shape[1], dtype=x.dtype)
        columns.append(torch.linalg.solve(gram, part.T @ y[used]))
    solution = torch.stack(columns, 1)
    return solution[:-1], solution[-1:]


def _spread(values, counts):
    """Root mean square per variable over the cells where it counts."""
    return ((values**2 * counts).sum(0) / (counts.sum(0) + 1)).sqrt().clamp_min(1e-4)
