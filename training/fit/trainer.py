"""Training of a surrogate, from labels or from the equations, resumable at any moment: ``surrogate train``."""

import argparse
import contextlib
import json
import math
import shlex
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

import surrogate

from ..evaluation.measure import measure, relative_errors, score
from ..labels.file import load_labels
from ..nets.architectures import ARCHITECTURES
from ..nets.calibration import Domain, as_plain
from ..nets.encoding import Encoding
from ..nets.experts import NetConfig, Router, Surrogate
from ..nets.model_file import load_model, read_arrays, read_tensors, save_model, write_tensors
from ..populations.registry import DT_RANGES, POPULATIONS, check_population, draw, seed_of
from ..systems import SYSTEM_HELP, get_system
from . import losses
from .fused import FusedGradient
from .history import draw_history
from .losses import Balance, LossConfig, Physics
from .predictors import ATTEMPTS_LEVEL, CELLS, ERROR_LEVEL, fit_judge, solver_attempts
from .soap import BatchedSOAP, cosine_schedule

#: optimisers and their learning rates
OPTIMIZERS = {"soap": (BatchedSOAP, 1.2e-2), "adamw": (torch.optim.AdamW, 3e-3)}
#: cells per expert in the one batch of L-BFGS
LBFGS_BATCH = 4096


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes
    ----------
    minutes : float
        Wall-clock budget; the learning rate falls to zero over it.
    batch : int
        Cells per expert and iteration.
    lr : float, optional
        Peak learning rate; that of `OPTIMIZERS` if not given.
    optimizer : str
        One of `OPTIMIZERS`.
    lbfgs : int
        Iterations of L-BFGS at the end, on one large batch in double precision.
    device : str
        Where to train: "cpu", "cuda", or "auto".
    warm_up : int
        Iterations over which the learning rate rises.
    beta : float
        Error [dex] at which the loss turns from quadratic to linear.
    ema : float
        Decay of the averaged weights, which are what is kept.
    resolution : int
        A weight is kept as a multiple of 2**-resolution of the rms of its layer, which halves the file. Molecular net
        on `hydro`: with 12 nothing changes, with 10 the median error goes from 3.3e-4 to 4.9e-4 and no decision does.
    seed, threads : int
    """

    minutes: float = 30.0
    batch: int = 512
    lr: float | None = None
    optimizer: str = "soap"
    lbfgs: int = 0
    device: str = "cpu"
    warm_up: int = 200
    beta: float = 0.005
    ema: float = 0.999
    resolution: int = 10
    seed: int = 0
    threads: int = 1

    def __post_init__(self):
        for name in ("minutes", "batch", "peak_lr", "beta", "threads"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be positive")

    @property
    def peak_lr(self):
        """Learning rate after warming up."""
        return OPTIMIZERS[self.optimizer][1] if self.lr is None else self.lr

    @property
    def torch_device(self):
        """The device, "auto" resolved."""
        name = self.device if self.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        if name.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"device is {name!r}, but PyTorch sees no such device here: give cpu or auto")
        return torch.device(name)


@dataclass
class Pairs:
    """Training pairs: states, time steps, ends; float64 tensors of shape (n, n_vars), (n,), (n, n_vars).

    Without labels `end` is None.
    """

    state: torch.Tensor
    dt: torch.Tensor
    end: torch.Tensor | None

    @classmethod
    def draw(cls, system, population, n, seed, dt_range=None):
        """Pairs without labels: cells of a population, times log-uniform from where nothing has happened yet."""
        check_population(population, system, dt_range)
        advance = None
        if population in ("relaxed", "hydro"):
            advance = surrogate.load(system.name).stepper(rtol=1e-2, net=False).step
        state = torch.from_numpy(draw(population, system, n, seed_of("train", seed), advance, dt_range)[0])
        low, high = dt_range or DT_RANGES[population]
        start = (0.3 * losses.EARLY / Physics(system).fastest_rate(state)).clamp_max(low)
        u = torch.from_numpy(np.random.default_rng(seed).random(n))
        return cls(state, start * (high / start) ** u, None)

    @classmethod
    def from_trajectories(cls, start, dt, end):
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

    def __len__(self):
        return len(self.dt)


def routing_rows(encoding):
    """Coordinates that experts divide: temperature; density * time, the clock of two-body reactions; time."""
    names, n = encoding.names, encoding.n_features
    rows = torch.zeros(3, n, dtype=torch.float64)
    rows[0, names.index("T") if "T" in names else 0] = 1.0
    rows[1:, -1] = 1.0
    if encoding.has_total:
        rows[1, -2] = 1.0
    return rows


class Trainer:
    """One training run; `run` may be interrupted at any time and continued by a new trainer on the same files.

    Parameters
    ----------
    system : System
    train, check : Pairs
        Training and held-out pairs.
    out : path
        Model file; ``out.checkpoint`` beside it holds the run while it lasts, and a picture its course.
    start : Surrogate, optional
        To train further, with its architecture, regions and scales.
    """

    def __init__(self, system, train, check, out, net=None, config=None, metadata=None, loss=None, start=None):
        net = start.config if start else net
        net, config, loss = net or NetConfig(), config or TrainConfig(), loss or LossConfig()
        if train.end is None and loss.needs_labels:
            raise ValueError("there are no labels to compare with: give the loss the terms residual or semigroup alone")
        if train.end is None and max(net.regions[1:]) > 1:
            raise ValueError(
                f"regions are {net.regions}: without labels no experts may divide the times (give a x 1), "
                "since only the first instants tell one solution from another"
            )
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads)
        self.system, self.check, self.config = system, check, config
        self.out, self.checkpoint = Path(out), Path(f"{out}.checkpoint")
        self.metadata = {
            "system": system.name,
            "system_hash": system.hash,
            "train": asdict(config),
            "n_pairs": len(train),
            "loss": asdict(loss),
            **(metadata or {}),
        }
        encoding = start.encoding if start else Encoding(system, (float(train.dt.min()), float(train.dt.max())))
        self.metadata["domain"] = as_plain(Domain.of(encoding, train.state, train.dt))
        features = encoding.features(train.state, train.dt)
        router = start.router if start else Router.fit(features, routing_rows(encoding), net.regions)
        expert = router(features)
        lists = [(expert == e).nonzero()[:, 0] for e in range(net.n_experts)]
        if empty := [e for e, i in enumerate(lists) if not len(i)]:
            raise ValueError(f"regions {empty} of {len(lists)} hold no training cells: give labels of the whole domain")
        if start:
            statistics = {k: getattr(start, k) for k in ("mean", "std", "out_std")}
        else:
            statistics = {
                "mean": torch.stack([features[i].mean(0) for i in lists]),
                "std": torch.stack([features[i].std(0) for i in lists]).clamp_min(1e-3),
            }
        inputs = ((features - statistics["mean"][expert]) / statistics["std"][expert]).float()
        device = config.torch_device
        linear = fused_target = None
        if train.end is None:  # a decade, or as much as signed variables vary
            spread = torch.where(encoding.log, 1.0, train.state.std(0)).clamp_min(1e-4)
            statistics.setdefault("out_std", spread.repeat(net.n_experts, 1))
        else:
            target, counts = encoding.targets(train.state, train.dt, train.end)
            if start and net.linear:
                linear = list(zip(start.slope.double(), start.offset.double()))
            elif net.linear:
                linear = [fit_linear(inputs[i].double(), target[i], counts[i]) for i in lists]
            remaining = target.clone()
            for i, (slope, offset) in zip(lists, linear or ()):
                remaining[i] -= inputs[i].double() @ slope + offset
            statistics.setdefault("out_std", torch.stack([_spread(remaining[i], counts[i]) for i in lists]))
            self.target, self.counts = target.float().to(device), counts.float().to(device)
            fused_target = remaining.float()
        self.surrogate = Surrogate(encoding, router, net, statistics)
        if linear:
            for buffer, values in zip((self.surrogate.slope, self.surrogate.offset), zip(*linear)):
                buffer.copy_(torch.stack(values))
        if start:
            self.surrogate.experts.load_state_dict(start.experts.state_dict())
        self.surrogate.to(device)
        self.inputs, self.lists = inputs.to(device), [i.to(device) for i in lists]
        self.train = Pairs(*(x if x is None else x.to(device) for x in (train.state, train.dt, train.end)))
        if loss.residual:
            self.physics = Physics(system, device)
            self.early = self.physics.is_early(self.train.state, self.train.dt)
        self.loss, self.balance = loss, Balance(loss)
        self.fused = self._make_fused(fused_target)
        self.parameters = list(self.surrogate.experts.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer = OPTIMIZERS[config.optimizer][0](self.parameters, lr=config.peak_lr)
        self.lbfgs, self.n_lbfgs, self.gradient = None, 0, None
        self.iteration, self.seconds, self.history, self.sums = 0, 0.0, [], {}
        if self.checkpoint.exists():
            self._resume()

    def _make_fused(self, target):
        """The fast way to the gradient, or None where it does not apply."""
        surrogate_, config = self.surrogate, self.config
        if (
            self.loss.weights.keys() != {"supervised"}
            or surrogate_.config.kind != "residual"
            or self.inputs.device.type != "cpu"
        ):
            return None
        try:
            return FusedGradient(
                surrogate_.experts,
                self.inputs,
                target,
                self.counts,
                surrogate_.out_std.float(),
                config.batch,
                config.beta,
                config.threads,
            )
        except (OSError, RuntimeError, ValueError):
            return None  # no compiler, or a width that does not fit: PyTorch does it, a few times slower

    def run(self, progress=None, every=60.0):
        """Train until the budget is spent; `progress` is called with a line of text about every `every` seconds."""
        config, saved = self.config, self.seconds
        while self.seconds < 60 * config.minutes or self.n_lbfgs < config.lbfgs:
            start = time.monotonic()
            if self.seconds < 60 * config.minutes:
                self._iterate()
            else:
                self._finish()
            self.seconds += time.monotonic() - start
            if self.seconds - saved >= every:
                saved = self.seconds
                line = self._report()
                self._save()
                if progress:
                    progress(line)
        self.surrogate.experts.float()
        with torch.no_grad():
            for kept, p in zip(self.average, self.parameters):
                kept.copy_(rounded(kept.to(p.dtype), self.config.resolution))
        with self._averaged():
            self._fit_judge()
        line = self._report()
        self._save_model()
        self.checkpoint.unlink(missing_ok=True)
        if progress:
            progress(line)
        return self.history[-1]

    def _iterate(self):
        config = self.config
        fraction = min(self.seconds / (60 * config.minutes), 1.0)
        lr = config.peak_lr * min(1.0, (self.iteration + 1) / config.warm_up) * cosine_schedule(fraction)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        rows = self._draw(config.batch)
        if self.fused:
            terms = {"supervised": self.fused(rows)}
        else:
            terms = self._terms(rows)
            self.optimizer.zero_grad()
            self.balance(terms, self.parameters, self.iteration).backward()
        if terms.keys() != {"supervised"}:
            self.gradient = losses.limit_gradients(self.parameters, self.gradient)
        self.optimizer.step()
        self.iteration += 1
        decay = min(config.ema, self.iteration / (self.iteration + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(torch.as_tensor(term).detach())
        self.sums["n"] = self.sums.get("n", 0) + 1

    def _draw(self, n):
        """Rows of the training pairs, `n` of each expert."""
        return torch.cat([i[torch.randint(len(i), (n,), device=i.device)] for i in self.lists])

    def _errors(self, rows, first_only=False):
        """Errors that the terms of the loss make small, for rows of equally many cells of each expert; dict by term."""
        weights, n = self.balance.weights, len(self.lists)
        flow, encoding, pairs = self.surrogate.flow, self.surrogate.encoding, self.train
        results = {}
        for name in list(weights)[:1] if first_only else weights:
            if name == "supervised":
                data = (x[rows].view(n, len(rows) // n, -1) for x in (self.inputs, self.target, self.counts))
                results[name] = losses.supervised(self.surrogate, *data)
            elif name == "residual":
                state, dt = pairs.state[rows], pairs.dt[rows]
                results[name] = losses.residual(flow, self.physics, encoding, state, dt, self.early[rows])
            elif name == "semigroup":
                results[name] = losses.semigroup(flow, encoding, pairs.state[rows], pairs.dt[rows], encoding.dt_lower)
            else:
                data = (x[rows] for x in (pairs.state, pairs.dt, pairs.end))
                results[name] = losses.rollout(flow, encoding, *data, encoding.dt_lower)
        return results

    def _terms(self, rows):
        """Terms of the loss for rows of equally many cells of each expert; dict of scalars."""
        share = len(self.lists) / len(rows)
        return {name: losses.robust(error, self.config.beta) * share for name, error in self._errors(rows).items()}

    def _finish(self, n=10):
        """Some iterations of L-BFGS from the averaged weights, in double precision on a batch that stays the same."""
        n = min(n, self.config.lbfgs - self.n_lbfgs)
        if self.lbfgs is None:
            with torch.no_grad():
                torch._foreach_copy_(self.parameters, self.average)
            self.surrogate.experts.double()
            self.lbfgs = torch.optim.LBFGS(
                self.parameters, history_size=50, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
            )
        self.lbfgs.param_groups[0].update(max_iter=n, max_eval=2 * n)

        def closure():
            torch.manual_seed(self.config.seed)
            self.lbfgs.zero_grad()
            loss = self.balance(self._terms(self._draw(LBFGS_BATCH)), self.parameters, -1)
            loss.backward()
            return loss

        self.lbfgs.step(closure)
        self.average = [p.detach().clone() for p in self.parameters]
        self.n_lbfgs += n

    def _fit_judge(self):
        """Teach the gauges the cost of the solver, and the judges the errors of the averaged net."""
        n = min(CELLS, max(map(len, self.lists)))
        rows, shape = self._draw(n), (len(self.lists), n)
        with torch.no_grad():
            error = torch.cat([self._incurred(part) for part in rows.split(65536)])
        state, dt = self.train.state[rows].cpu(), self.train.dt[rows].cpu()
        attempts = solver_attempts(self.system, state, dt, self.config.threads).to(error.device)
        learners = (
            (self.surrogate.gauge, torch.log10(attempts), ATTEMPTS_LEVEL),
            (self.surrogate.judge, torch.log10(error + 1e-5), ERROR_LEVEL),
        )
        for judge, target, level in learners:
            fit_judge(judge, self.inputs[rows].view(*shape, -1), target.float().view(shape), level)
            with torch.no_grad():
                for p in judge.parameters():
                    p.copy_(rounded(p, self.config.resolution))

    def _incurred(self, rows):
        """Largest relative error of each cell, invariants restored; without labels what the first term makes of it."""
        pairs = self.train
        if pairs.end is None:
            error = next(iter(self._errors(rows, first_only=True).values()))
            return error.abs().amax(-1).flatten() * math.log(10)
        end = self.surrogate.flow(pairs.state[rows], pairs.dt[rows])[0]
        errors, counts = relative_errors(self.surrogate.encoding, end, pairs.end[rows])
        return torch.where(counts, errors, 0.0).amax(1).nan_to_num(1e3, 1e3).clamp_max(1e3)

    def _averaged(self):
        return _Swapped(self.parameters, self.average)

    def _report(self):
        check = self.check
        with self._averaged():
            result = score(self.surrogate.encoding, measure(self.surrogate, check.state, check.dt, check.end))
        n = self.sums.pop("n", 1)
        means = {name: float(total) / n for name, total in self.sums.items()}
        self.sums = {}
        self.history.append({"minutes": self.seconds / 60, "iteration": self.iteration, "loss": means, **result})
        quantiles = " ".join(f"{q:6.2f}" for q in result["quantiles"][:4])
        return (
            f"{self.seconds / 60:6.1f} min {self.iteration:8d} it  log10 error 50/75/90/99 %: {quantiles}"
            f"   within 1e-2: {result['within']:.3f}"
        )

    def _save(self):
        state = {f"{i}": {k: v for k, v in self.optimizer.state[p].items()} for i, p in enumerate(self.parameters)}
        tensors = {
            "parameters": dict(enumerate(self.parameters)),
            "average": dict(enumerate(self.average)),
            "optimizer": state,
        }
        write_tensors(
            self.checkpoint,
            tensors,
            {
                "iteration": self.iteration,
                "seconds": self.seconds,
                "n_lbfgs": self.n_lbfgs,
                "history": self.history,
                "weights": self.balance.weights,
                "gradient": self.gradient,
                "identity": self._identity(),
            },
        )
        self._save_model()

    def _save_model(self):
        with self._averaged():
            save_model(self.out, self.surrogate, history=self.history, **self.metadata)
        draw_history(self.history, self.out.with_suffix(".png"))

    def _identity(self):
        return {
            "system_hash": self.system.hash,
            "net": asdict(self.surrogate.config),
            "n_pairs": self.metadata["n_pairs"],
            "seed": self.config.seed,
            "loss": asdict(self.loss),
            "optimizer": self.config.optimizer,
        }

    def _resume(self):
        tensors, attributes = read_tensors(self.checkpoint)
        identity = _as_json(self._identity())
        if attributes["identity"] != identity:
            raise ValueError(
                f"{self.checkpoint} belongs to another run ({attributes['identity']}, now {identity}); "
                "remove it to start anew"
            )
        with torch.no_grad():
            for i, (p, average) in enumerate(zip(self.parameters, self.average)):
                p.copy_(tensors["parameters"][str(i)])
                average.copy_(tensors["average"][str(i)])
                kept = tensors["optimizer"].get(str(i), {})
                self.optimizer.state[p].update({k: v if k == "step" else v.to(p.device) for k, v in kept.items()})
        self.iteration, self.seconds = attributes["iteration"], attributes["seconds"]
        self.history, self.n_lbfgs = attributes["history"], attributes["n_lbfgs"]
        self.balance.weights, self.gradient = attributes["weights"], attributes["gradient"]
        torch.manual_seed(self.config.seed + self.iteration)


def rounded(tensor, resolution):
    """Float32 numbers to multiples of a power of two, about 2**-`resolution` of their root mean square."""
    unit = 2.0 ** (torch.floor(torch.log2(tensor.square().mean().sqrt() + 1e-30)) - resolution)
    return torch.round(tensor / unit) * unit


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


class _Swapped:
    """Parameters replaced by their averages for a while."""

    def __init__(self, parameters, average):
        self.parameters, self.average = parameters, average

    def __enter__(self):
        self.kept = [p.detach().clone() for p in self.parameters]
        with torch.no_grad():
            for p, a in zip(self.parameters, self.average):
                p.copy_(a)

    def __exit__(self, *_):
        with torch.no_grad():
            for p, k in zip(self.parameters, self.kept):
                p.copy_(k)


def _as_json(value):
    return json.loads(json.dumps(value))


def read_pairs(paths, system, splits=None):
    """All pairs of some label files, of these splits, see `Pairs.from_trajectories`."""
    parts = []
    for path in paths:
        labels = load_labels(path, system=system, splits=splits)
        if labels.params is not None:
            raise ValueError(f"{path}: the labels vary parameters, which nets do not take; make them without --param")
        parts.append(Pairs.from_trajectories(labels.start, labels.dt, labels.end))
    return Pairs(*(torch.cat([getattr(p, k) for p in parts]) for k in ("state", "dt", "end")))


def _regions(text):
    regions = tuple(int(part) for part in text.split("x"))
    if len(regions) > 3:
        raise ValueError(text)
    return regions + (1,) * (3 - len(regions))


def _loss(text):
    name, _, weight = text.partition("=")
    if name not in ("supervised", "residual", "semigroup", "rollout"):
        raise argparse.ArgumentTypeError(f"{name!r} is no term: give supervised, residual, semigroup or rollout")
    return name, float(weight or 1)


def make_parser():
    """The command line."""
    parser = argparse.ArgumentParser(prog="surrogate train", description=main.__doc__)
    parser.add_argument("system", metavar="SYSTEM", help=SYSTEM_HELP)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--labels", nargs="+", metavar="FILE", help="made with --split train")
    source.add_argument("--unsupervised", action="store_true", help="from the equations alone, on drawn cells")
    parser.add_argument("--population", choices=POPULATIONS, help="what to draw, with --unsupervised")
    parser.add_argument("--n", type=int, default=500_000, help="cells to draw (default 500000)")
    parser.add_argument("--dt-range", type=float, nargs=2, metavar=("SHORTEST", "LONGEST"), help="for population box")
    parser.add_argument("--check", required=True, metavar="FILE", help="labels to watch, made with --split calibrate")
    parser.add_argument("--out", required=True, metavar="FILE", help="model file (HDF5) to write; a picture beside it")
    parser.add_argument("--start", metavar="FILE", help="a trained model (HDF5) to train further as it is built")
    parser.add_argument("--minutes", type=float, default=30.0, help="time budget (default 30)")
    parser.add_argument("--kind", choices=ARCHITECTURES, default=NetConfig.kind, help="default residual")
    parser.add_argument("--width", type=int, default=NetConfig.width)
    parser.add_argument("--depth", type=int, default=NetConfig.depth)
    parser.add_argument(
        "--regions",
        type=_regions,
        metavar="AxBxC",
        help="experts along temperature, density * time and time (default 4x4x2; 8x1x1 with --unsupervised)",
    )
    parser.add_argument(
        "--loss",
        type=_loss,
        action="append",
        metavar="TERM=WEIGHT",
        help="supervised, residual, semigroup or rollout; may be repeated "
        "(default supervised=1, or residual=1 with --unsupervised)",
    )
    parser.add_argument("--adaptive", action="store_true", help="rebalance the terms by their gradients")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default=TrainConfig.optimizer)
    parser.add_argument("--lbfgs", type=int, default=0, metavar="N", help="finish with N iterations of L-BFGS")
    parser.add_argument("--batch", type=int, default=TrainConfig.batch, help="cells per expert and iteration")
    parser.add_argument(
        "--beta",
        type=float,
        default=TrainConfig.beta,
        help=f"error [dex] beyond which the loss is linear (default {TrainConfig.beta})",
    )
    parser.add_argument("--lr", type=float, help="peak learning rate (default 1.2e-2 for soap, 3e-3 for adamw)")
    parser.add_argument(
        "--resolution",
        type=int,
        default=TrainConfig.resolution,
        metavar="BITS",
        help="bits of the weights below their rms (default 10; 24 keeps them as they are)",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


def main(arguments=None):
    """Train a surrogate, from label files or from the equations. An interrupted run continues when the same command is
    given again."""
    options = make_parser().parse_args(arguments)
    command = shlex.join(["surrogate", "train", *(sys.argv[2:] if arguments is None else arguments)])
    if is_finished(options):
        return 0
    from tqdm import tqdm

    system = get_system(options.system)
    if options.unsupervised:
        if options.population is None:
            raise ValueError("--population is missing: say what cells to draw, wide for a network or box")
        dt_range = options.dt_range and tuple(options.dt_range)
        train = Pairs.draw(system, options.population, options.n, options.seed, dt_range)
    else:
        train = read_pairs(options.labels, system, ("train",))
    terms = dict(options.loss or [("residual" if options.unsupervised else "supervised", 1.0)])
    loss = LossConfig(**{"supervised": 0.0, **terms}, adaptive=options.adaptive)
    config = TrainConfig(
        minutes=options.minutes,
        batch=options.batch,
        lr=options.lr,
        optimizer=options.optimizer,
        beta=options.beta,
        lbfgs=options.lbfgs,
        resolution=options.resolution,
        device=options.device,
        seed=options.seed,
        threads=options.threads,
    )
    regions = options.regions or ((8, 1, 1) if options.unsupervised else NetConfig.regions)
    net = NetConfig(options.width, options.depth, regions, not options.unsupervised, options.kind)
    metadata = {"command": command, "system_source": options.system}
    start = load_model(options.start, system)[0] if options.start else None
    check = read_pairs([options.check], system, ("calibrate", "train"))
    trainer = Trainer(system, train, check, options.out, net, config, metadata, loss, start)
    with tqdm(total=round(options.minutes * 60), initial=round(trainer.seconds), unit="s", unit_scale=True) as bar:

        def show(line):
            bar.write(line)
            bar.update(round(trainer.seconds) - bar.n)

        try:
            trainer.run(show)
        except KeyboardInterrupt:
            saved = trainer.checkpoint.exists()
            text = "the same command continues" if saved else "nothing was saved yet, the same command begins anew"
            print(f"interrupted: {text}", file=sys.stderr)
            return 130
    n_weights = sum(p.numel() for p in trainer.parameters)
    print(f"{options.out}: {n_weights} weights; next: {_next(options)}")
    return 0


def _next(options):
    named = f" --system {options.system}" if ":" in options.system else ""
    return f"surrogate calibrate {options.out} --labels FILE ...{named}"


#: options that do not change what a command makes
ELSEWHERE = {"threads", "device", "out"}


def is_finished(options):
    """Whether the model file is there already, made by this command; ValueError if another one has made it.

    While a run lasts its checkpoint is there, too, and says what it belongs to.
    """
    out = Path(options.out)
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent} is no directory: make it, or give another --out")
    if Path(f"{out}.checkpoint").exists() or not out.exists():
        return False
    metadata = read_arrays(out)[1]
    before = shlex.split(str(metadata.get("command", "")))
    try:
        with contextlib.redirect_stderr(None):
            made_by = make_parser().parse_args(before[2:])
    except SystemExit:
        made_by = None
    same = made_by is not None and all(
        value == getattr(made_by, name) for name, value in vars(options).items() if name not in ELSEWHERE
    )
    if not same:
        raise ValueError(
            f"{out} is a trained model, made by another command ({shlex.join(before) or 'unknown'}): give "
            f"another --out, or remove it; --start {out} trains it further"
        )
    calibrated = "calibrated" if "calibration" in metadata else f"next: {_next(options)}"
    print(f"{out}: finished already, nothing is done; {calibrated}")
    return True
