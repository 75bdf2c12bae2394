"""What a model is trained further on: labels of harvested cells, and of the populations it knows already."""

import hashlib
from collections.abc import Callable, Sequence
from functools import reduce
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

import surrogate as run_time
from surrogate.errors import ModelError

from ..codegen.library import export_model
from ..evaluation.measure import label_tensors
from ..labels import load_labels, make_labels
from ..labels.chunks import walk
from ..nets.calibration import from_plain
from ..nets.domain import Domain
from ..nets.model_file import read_arrays, write_tensors
from ..populations import UserCells, find_population, read_cells, seed_of
from ..populations.registry import REGISTRY
from ..systems import System
from .pairs import Pairs, read_pairs

#: what the cells of the run are called among the populations
RUN = "cells of the run"
#: cells of the run of each split that are labelled at most, and of each population that is rehearsed
MOST = {"train": 60_000, "calibrate": 20_000, "test": 20_000}
REHEARSED = {"train": 20_000, "calibrate": 20_000, "test": 5_000}
#: number of the set of each split: one that no recipe of a shipped model has
SET = 900
#: labels of a cell of the training: at its own time step and at shorter ones, down to so small a part of it
N_TIMES, SHORTEST = 4, 1e-2
#: relative error of the labels
RTOL = {"train": 1e-4, "calibrate": 1e-6, "test": 1e-6}
#: cells of a split without which nothing can be said: 299 that are all right prove 99 % with 95 % confidence
FEWEST = 300
#: cells that are solved between two looks at the progress bar
CHUNK = 2048


def read_harvest(paths: Sequence[str | PathLike], system: System) -> UserCells:
    """Cells of several tables with their time steps, none twice.

    Raises
    ------
    ValueError
        There are no time steps, or too few cells of some split.
    """
    parts = [read_cells(path, system) for path in paths]
    for path, part in zip(paths, parts):
        if part.dt is None:
            raise ValueError(f"{path} has no column dt: a model learns cells with the time step of the run")
    own = {p.name: np.float64(p.value) for p in system.parameters}
    columns = [
        np.column_stack(
            [p.cells, p.dt, *((p.params or {}).get(k, np.full(len(p.dt), value)) for k, value in own.items())]
        )
        for p in parts
    ]
    rows = np.unique(np.concatenate(columns), axis=0)
    rows = rows[np.isfinite(rows).all(1) & (rows[:, len(system.names)] > 0)]
    n_vars = len(system.names)
    params = dict(zip(own, rows[:, n_vars + 1 :].T)) or None
    cells = UserCells(np.ascontiguousarray(rows[:, :n_vars]), rows[:, n_vars].copy(), params)
    for split in MOST:
        if (n := len(cells.of_split(split))) < FEWEST:
            raise ValueError(
                f"{len(rows)} different cells were harvested, {n} of them are for the split {split!r}: harvest more, "
                f"at least {FEWEST} are needed of each"
            )
    return cells


def check_varied(cells: UserCells, system: System, inputs: dict[str, tuple[float, float]], model: str) -> None:
    """Raise ValueError if the cells have parameters other than the system's own that a net does not take."""
    for p in system.parameters:
        values = cells.params[p.name]
        if p.name not in inputs and (values.astype(np.float32) != np.float32(p.value)).any():
            low, high = values.min(), values.max()
            ends = f"{low:g}:{high:g}" if low < high else f"{min(low, p.value):g}:{max(high, p.value):g}"
            raise ValueError(
                f"{p.name} is {low:g} to {high:g} in these cells, and always {p.value:g} in {model}, whose inputs are "
                f"{', '.join(inputs) or 'no parameters'}: train a model on labels with --param {p.name}={ends} first"
            )


class Rehearsal:
    """Labels of the cells of a run and of the populations that a model was calibrated with, kept in a folder.

    Parameters
    ----------
    system : System
    trained : tuple of (Surrogate, dict)
        The net and the metadata of its file.
    cells : UserCells
        As from `read_harvest`.
    folder : Path
        Where labels are kept, for a run that goes on.
    sizes : dict of str to int
        Cells of each population by split.
    seed : int
    say : callable
        Called with lines of text.
    """

    def __init__(self, system, trained, cells, folder: Path, sizes, seed: int, say: Callable[[str], Any]):
        self.system, self.cells, self.folder, self.sizes, self.seed = system, cells, folder, sizes, seed
        self.encoding, metadata = trained[0].encoding, trained[1]
        domain, column = from_plain(Domain, metadata["domain"]), self.encoding.dt_column
        self.dt_range = float(10.0 ** domain.lower[column]), float(10.0 ** domain.upper[column])
        self.ranges = {
            name: (0.0, low, high) if low > 0 and domain.lower[column + 1 + k] < np.log10(low) - 0.5 else (low, high)
            for k, (name, (low, high)) in enumerate(self.encoding.inputs.items())
        }
        self.populations = [name for name in _calibrated_with(metadata, system) if self._can_draw(name, say)]
        self.solver = _solver(system, folder)

    def _can_draw(self, name, say):
        known = name in REGISTRY and REGISTRY[name].applies_to(self.system)
        if not known:
            say(f"the model was calibrated with {name}, too, which cannot be drawn anew and is not rehearsed")
        return known

    def labels(self, name: str, split: str) -> tuple[torch.Tensor | None, ...]:
        """Labels at the first time step, as from `label_tensors`: those of the run's cells, or of a population."""
        if name == RUN:
            kept = self._of_run(split)
            n = 1 if split != "train" else None
            return _tensors(kept, self.encoding.inputs, n)
        state, dt, end, params = label_tensors(load_labels(self._file(name, split)), 1)
        if self.encoding.inputs and params is None:
            params = torch.tensor(self.system.parameter_values).expand(len(dt), -1)
        return state, dt, end, params if self.encoding.inputs else None

    def pairs(self) -> Pairs:
        """All training pairs."""
        kept = self._of_run("train")
        inputs = self.encoding.inputs
        parts = [Pairs.from_trajectories(kept["start"], kept["dt"], kept["end"], kept["params"] if inputs else None)]
        if self.populations:
            old = read_pairs([self._file(name, "train") for name in self.populations], self.system)
            if inputs and old.params is None:
                old.params = torch.tensor(self.system.parameter_values).repeat(len(old), 1)
            parts.append(old)
        columns = ("state", "dt", "end", "params") if inputs else ("state", "dt", "end")
        return Pairs(*(torch.cat([getattr(p, k) for p in parts]) for k in columns), inputs=inputs)

    def _file(self, name, split):
        """The label file of a population, made or completed."""
        population, path = find_population(name), self.folder / f"{name}-{split}.h5"
        make_labels(
            self.system,
            path,
            population=name,
            n=self.sizes[split],
            split=split,
            seed=SET + self.seed,
            dts=N_TIMES if split == "train" else 1,
            rtol=RTOL[split],
            model=self.solver.path,
            dt_range=None if population.dt_range else self.dt_range,
            param_ranges=self.ranges if population.takes_parameters else None,
        )
        return path

    def _of_run(self, split):
        """Labels of the run's cells of a split, made or read: dict of ndarrays."""
        path = self.folder / f"cells-{split}.h5"
        if not path.exists():
            write_tensors(path, self._solve_cells(split), {"split": split})
        return read_arrays(path)[0]

    def _solve_cells(self, split):
        from tqdm import tqdm

        rng = np.random.default_rng(seed_of(split, SET + self.seed))
        rows = rng.permutation(self.cells.of_split(split))[: MOST[split]]
        start, dt = self.cells.cells[rows], self.cells.dt[rows, None]
        if split == "train":
            parts = SHORTEST ** rng.random((len(rows), N_TIMES - 1))
            dt = np.sort(np.concatenate([dt, dt * parts], axis=1), axis=1)
        params = {name: values[rows] for name, values in (self.cells.params or {}).items()}
        stepper = self.solver.stepper(rtol=RTOL[split], net=False)
        ends = []
        with tqdm(total=dt.size, unit=" labels", unit_scale=True, desc=f"cells-{split}") as bar:
            for first in range(0, len(rows), CHUNK):
                part = slice(first, first + CHUNK)
                given = {name: values[part] for name, values in params.items()}
                ends.append(walk(lambda *x: stepper.step(*x[:2], params=x[2]).status, start[part], dt[part], given)[0])
                bar.update(dt[part].size)
        columns = {"start": start, "dt": dt, "end": np.concatenate(ends)}
        return columns | {"params": np.column_stack([*params.values()]) if params else np.empty((len(rows), 0))}

    def attempts(self, labels: Sequence[torch.Tensor | None], rtol: float) -> np.ndarray:
        """Attempts that the solver needs for labelled cells, at least 1; shape (n,)."""
        state, dt, _, params = labels
        given = {} if params is None else dict(zip((p.name for p in self.system.parameters), params.numpy().T))
        report = self.solver.stepper(rtol=rtol, net=False).step(state.numpy().copy(), dt.numpy(), params=given)
        return np.maximum(report.cost, 1.0)

    def digest(self) -> str:
        """Of the cells, whatever the files that they were in."""
        columns = [self.cells.cells, self.cells.dt, *(self.cells.params or {}).values()]
        return reduce(lambda h, x: h.update(np.ascontiguousarray(x).data) or h, columns, hashlib.sha256()).hexdigest()


def _tensors(kept, inputs, n_dt):
    """`label_tensors` of what is kept of the run's cells."""
    end = kept["end"][:, :n_dt]
    good = np.isfinite(end).all(2)
    repeated = [np.repeat(kept[k][:, None], end.shape[1], 1) for k in ("start", "params")]
    columns = [repeated[0], kept["dt"][:, :n_dt], end, *([repeated[1]] if inputs else [])]
    tensors = [torch.from_numpy(np.ascontiguousarray(x[good])) for x in columns]
    return (*tensors, *[None] * (4 - len(tensors)))


def _calibrated_with(metadata, system):
    """Names of the populations of a model's calibration; all that apply, where the file does not tell."""
    named = [name.split(",")[0] for name in metadata.get("held_out", {}) if name != RUN]
    return list(dict.fromkeys(named)) or [p.name for p in REGISTRY.values() if p.applies_to(system)]


def _solver(system, folder):
    """The solver of a system as an opened model with a path: one that is installed, or is compiled in `folder` now."""
    try:
        model = run_time.load(system.name)
        if system.has_hash(model.info.get("system_hash")):
            return model
    except ModelError:
        pass
    path = folder / f"{system.name}.so"
    return run_time.load(path if path.exists() else export_model(system, folder))
