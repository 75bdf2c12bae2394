"""The terms of the loss: one table, which the configuration and the trainer walk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import torch

from ..named import find_named
from . import losses

if TYPE_CHECKING:
    from .prepare import Prepared


class Batch:
    """What a term sees: training pairs, equally many of each expert.

    Attributes
    ----------
    data : Prepared
    rows : int64 Tensor
        Numbers of the pairs, those of an expert together.
    """

    def __init__(self, data: Prepared, rows: torch.Tensor):
        self.data, self.rows = data, rows
        self.surrogate, self.encoding = data.surrogate, data.surrogate.encoding

    @property
    def state(self) -> torch.Tensor:
        """Starts, shape (n, n_vars)."""
        return self.data.pairs.state[self.rows]

    @property
    def dt(self) -> torch.Tensor:
        """Time steps, shape (n,)."""
        return self.data.pairs.dt[self.rows]

    @property
    def end(self) -> torch.Tensor:
        """Labels, shape (n, n_vars)."""
        return self.data.pairs.end[self.rows]

    @property
    def stacks(self) -> tuple[torch.Tensor, ...]:
        """Inputs, targets and what counts, each of shape (n_experts, n / n_experts, ...)."""
        n, data = len(self.data.rows), self.data
        return tuple(x[self.rows].view(n, len(self.rows) // n, -1) for x in (data.inputs, data.target, data.counts))


@dataclass(frozen=True)
class Term:
    """A term of the loss.

    Attributes
    ----------
    errors : callable
        ``errors(batch)`` with a `Batch`: what is to become small, a tensor of any shape.
    needs_labels, needs_physics : bool
        Whether it compares with labels, and whether it wants ``batch.data.physics``.
    """

    errors: Callable[[Batch], torch.Tensor]
    needs_labels: bool = False
    needs_physics: bool = False


def _supervised(batch):
    return losses.supervised(batch.surrogate, *batch.stacks)


def _residual(batch):
    data = batch.data
    early = data.early[batch.rows]
    return losses.residual(batch.surrogate.flow, data.physics, batch.encoding, batch.state, batch.dt, early)


def _semigroup(batch):
    encoding = batch.encoding
    return losses.semigroup(batch.surrogate.flow, encoding, batch.state, batch.dt, encoding.dt_lower)


def _rollout(batch):
    encoding = batch.encoding
    return losses.rollout(batch.surrogate.flow, encoding, batch.state, batch.dt, batch.end, encoding.dt_lower)


TERMS: dict[str, Term] = {
    "supervised": Term(_supervised, needs_labels=True),
    "residual": Term(_residual, needs_physics=True),
    "semigroup": Term(_semigroup),
    "rollout": Term(_rollout, needs_labels=True),
}


def find_term(name: str) -> Term:
    """A term by name; MODULE:NAME is one of yours, a `Term` or its function of a `Batch` alone."""
    if name in TERMS:
        return TERMS[name]
    if ":" not in name:
        raise ValueError(f"{name!r} is no term: give {', '.join(TERMS)}, or MODULE:NAME")
    found = find_named(name, "term")
    return found if isinstance(found, Term) else Term(found)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms of the loss; a term of weight zero is not computed.

    Attributes
    ----------
    supervised : float
        Distance to labels.
    residual : float
        Violation of the equations, see `losses.residual`.
    semigroup : float
        Two steps in succession against one, see `losses.semigroup`.
    rollout : float
        `losses.N_ROLLOUT` steps in succession against the label.
    adaptive : bool
        Rebalance the other weights against the first term's gradient, see `weights.LossWeights`.
    own : dict of str to float
        Weights of terms of your own, by MODULE:NAME.
    """

    supervised: float = 1.0
    residual: float = 0.0
    semigroup: float = 0.0
    rollout: float = 0.0
    adaptive: bool = False
    own: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        if not self.weights or min(self.weights.values()) < 0:
            raise ValueError(f"{self}: give at least one term a positive weight, and none a negative one")
        self.chosen()

    @classmethod
    def of(cls, weights: dict[str, float], adaptive: bool = False) -> LossConfig:
        """From weights by name, which may be of terms of your own; what is not named is not computed."""
        shipped = {name: weights.get(name, 0.0) for name in TERMS}
        return cls(**shipped, adaptive=adaptive, own={k: w for k, w in weights.items() if k not in TERMS})

    @property
    def weights(self) -> dict[str, float]:
        """Weight by name of the terms that count."""
        every = {name: getattr(self, name) for name in TERMS} | self.own
        return {name: float(weight) for name, weight in every.items() if weight}

    def chosen(self) -> dict[str, Term]:
        """The terms that count, by name."""
        return {name: find_term(name) for name in self.weights}

    @property
    def needs_labels(self) -> bool:
        """Whether some term compares with labels."""
        return any(term.needs_labels for term in self.chosen().values())

    @property
    def needs_physics(self) -> bool:
        """Whether some term wants the equations."""
        return any(term.needs_physics for term in self.chosen().values())

    def plain(self) -> dict[str, float | bool]:
        """As a flat dict, for a model file."""
        return {k: v for k, v in asdict(self).items() if k != "own"} | self.own
