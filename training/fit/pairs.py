"""Training pairs: where a cell starts, how long it has, where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

import surrogate

from ..labels import Labels, load_labels
from ..populations import check_population, draw, seed_of
from ..systems import System
from .losses import EARLY, Physics


@dataclass
class Pairs:
    """Training pairs: states, time steps, ends; float64 tensors of shape (n, n_vars), (n,), (n, n_vars).

    Without labels `end` is None. `params`, of shape (n, n_params), is None where the parameters are the system's own;
    `inputs` are then the ranges of those that vary.
    """

    state: torch.Tensor
    dt: torch.Tensor
    end: torch.Tensor | None
    params: torch.Tensor | None = None
    inputs: dict[str, tuple[float, float]] = field(default_factory=dict)

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
    def from_trajectories(
        cls, start: np.ndarray, dt: np.ndarray, end: np.ndarray, params: np.ndarray | None = None
    ) -> Pairs:
        """Every end of a trajectory seen from its start, and the last seen from each earlier one.

        Parameters
        ----------
        start : ndarray of shape (n, n_vars)
        dt : ndarray of shape (n, n_dt)
            Ascending times.
        end : ndarray of shape (n, n_dt, n_vars)
            NaN where the solver failed.
        params : ndarray of shape (n, n_params), optional
        """
        n_dt = dt.shape[1]
        states = [start] * n_dt + [end[:, k] for k in range(n_dt - 1)]
        steps = [dt[:, k] for k in range(n_dt)] + [dt[:, -1] - dt[:, k] for k in range(n_dt - 1)]
        ends = [end[:, k] for k in range(n_dt)] + [end[:, -1]] * (n_dt - 1)
        state, step, last = np.concatenate(states), np.concatenate(steps), np.concatenate(ends)
        good = np.isfinite(state).all(1) & np.isfinite(last).all(1) & (step >= dt.min())
        columns = [state, step, last]
        if params is not None:
            columns.append(np.tile(params, (2 * n_dt - 1, 1)))
        return cls(*(torch.from_numpy(np.ascontiguousarray(x[good])) for x in columns))

    @property
    def dt_range(self) -> tuple[float, float]:
        """Shortest and longest time step."""
        return float(self.dt.min()), float(self.dt.max())

    def rows(self, rows: torch.Tensor) -> Pairs:
        """Some of the pairs, on the CPU."""
        columns = (self.state, self.dt, self.end, self.params)
        return Pairs(*(x if x is None else x[rows].cpu() for x in columns), self.inputs)

    def to(self, device: torch.device) -> Pairs:
        """The same pairs on a device."""
        columns = (self.state, self.dt, self.end, self.params)
        return Pairs(*(x if x is None else x.to(device) for x in columns), self.inputs)

    def __len__(self):
        return len(self.dt)


def read_pairs(paths: Sequence[str], system: System, splits: tuple[str, ...] | None = None) -> Pairs:
    """All pairs of some label files, of these splits, see `Pairs.from_trajectories`.

    A file that does not vary a parameter which another one varies has the system's own value of it.
    """
    files = [load_labels(path, system=system, splits=splits) for path in paths]
    inputs = joint_ranges(system, [file.param_ranges for file in files])
    own = np.array(system.parameter_values)
    parts = []
    for file in files:
        params = np.tile(own, (len(file.start), 1)) if inputs and file.params is None else file.params
        parts.append(Pairs.from_trajectories(file.start, file.dt, file.end, params))
    columns = ("state", "dt", "end", "params") if inputs else ("state", "dt", "end")
    return Pairs(*(torch.cat([getattr(p, k) for p in parts]) for k in columns), inputs=inputs)


def joint_ranges(system: System, ranges: Sequence[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """Ranges over all label files of the parameters that any of them varies, in the system's order."""
    result = {}
    for name, value in zip((p.name for p in system.parameters), system.parameter_values):
        if any(name in own for own in ranges):
            ends = np.array([own.get(name, (value, value)) for own in ranges])
            result[name] = float(ends[:, 0].min()), float(ends[:, 1].max())
    return result
