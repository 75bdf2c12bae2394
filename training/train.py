"""Training of a surrogate from labels, within a time budget, resumable at any moment: ``surrogate train``."""

import argparse
import json
import math
import shlex
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from .architectures import ARCHITECTURES
from .calibrate import Domain, as_plain
from .encoding import Encoding
from .evaluate import measure, score
from .label_file import load_labels
from .model_file import read_tensors, save_model, write_tensors
from .nets import NetConfig, Router, Surrogate
from .soap import BatchedSOAP
from .systems import SYSTEM_HELP, get_system


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes
    ----------
    minutes : float
        Wall-clock budget; the learning rate falls to zero over it.
    batch : int
        Cells per expert and iteration.
    lr : float
    warm_up : int
        Iterations over which the learning rate rises.
    beta : float
        Error [dex] at which the loss turns from quadratic to linear.
    error_weight : float
        Weight of the loss of the predicted error.
    ema : float
        Decay of the averaged weights, which are what is kept.
    seed, threads : int
    """

    minutes: float = 30.0
    batch: int = 512
    lr: float = 3e-2
    warm_up: int = 200
    beta: float = 0.02
    error_weight: float = 0.02
    ema: float = 0.999
    seed: int = 0
    threads: int = 1

    def __post_init__(self):
        for name in ("minutes", "batch", "lr", "beta", "threads"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be positive")


@dataclass
class Pairs:
    """Training pairs: states, time steps, ends; float64 tensors of shape (n, n_vars), (n,), (n, n_vars)."""

    state: torch.Tensor
    dt: torch.Tensor
    end: torch.Tensor

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
    """Coordinates that experts divide: temperature and density * time, the clock of two-body reactions."""
    names, n = encoding.names, encoding.n_features
    rows = torch.zeros(2, n, dtype=torch.float64)
    rows[0, names.index("T") if "T" in names else 0] = 1.0
    rows[1, -1] = 1.0
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
        Model file; ``out.checkpoint`` beside it holds the run while it lasts.
    """

    def __init__(self, system, train, check, out, net=None, config=None, metadata=None):
        net, config = net or NetConfig(), config or TrainConfig()
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads)
        self.system, self.check, self.config = system, check, config
        self.out, self.checkpoint = Path(out), Path(f"{out}.checkpoint")
        self.metadata = {"system": system.name, "system_hash": system.hash, "train": asdict(config),
                         "n_pairs": len(train), **(metadata or {})}  # fmt: skip
        encoding = Encoding(system, (float(train.dt.min()), float(train.dt.max())))
        self.metadata["domain"] = as_plain(Domain.of(encoding, train.state, train.dt))
        features = encoding.features(train.state, train.dt)
        router = Router.fit(features, routing_rows(encoding), net.regions)
        expert = router(features)
        target, counts = encoding.targets(train.state, train.dt, train.end)
        lists = [(expert == e).nonzero()[:, 0] for e in range(net.n_experts)]
        statistics = {
            "mean": torch.stack([features[i].mean(0) for i in lists]),
            "std": torch.stack([features[i].std(0) for i in lists]).clamp_min(1e-3),
            "out_std": torch.stack([target[i].std(0) for i in lists]).clamp_min(1e-4),
        }
        self.surrogate = Surrogate(encoding, router, net, statistics)
        self.inputs = ((features - statistics["mean"][expert]) / statistics["std"][expert]).float()
        self.target, self.counts, self.lists = target.float(), counts.float(), lists
        self.out_std = statistics["out_std"].float().unsqueeze(1)
        self.parameters = list(self.surrogate.experts.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer = BatchedSOAP(self.parameters, lr=config.lr)
        self.iteration, self.seconds, self.history = 0, 0.0, []
        if self.checkpoint.exists():
            self._resume()

    def run(self, progress=None, every=60.0):
        """Train until the budget is spent; `progress` is called with a line of text about every `every` seconds."""
        config, last, saved = self.config, time.monotonic(), self.seconds
        while self.seconds < 60 * config.minutes:
            self._iterate()
            now = time.monotonic()
            self.seconds, last = self.seconds + now - last, now
            if self.seconds - saved >= every:
                saved = self.seconds
                line = self._report()
                self._save()
                if progress:
                    progress(line)
                last = time.monotonic()
        line = self._report()
        with self._averaged():
            save_model(self.out, self.surrogate, history=self.history, **self.metadata)
        self.checkpoint.unlink(missing_ok=True)
        if progress:
            progress(line)
        return self.history[-1]

    def _iterate(self):
        config = self.config
        fraction = min(self.seconds / (60 * config.minutes), 1.0)
        schedule = 0.5 * (1 + math.cos(math.pi * fraction)) + 1e-3
        lr = config.lr * min(1.0, (self.iteration + 1) / config.warm_up) * schedule
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        rows = torch.cat([i[torch.randint(len(i), (config.batch,))] for i in self.lists])
        n = len(self.lists)
        inputs, target, counts = (x[rows].view(n, config.batch, -1) for x in (self.inputs, self.target, self.counts))
        out = self.surrogate.experts(inputs)
        error = (out[..., :-1] * self.out_std - target) * counts
        smooth_l1 = torch.nn.functional.smooth_l1_loss
        loss = smooth_l1(error, torch.zeros_like(error), beta=config.beta, reduction="sum")
        size = torch.log10(error.detach().abs().amax(-1) * math.log(10) + 1e-5)  # what the last output is to predict
        loss = (loss + config.error_weight * smooth_l1(out[..., -1], size, reduction="sum")) / config.batch
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.iteration += 1
        decay = min(config.ema, self.iteration / (self.iteration + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)

    def _averaged(self):
        return _Swapped(self.parameters, self.average)

    def _report(self):
        check = self.check
        with self._averaged():
            result = score(self.surrogate.encoding, measure(self.surrogate, check.state, check.dt, check.end))
        self.history.append({"minutes": self.seconds / 60, "iteration": self.iteration, **result})
        quantiles = " ".join(f"{q:6.2f}" for q in result["quantiles"][:4])
        return (f"{self.seconds / 60:6.1f} min {self.iteration:8d} it  log10 error 50/75/90/99 %: {quantiles}"
                f"   within 1e-2: {result['within']:.3f}  acceptable: {result['ranking']:.3f}")  # fmt: skip

    def _save(self):
        state = {f"{i}": {k: v for k, v in self.optimizer.state[p].items()} for i, p in enumerate(self.parameters)}
        tensors = {"parameters": dict(enumerate(self.parameters)), "average": dict(enumerate(self.average)),
                   "optimizer": state}  # fmt: skip
        write_tensors(self.checkpoint, tensors, {"iteration": self.iteration, "seconds": self.seconds,
                                                 "history": self.history, "identity": self._identity()})  # fmt: skip
        with self._averaged():
            save_model(self.out, self.surrogate, history=self.history, **self.metadata)

    def _identity(self):
        return {"system_hash": self.system.hash, "net": asdict(self.surrogate.config),
                "n_pairs": self.metadata["n_pairs"], "seed": self.config.seed}  # fmt: skip

    def _resume(self):
        tensors, attributes = read_tensors(self.checkpoint)
        identity = _as_json(self._identity())
        if attributes["identity"] != identity:
            raise ValueError(f"{self.checkpoint} belongs to another run ({attributes['identity']}, now {identity}); "
                             "remove it to start anew")  # fmt: skip
        with torch.no_grad():
            for i, (p, average) in enumerate(zip(self.parameters, self.average)):
                p.copy_(tensors["parameters"][str(i)])
                average.copy_(tensors["average"][str(i)])
                self.optimizer.state[p].update(tensors["optimizer"].get(str(i), {}))
        self.iteration, self.seconds = attributes["iteration"], attributes["seconds"]
        self.history = attributes["history"]
        torch.manual_seed(self.config.seed + self.iteration)


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


def read_pairs(paths, system):
    """All pairs of some label files, see `Pairs.from_trajectories`."""
    parts = []
    for path in paths:
        labels = load_labels(path, system=system)
        if labels.params is not None:
            raise ValueError(f"{path}: the labels vary parameters, which nets do not take; make them without --param")
        parts.append(Pairs.from_trajectories(labels.start, labels.dt, labels.end))
    return Pairs(*(torch.cat([getattr(p, k) for p in parts]) for k in ("state", "dt", "end")))


def _regions(text):
    a, b = text.split("x")
    return int(a), int(b)


def main(arguments=None):
    """Train a surrogate from label files. An interrupted run continues when the same command is given again."""
    parser = argparse.ArgumentParser(prog="surrogate train", description=main.__doc__)
    parser.add_argument("system", metavar="SYSTEM", help=SYSTEM_HELP)
    parser.add_argument("--labels", required=True, nargs="+", metavar="FILE", help="made with --split train")
    parser.add_argument("--check", required=True, metavar="FILE", help="labels to watch, made with --split calibrate")
    parser.add_argument("--out", required=True, metavar="FILE", help="model file (HDF5) to write")
    parser.add_argument("--minutes", type=float, default=30.0, help="time budget (default 30)")
    parser.add_argument("--kind", choices=ARCHITECTURES, default=NetConfig.kind, help="architecture (default residual)")
    parser.add_argument("--width", type=int, default=NetConfig.width)
    parser.add_argument("--depth", type=int, default=NetConfig.depth)
    parser.add_argument("--regions", type=_regions, default=NetConfig.regions, metavar="AxB", help="experts, e.g. 4x4")
    parser.add_argument("--batch", type=int, default=TrainConfig.batch, help="cells per expert and iteration")
    parser.add_argument("--lr", type=float, default=TrainConfig.lr)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    from tqdm import tqdm

    system = get_system(options.system)
    train, check = read_pairs(options.labels, system), read_pairs([options.check], system)
    config = TrainConfig(minutes=options.minutes, batch=options.batch, lr=options.lr, seed=options.seed,
                         threads=options.threads)  # fmt: skip
    command = shlex.join(["surrogate", "train", *(sys.argv[2:] if arguments is None else arguments)])
    net = NetConfig(options.width, options.depth, options.regions, options.kind)
    trainer = Trainer(system, train, check, options.out, net, config,
                      {"command": command, "system_source": options.system})  # fmt: skip
    with tqdm(total=round(options.minutes * 60), initial=round(trainer.seconds), unit="s", unit_scale=True) as bar:

        def show(line):
            bar.write(line)
            bar.update(round(trainer.seconds) - bar.n)

        try:
            trainer.run(show)
        except KeyboardInterrupt:
            print("interrupted: the same command continues", file=sys.stderr)
            return 130
    n_weights = sum(p.numel() for p in trainer.parameters)
    print(f"{options.out}: {n_weights} weights; next: surrogate calibrate {options.out}")
    return 0
