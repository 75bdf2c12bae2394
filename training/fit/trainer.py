"""The training of a surrogate, from labels or from the equations, resumable at any moment."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from ..evaluation.measure import measure, relative_errors
from ..evaluation.score import score
from ..nets.calibration import as_plain
from ..nets.domain import Domain
from ..nets.encoding import Encoding
from ..nets.experts import NetConfig, Surrogate
from ..nets.model_file import save_model
from ..systems import System
from .averages import Swapped, rounded
from .checkpoint import load_checkpoint, save_checkpoint
from .config import OPTIMIZERS, TrainConfig
from .fused import make_fused
from .history import draw_history
from .losses import robust
from .pairs import Pairs
from .predictors import ATTEMPTS_LEVEL, ERROR_LEVEL, ITERATIONS, cells_for, fit_predictor, solver_attempts
from .prepare import prepare
from .soap import cosine_schedule
from .terms import Batch, LossConfig
from .weights import LossWeights, limit_gradients

#: cells per expert in the one batch of L-BFGS
LBFGS_BATCH = 4096


class Trainer:
    """One training run; `run` may be interrupted at any time and continued by a new trainer on the same files.

    Parameters
    ----------
    system : System
    train, check : Pairs
        Training and held-out pairs.
    out : path
        Model file; ``out.checkpoint`` beside it holds the run while it lasts, and a picture its course.
    net : NetConfig, optional
    config : TrainConfig, optional
    metadata : dict, optional
        More to be kept in the model file.
    loss : LossConfig, optional
    start : Surrogate, optional
        To train further, with its architecture, regions and scales.
    """

    def __init__(
        self,
        system: System,
        train: Pairs,
        check: Pairs,
        out: str | PathLike,
        net: NetConfig | None = None,
        config: TrainConfig | None = None,
        metadata: dict[str, Any] | None = None,
        loss: LossConfig | None = None,
        start: Surrogate | None = None,
    ):
        net = start.config if start else net or NetConfig()
        config, loss = config or TrainConfig(), loss or LossConfig()
        check_run(train, net, loss)
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads)
        self.system, self.check, self.config, self.loss = system, check, config, loss
        self.out, self.checkpoint = Path(out), Path(f"{out}.checkpoint")
        encoding = start.encoding if start else Encoding(system, train.dt_range, train.inputs)
        self.metadata = {
            "system": system.name,
            "system_hash": system.hash,
            "train": asdict(config),
            "n_pairs": len(train),
            "loss": loss.plain(),
            "inputs": encoding.inputs,
            **(metadata or {}),
            "domain": as_plain(Domain.of(encoding, train.state, train.dt, encoding.of_params(train.params))),
        }
        self.data = prepare(system, encoding, train, net, loss, start, config.torch_device)
        self.surrogate = self.data.surrogate
        self.terms, self.weights = loss.chosen(), LossWeights(loss)
        self.fused = make_fused(self.data, config) if self.terms.keys() == {"supervised"} else None
        self.parameters = list(self.surrogate.experts.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer = OPTIMIZERS[config.optimizer][0](self.parameters, lr=config.peak_lr)
        self.lbfgs, self.n_lbfgs, self.gradient = None, 0, None
        self.iteration, self.seconds, self.history, self.sums = 0, 0.0, [], {}
        if self.checkpoint.exists():
            self._resume()

    def run(
        self, progress: Callable[[str], object] | None = None, every: float = 60.0, is_final: bool = True
    ) -> dict[str, Any]:
        """Train until the budget is spent; `progress` is called with a line of text about every `every` seconds.

        Without `is_final` gauge and judge stay untaught, for a net that is asked for states alone and then forgotten.
        """
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
            if is_final:
                self._fit_predictors()
        line = self._report()
        self._save_model()
        self.checkpoint.unlink(missing_ok=True)
        if progress:
            progress(line)
        return self.history[-1]

    @property
    def is_saved(self) -> bool:
        """Whether a new trainer would go on from something."""
        return self.checkpoint.exists()

    @property
    def n_weights(self) -> int:
        """Of the experts."""
        return sum(p.numel() for p in self.parameters)

    def _iterate(self):
        config = self.config
        fraction = min(self.seconds / (60 * config.minutes), 1.0)
        lr = config.peak_lr * min(1.0, (self.iteration + 1) / config.warm_up) * cosine_schedule(fraction)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        rows = self.data.draw(config.batch)
        if self.fused:
            terms = {"supervised": self.fused(rows)}
        else:
            terms = self._terms(rows)
            self.optimizer.zero_grad()
            self.weights(terms, self.parameters, self.iteration).backward()
        if terms.keys() != {"supervised"}:
            self.gradient = limit_gradients(self.parameters, self.gradient)
        self.optimizer.step()
        self.iteration += 1
        decay = min(config.ema, self.iteration / (self.iteration + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(torch.as_tensor(term).detach())
        self.sums["n"] = self.sums.get("n", 0) + 1

    def _terms(self, rows):
        """Terms of the loss for rows of equally many cells of each expert; dict of scalars."""
        batch, share = Batch(self.data, rows), len(self.data.rows) / len(rows)
        return {name: robust(term.errors(batch), self.config.beta) * share for name, term in self.terms.items()}

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
            loss = self.weights(self._terms(self.data.draw(LBFGS_BATCH)), self.parameters, -1)
            loss.backward()
            return loss

        self.lbfgs.step(closure)
        self.average = [p.detach().clone() for p in self.parameters]
        self.n_lbfgs += n

    def _fit_predictors(self):
        """Teach the gauges the cost of the solver, and the judges the errors of the averaged net."""
        iterations = self.config.predictor_iterations or ITERATIONS
        n = min(cells_for(iterations), max(map(len, self.data.rows)))
        rows, shape = self.data.draw(n), (len(self.data.rows), n)
        with torch.no_grad():
            error = torch.cat([self._incurred(part) for part in rows.split(65536)])
        attempts = solver_attempts(self.system, self.data.pairs.rows(rows), self.config.threads).to(error.device)
        learners = (
            (self.surrogate.gauge, torch.log10(attempts), ATTEMPTS_LEVEL),
            (self.surrogate.judge, torch.log10(error + 1e-5), ERROR_LEVEL),
        )
        for predictor, target, level in learners:
            inputs, target = self.data.inputs[rows].view(*shape, -1), target.float().view(shape)
            fit_predictor(predictor, inputs, target, level, iterations)
            with torch.no_grad():
                for p in predictor.parameters():
                    p.copy_(rounded(p, self.config.resolution))

    def _incurred(self, rows):
        """Largest relative error of each cell, laws restored; without labels what the first term makes of it."""
        pairs = self.data.pairs
        if pairs.end is None:
            error = next(iter(self.terms.values())).errors(Batch(self.data, rows))
            return error.abs().amax(-1).flatten() * math.log(10)
        end = self.surrogate.flow(pairs.state[rows], pairs.dt[rows], self.data.params_of(rows))[0]
        errors, counts = relative_errors(self.surrogate.encoding, end, pairs.end[rows])
        return torch.where(counts, errors, 0.0).amax(1).nan_to_num(1e3, 1e3).clamp_max(1e3)

    def _averaged(self):
        return Swapped(self.parameters, self.average)

    def _report(self):
        check = self.check
        with self._averaged():
            result = score(
                self.surrogate.encoding, measure(self.surrogate, check.state, check.dt, check.end, check.params)
            )
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
        attributes = {
            "iteration": self.iteration,
            "seconds": self.seconds,
            "n_lbfgs": self.n_lbfgs,
            "history": self.history,
            "weights": self.weights.weights,
            "gradient": self.gradient,
            "identity": self._identity(),
        }
        save_checkpoint(self.checkpoint, self.parameters, self.average, self.optimizer, attributes)
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
            "loss": self.loss.plain(),
            "optimizer": self.config.optimizer,
        }

    def _resume(self):
        kept = load_checkpoint(self.checkpoint, self.parameters, self.average, self.optimizer, self._identity())
        self.iteration, self.seconds, self.history = kept["iteration"], kept["seconds"], kept["history"]
        self.n_lbfgs, self.weights.weights, self.gradient = kept["n_lbfgs"], kept["weights"], kept["gradient"]
        torch.manual_seed(self.config.seed + self.iteration)


def check_run(train, net, loss):
    """Raise ValueError if these pairs, this net and this loss do not go together."""
    if train.end is None and loss.needs_labels:
        raise ValueError("there are no labels to compare with: give the loss the terms residual or semigroup alone")
    if train.end is None and max(net.regions[1:]) > 1:
        raise ValueError(
            f"regions are {net.regions}: without labels no experts may divide the times (give a x 1), "
            "since only the first instants tell one solution from another"
        )
