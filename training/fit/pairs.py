"""Training pairs: where a cell starts, how long it has, where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

import surrogate

from ..labels import load_labels
from ..populations import check_population, draw, seed_of
from ..systems import System
from .losses import EARLY, Physics


@dataclass
class Pairs:
    """Training pairs: states, time steps, ends; float64 tensors of shape (n, n_vars), (n,), (n, n_vars).

    Without labels `end` is None.
    """

    state: torch.Tensor
    dt: torch.Tensor
    end: torch.Tensor | None

    @classmethod
    def draw(
        cls, system: System, population: str, n: int, seed: int, dt_range: tuple[float, float] | None = None
    ) -> Pairs:
        """Pairs without labels: cells of a population, times log-uniform from where nothing has happened yet."""
        chosen = check_population(population, system, dt_range)
        advance = None
        if chosen.needs_solver:
            advance = surrogate.load(system.name).stepper(rtol=1e-2, net=False).step
        state = torch.from_numpy(draw(population, system, n, seed_of("train", seed), advance, dt_range)[0])
        low, high = dt_range or chosen.dt_range
        start = (0.3 * EARLY / Physics(system).fastest_rate(state)).clamp_max(low)
        u = torch.from_numpy(np.random.default_rng(seed).random(n))
        return cls(state, start * (high / start) ** u, None)

    @classmethod
    def from_trajectories(cls, start: np.ndarray, dt: np.ndarray, end: np.ndarray) -> Pairs:
        """Every end of a trajectory seen from its start, and the last seen from each earlier one.

        Parameters
        ----------
        start : ndarray of shape (n, n_vars)
        dt : ndarray of shape (n, n_dt)
            Ascending times.
        end : ndarray of shape (n, n_dt, n_vars)
            NaN where the solver failed.
        """
        n_dt = dt.shape[1]
        states = [start] * n_dt + [end[:, k] for k in range(n_dt - 1)]
        steps = [dt[:, k] for k in range(n_dt)] + [dt[:, -1] - dt[:, k] for k in range(n_dt - 1)]
        ends = [end[:, k] for k in range(n_dt)] + [end[:, -1]] * (n_dt - 1)
        state, step, last = np.concatenate(states), np.concatenate(steps), np.concatenate(ends)
        good = np.isfinite(state).all(1) & np.isfinite(last).all(1) & (step >= dt.min())
        return cls(*(torch.from_numpy(np.ascontiguousarray(x[good])) for x in (state, step, last)))

    def to(self, device: torch.device) -> Pairs:
        """The same pairs on a device."""
        return Pairs(*(x if x is None else x.to(device) for x in (self.state, self.dt, self.end)))

    def __len__(self):
        return len(self.dt)


def read_pairs(paths: Sequence[str], system: System, splits: tuple[str, ...] | None = None) -> Pairs:
    """All pairs of some label files, of these splits, see `Pairs.from_trajectories`."""
    parts = []
    for path in paths:
        labels = load_labels(path, system=system, splits=splits)
        if labels.params is not None:
            raise ValueError(f"{path}: the labels vary parameters, which nets do not take; make them without --param")
        parts.append(Pairs.from_trajectories(labels.start, labels.dt, labels.end))
    return Pairs(*(torch.cat([getattr(p, k) for p in parts]) for k in ("state", "dt", "end")))
