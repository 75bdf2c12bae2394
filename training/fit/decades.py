"""Training by decades: every target starts from what the present net says of an earlier time.

The horizon is short at first, and targets are found from the starts themselves. Then it grows: the target of a start
y0 at a time t beyond the horizon is a *hop* over the last part of t, from the net's own prediction at the time s before
it, N(y0, s). All targets so far are kept, and a net is fitted to them, which reaches as far as the horizon now does.
Nobody integrates from 0 to t. What is stiff forgets: an error at s decays before t, so that errors do not pile up.

A hop whose attempt is refused is halved until one is accepted: first its start moves up to the horizon, then its target
moves down. So each start has a horizon of its own, and goes on from there.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from surrogate.report import UNTOUCHED

from ..labels.solver import solver_model
from ..nets.experts import NetConfig, Surrogate
from ..nets.model_file import read_arrays, write_tensors
from ..nets.trained import load_model
from ..populations import check_population, draw, seed_of
from ..systems import System
from .config import TrainConfig
from .pairs import Pairs
from .terms import LossConfig
from .trainer import Trainer

#: times that a hop is halved before its start is left where it is
HALVINGS = 40
#: growth of the times [decades] after which routing and scales are fitted anew instead of training the net further
ANEW = 0.9
#: a start has arrived when its horizon is this near to its end; the share of them that must have; and the stages after
#: which those that have not are left behind
NEAR, ARRIVED, MOST_STAGES = 0.9, 0.95, 96
#: fewest pairs to watch the error on, within a horizon
FEWEST_CHECKED = 100
#: cells that the net predicts at once
CHUNK = 65536


@dataclass(frozen=True)
class Hop:
    """How far a target is from where it starts, and who finds it.

    Attributes
    ----------
    ratio : float
        Of the times at its end and at its start, at most.
    rtol : float
        Tolerance of the solver: an attempt is refused where its embedded error is larger.
    attempts : int
        Of the solver, for one hop.
    """

    ratio: float
    rtol: float
    attempts: int


#: the solver over nine tenths of t; a single attempt of it, at most to three times the time before
HOPS = {"solver": Hop(10.0, 0.1, 100_000), "attempt": Hop(3.0, 0.1, 1)}


@dataclass(frozen=True)
class Plan:
    """What the targets of a training by decades follow from.

    Attributes
    ----------
    hop : str
        One of `HOPS`.
    populations : tuple of str
        Equally many starts of each.
    n : int
        Starts.
    times : int
        Targets of each start and stage.
    first : float, optional
        First horizon [s]; ten times the shortest time step of the population if not given.
    dt_range : tuple of float, optional
        Time steps, for populations that have none of their own.
    on_the_way : bool
        Whether N(y0, s) is a start as well, with the time that is left.
    seed : int
    """

    hop: str = "solver"
    populations: tuple[str, ...] = ("wide",)
    n: int = 120_000
    times: int = 2
    first: float | None = None
    dt_range: tuple[float, float] | None = None
    on_the_way: bool = True
    seed: int = 0

    def __post_init__(self):
        if self.hop not in HOPS:
            raise ValueError(f"hop is {self.hop!r}: choose from {', '.join(HOPS)}")
        for name in ("n", "times"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1")
        if self.first is not None and not 0 < self.first < math.inf:
            raise ValueError(f"first is {self.first}: give a positive time [s]")
        if not self.populations:
            raise ValueError("populations is empty: name at least one")


@dataclass
class Starts:
    """Starts (n, n_vars) with the shortest time asked for, the first horizon and the last (n,) [s]; float64 arrays."""

    state: np.ndarray
    low: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def draw(cls, system: System, plan: Plan) -> Starts:
        """Starts of the plan's populations, the same for the same plan."""
        parts, n_populations = [], len(plan.populations)
        for k, name in enumerate(plan.populations):
            chosen, n = check_population(name, system, plan.dt_range), (plan.n + k) // n_populations
            advance = solver_model(system).stepper(rtol=1e-2, net=False).step if chosen.needs_solver else None
            state, _ = draw(name, system, n, seed_of("train", plan.seed, k), advance, plan.dt_range)
            low, last = plan.dt_range or chosen.dt_range
            first = 10 * low if plan.first is None else plan.first
            parts.append((state, *(np.full(n, min(x, last)) for x in (low, first, last))))
        return cls(*(np.concatenate(column) for column in zip(*parts)))


def hop_to(
    flow: Callable, advance: Callable, state: np.ndarray, t: np.ndarray, horizon: np.ndarray, ratio: float
) -> tuple[np.ndarray, ...]:
    """Targets at times `t`, or before it where a hop is refused.

    Parameters
    ----------
    flow : callable
        ``flow(state, s)``: what is known of the state at times s up to the horizon.
    advance : callable
        ``advance(cells, h)`` advances in place and returns their status: `UNTOUCHED` or more where it refuses.
    state : ndarray of shape (n, n_vars)
    t, horizon : ndarray of shape (n,)
    ratio : float
        Of the times at the end and at the start of a hop; infinite for hops from time zero.

    Returns
    -------
    s, h : ndarray of shape (n,)
        Where each hop starts, and how long it is.
    between, end : ndarray of shape (n, n_vars)
        The state at s by `flow`, and at s + h; NaN where all halvings were refused.
    """
    t, h = t.copy(), t * (1 - 1 / ratio)
    s = np.minimum(t - h, horizon)
    between, end, todo = np.full_like(state, np.nan), np.full_like(state, np.nan), np.arange(len(t))
    for _ in range(HALVINGS):
        now = flow(state[todo], s[todo])
        after = now.copy()
        is_found = (advance(after, h[todo]) < UNTOUCHED) & np.isfinite(now).all(1)
        found = todo[is_found]
        between[found], end[found] = now[is_found], after[is_found]
        todo = todo[~is_found]
        if not len(todo):
            break
        h[todo] /= 2
        s[todo] = np.minimum(t[todo] - h[todo], horizon[todo])
        t[todo] = s[todo] + h[todo]
    return s, h, between, end


def first_targets(advance: Callable, starts: Starts, hop: Hop, times: int, rng) -> dict[str, np.ndarray]:
    """Targets from the starts themselves; each first horizon is as far as one hop gets."""

    def flow(state, s):
        return state

    n, zero = len(starts.state), np.zeros(len(starts.state))
    _, reached, _, end = hop_to(flow, advance, starts.state, starts.first, zero, math.inf)
    reached = np.where(np.isfinite(end).all(1), reached, 0.0)
    rows = np.repeat(np.flatnonzero(reached), times)
    low = np.minimum(starts.low, starts.first / hop.ratio) * (reached / starts.first)
    t = low[rows] * (reached / np.maximum(low, 1e-300))[rows] ** _spread(n, times, rng)[np.repeat(reached > 0, times)]
    s, h, between, end = hop_to(flow, advance, starts.state[rows], t, zero[rows], math.inf)
    return {"rows": rows, "s": s, "h": h, "between": between, "end": end, "horizon": reached}


def next_targets(
    flow: Callable, advance: Callable, starts: Starts, horizon: np.ndarray, hop: Hop, times: int, rng
) -> dict[str, np.ndarray]:
    """Targets beyond the horizons, by hops from what the net knows. A horizon moves on by the whole ratio where no hop
    of its start was halved and taken, else to the latest target."""
    open_ = np.flatnonzero((horizon > 0) & (horizon < starts.last))
    rows = np.repeat(open_, times)
    now, ahead = horizon[rows], np.minimum(hop.ratio * horizon, starts.last)
    t = now * (ahead[rows] / now) ** _spread(len(open_), times, rng)
    s, h, between, end = hop_to(flow, advance, starts.state[rows], t, now, hop.ratio)
    found, reached = np.isfinite(end).all(1), horizon.copy()
    whole = ~found | (h == t * (1 - 1 / hop.ratio))  # what the net has lost here, other starts teach it
    np.maximum.at(reached, rows[found], (s + h)[found])
    is_whole = whole.reshape(-1, times).all(1)
    reached[open_[is_whole]] = ahead[open_[is_whole]]
    return {"rows": rows, "s": s, "h": h, "between": between, "end": end, "horizon": reached}


def _spread(n, times, rng):
    """`times` numbers of 0..1 for each of `n`, one in each part of equal length; shape (n times,)."""
    return ((np.arange(times) + 1 - rng.random((n, times))) / times).ravel()


def pairs_of(starts: Starts, stages: Sequence[dict[str, np.ndarray]], on_the_way: bool) -> Pairs:
    """All targets seen from their starts and, if wanted, from where their hops started."""
    columns = []
    for stage in stages:
        good, rows = np.isfinite(stage["end"]).all(1), stage["rows"]
        columns.append((starts.state[rows[good]], (stage["s"] + stage["h"])[good], stage["end"][good]))
    shortest = min(dt.min(initial=math.inf) for _, dt, _ in columns)
    for stage in stages if on_the_way else ():
        good = np.isfinite(stage["end"]).all(1) & (stage["s"] > 0) & (stage["h"] >= shortest)
        columns.append((stage["between"][good], stage["h"][good], stage["end"][good]))
    return Pairs(*(torch.from_numpy(np.concatenate(column)) for column in zip(*columns)))


class Decades:
    """A training by decades; `run` may be interrupted at any time and goes on from the files of the same run.

    The files of the stages, targets and nets, lie in ``OUT.decades`` until the model is finished. The time is divided
    by the decades that the horizons cover, with one share for the first horizon and one more for the last net.

    Parameters
    ----------
    system : System
        Time must not be explicit.
    plan : Plan
    check : Pairs
        Held-out pairs, which are watched alone.
    out : path
    net, config, metadata, loss
        As for `Trainer`; experts along time become as many as `net` says when the last stage is reached.
    """

    def __init__(
        self,
        system: System,
        plan: Plan,
        check: Pairs,
        out: str | PathLike,
        net: NetConfig | None = None,
        config: TrainConfig | None = None,
        metadata: dict[str, Any] | None = None,
        loss: LossConfig | None = None,
    ):
        if system.time:
            raise ValueError(
                f"{system.name} depends on time explicitly: train it from labels, made by `surrogate labels`"
            )
        for name in plan.populations:
            check_population(name, system, plan.dt_range)
        self.system, self.plan, self.check, self.out = system, plan, check, Path(out)
        self.net, self.config, self.loss, self.hop = net or NetConfig(), config or TrainConfig(), loss, HOPS[plan.hop]
        self.metadata = {"decades": asdict(plan) | asdict(self.hop), **(metadata or {})}
        self.directory, self.seconds, self._done = Path(f"{out}.decades"), 0.0, 0.0
        how = {k: v for k, v in asdict(self.config).items() if k not in ("threads", "device")}
        of = {"system_hash": system.hash, "net": asdict(self.net), "config": how}
        self._recipe = _plain(of | {"plan": asdict(plan), "hop": asdict(self.hop)})
        self.n_weights, self.stepper = 0, None

    @property
    def is_saved(self) -> bool:
        """Whether a new run would go on from something."""
        return self.directory.exists() and any(self.directory.iterdir())

    def run(self, progress: Callable[[str], object] | None = None) -> dict[str, Any]:
        """Train until the last horizon; `progress` is called with lines of text. The last entry of the history."""
        self.directory.mkdir(exist_ok=True)
        starts = Starts(**self._kept("starts.h5", lambda: vars(Starts.draw(self.system, self.plan))))
        stages, routed, surrogate = [], 0.0, None
        while True:
            k, before = len(stages), stages[-1]["horizon"] if stages else None
            stages.append(self._kept(f"targets-{k}.h5", lambda: self._targets(starts, before, surrogate, k)))  # noqa: B023
            horizon = stages[-1]["horizon"]
            covered = _decades(horizon, stages[0]["horizon"]) + 1
            total = _decades(starts.last, stages[0]["horizon"]) + 1
            arrived = float((horizon >= NEAR * starts.last).mean())
            is_stuck = before is not None and _decades(horizon, before) < 1e-3
            is_last = arrived >= ARRIVED or k + 1 == MOST_STAGES or is_stuck
            is_anew = is_last or covered - routed >= ANEW
            grown = covered - (_decades(before, stages[0]["horizon"]) + 1 if k else 0.0)
            shares = 0.5 * grown + (0.5 * (covered - routed) if is_anew else 0.0) + is_last
            routed = covered if is_anew else routed
            minutes = max(shares, 1e-3) * self.config.minutes / (total + 1)
            if progress:
                n = sum(len(stage["h"]) for stage in stages)
                progress(
                    f"stage {k + 1}: {n} targets, median horizon {np.median(horizon):.3g} s, {100 * arrived:.0f} % of "
                    f"the starts at their end; {minutes:.2f} min{', anew' * is_anew}"
                )
            surrogate, entry = self._fit(starts, stages, k, minutes, covered / total, is_anew, is_last, progress)
            self._done += 60 * minutes
            if is_last:
                shutil.rmtree(self.directory)
                return entry

    def _kept(self, name, make):
        """Arrays of a file of this run, made now if it is not there."""
        path = self.directory / name
        if not path.exists():
            write_tensors(path, make(), {"recipe": self._recipe})
        arrays, attributes = read_arrays(path)
        if attributes.get("recipe") != self._recipe:
            raise ValueError(f"{self.directory} belongs to another run: give another --out, or remove it to start anew")
        return arrays

    def _targets(self, starts, horizon, surrogate, k):
        rng, plan = np.random.default_rng([self.plan.seed, k]), self.plan
        if self.stepper is None:
            options = {"rtol": self.hop.rtol, "max_solver_steps": self.hop.attempts, "threads": self.config.threads}
            self.stepper = solver_model(self.system).stepper(net=False, **options)

        def advance(cells, h):
            return self.stepper.step(cells, h).status

        if surrogate is None:
            return first_targets(advance, starts, self.hop, plan.times, rng)
        return next_targets(lambda y, s: predict(surrogate, y, s), advance, starts, horizon, self.hop, plan.times, rng)

    def _fit(self, starts, stages, k, minutes, covered, is_anew, is_last, progress):
        """The net of stage `k`, and the last entry of its history; read where it is finished."""
        path = self.out if is_last else self.directory / f"net-{k}.h5"
        if path.exists() and not Path(f"{path}.checkpoint").exists():
            return self._opened(path)
        *space, times = self.net.regions
        net = replace(self.net, regions=(*space, max(math.ceil(times * covered - 1e-9), 1)))
        start = None if is_anew else load_model(self.directory / f"net-{k - 1}.h5", self.system)[0]
        pairs = pairs_of(starts, stages, self.plan.on_the_way)
        config, check = replace(self.config, minutes=minutes), within(self.check, float(pairs.dt.max()))
        trainer = Trainer(self.system, pairs, check, path, net, config, self.metadata, self.loss, start)

        def show(line):
            self.seconds = self._done + trainer.seconds
            progress(line)

        trainer.run(progress and show, is_final=is_last)
        self.n_weights = trainer.n_weights
        return self._opened(path)

    def _opened(self, path):
        surrogate, metadata = load_model(path, self.system)
        return surrogate, metadata["history"][-1]


def within(check: Pairs, horizon: float) -> Pairs:
    """The pairs up to a horizon; all of them if these are too few to say anything."""
    rows = (check.dt <= horizon).nonzero()[:, 0]
    return check.rows(rows) if len(rows) >= FEWEST_CHECKED else check


@torch.no_grad()
def predict(surrogate: Surrogate, state: np.ndarray, dt: np.ndarray) -> np.ndarray:
    """End states by the net, shape (n, n_vars); NaN where the laws are beyond repair."""
    parts = []
    for cells, steps in zip(torch.from_numpy(state).split(CHUNK), torch.from_numpy(dt).split(CHUNK)):
        end, _, good = surrogate.flow(cells, steps)
        parts.append(torch.where(good[:, None], end, torch.nan).numpy())
    return np.concatenate(parts)


def _decades(later, earlier):
    """Mean decades between two horizons, over the starts that have any."""
    known = earlier > 0
    return float(np.log10(later[known] / earlier[known]).mean())


def _plain(recipe):
    """As JSON gives it back."""
    return {k: list(v) if isinstance(v, tuple) else _plain(v) if isinstance(v, dict) else v for k, v in recipe.items()}
