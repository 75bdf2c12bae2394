"""The user's own cells as a population: read from tables, divided among the splits, drawn in the order of a seed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np

from ..files import digest_of
from ..systems import System
from .composition import electron_of
from .seeds import seed_of
from .table import listed, read_columns

#: what label files call this population
OWN = "cells"
#: share of the cells that belongs to each split
SHARES = {"train": 0.7, "calibrate": 0.15, "test": 0.15}


@dataclass(frozen=True, eq=False)
class UserCells:
    """Cells of the user's own.

    Attributes
    ----------
    cells : ndarray of shape (n, n_vars)
        In the order and the units of the system.
    dt : ndarray of shape (n,), or None
        Time steps, in the system's unit of time.
    params : dict of str to ndarray of shape (n,), or None
        Parameters of the system.
    notes : tuple of str
        What of the files was not used, a line each.
    """

    cells: np.ndarray
    dt: np.ndarray | None = None
    params: dict[str, np.ndarray] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self):
        return len(self.cells)

    def digest(self) -> str:
        """SHA-256 of cells, time steps and parameters, whatever the files that they were in."""
        arrays = {"cells": self.cells} | {f"param {name}": values for name, values in (self.params or {}).items()}
        return digest_of({}, arrays if self.dt is None else arrays | {"dt": self.dt})

    def ranges(self, system: System) -> dict[str, tuple[float, ...]]:
        """Ranges of the parameters as in `draw_params`, all but those that are the system's own value everywhere."""
        own = {p.name: p.value for p in system.parameters}
        return {name: _range_of(v) for name, v in (self.params or {}).items() if (v != own[name]).any()}

    def of_split(self, split: str) -> np.ndarray:
        """Numbers of the cells that belong to a split, see `SHARES`: the content of a cell decides."""
        place = (hash_of(self.cells) >> np.uint64(11)) / 2.0**53
        before = sum(SHARES[name] for name in list(SHARES)[: list(SHARES).index(split)])
        return np.flatnonzero((before <= place) & (place < before + SHARES[split]))

    def choose(self, system: System, split: str, number: int, n: int | None = None) -> "CellSet":
        """The first `n` cells of set `number` of a split, or all of them; in random order, none twice.

        Raises
        ------
        ValueError
            If none belongs to the split, or, where cells are counted (calibrate, test), fewer than `n`.
        """
        if self.cells.ndim != 2 or self.cells.shape[1] != len(system.names):
            raise ValueError(
                f"cells are of shape {self.cells.shape}: give one column for each of {listed(system.names)}"
            )
        order = np.random.default_rng(seed_of(split, number)).permutation(self.of_split(split))
        if not len(order):
            raise ValueError(f"none of the {len(self)} cells belongs to the split {split!r}: give more cells")
        if n is not None and n > len(order) and split != "train":
            raise ValueError(
                f"n is {n}: {len(order)} of the {len(self)} cells belong to the split {split!r}, where none may count "
                f"twice: give at most {len(order)}, or leave it out"
            )
        return CellSet(self.rows(order[:n]), self.digest(), self.ranges(system))

    def rows(self, rows: np.ndarray) -> "UserCells":
        """Some of the cells."""
        params = self.params and {name: values[rows] for name, values in self.params.items()}
        return UserCells(self.cells[rows], None if self.dt is None else self.dt[rows], params, self.notes)


@dataclass(frozen=True, eq=False)
class CellSet:
    """What a set of labels takes of the user's cells, in order; `digest` and `ranges` are those of all of them."""

    cells: UserCells
    digest: str
    ranges: dict[str, tuple[float, float]]

    def rows(self, start: int, stop: int) -> UserCells:
        """Cells number `start` to `stop`; after the last comes the first again."""
        return self.cells.rows(np.arange(start, stop) % len(self.cells))


def _range_of(values):
    """Lower and upper end of values, of those that may be absent with a 0 before them."""
    positive = values[values > 0]
    if values.min() == 0 and len(positive):
        return 0.0, float(positive.min()), float(positive.max())
    return float(values.min()), float(values.max())


def read_cells(path: str | os.PathLike | Sequence[str | os.PathLike], system: System) -> UserCells:
    """Cells from a table, or from several, which have columns named as the variables of the system.

    Columns named as its parameters and ``dt`` are read as well, others are not. Electrons may be left out: they follow
    from the ions. Cells that the system cannot take are left out. Of several files all or none have ``dt``; a parameter
    has the system's own value in files that do not have it.

    Parameters
    ----------
    path : str or path, or a sequence of them
        See `table.read_columns` for the formats. All in the units of the system.
    system : System

    Returns
    -------
    UserCells

    Raises
    ------
    FileNotFoundError, ValueError
        If a file cannot be read or lacks a variable, or no cell is left.
    """
    paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    if not paths:
        raise ValueError("no file of cells is given: give at least one")
    parts = [_read_table(Path(p), system) for p in paths]
    if len({part.dt is None for part in parts}) > 1:
        having = [str(p) for p, part in zip(paths, parts) if part.dt is not None]
        raise ValueError(f"only some files have a column dt ({listed(having)}): give it in all of them, or in none")
    own = {p.name: p.value for p in system.parameters}
    names = [name for name in own if any(name in (part.params or {}) for part in parts)]
    params = {
        name: np.concatenate([(p.params or {}).get(name, np.full(len(p), own[name])) for p in parts]) for name in names
    }
    return UserCells(
        np.concatenate([part.cells for part in parts]),
        None if parts[0].dt is None else np.concatenate([part.dt for part in parts]),
        params or None,
        tuple(note for part in parts for note in part.notes),
    )


def _read_table(path, system):
    names, parameters = system.names, [p.name for p in system.parameters]
    columns, others = read_columns(path, {*names, *parameters, "dt"})
    electron = electron_of(system)
    follows = electron is not None and names[electron] not in columns
    missing = [name for k, name in enumerate(names) if name not in columns and not (follows and k == electron)]
    if missing:
        raise ValueError(
            f"{path} has no column {listed(missing)}: cells of {system.name} are {listed(names)}; "
            f"the file has {listed([*columns, *others]) or 'none'}"
        )
    n = len(next(iter(columns.values())))
    cells = np.stack([columns.get(name, np.zeros(n)) for name in names], axis=1) + 0.0  # no -0: same cell, same hash
    if follows:
        cells[:, electron] = cells @ np.array(system.conserved["charge"])
    dt = columns.get("dt")
    params = {name: columns[name] for name in parameters if name in columns}
    good, bad = _acceptable(system, cells, dt, params)
    notes = [f"{path}: not used are the columns {listed(others)}"] if others else []
    notes += [f"{path}: {n - good.sum()} of {n} cells are left out: {bad}"] if bad else []
    if not good.any():
        raise ValueError(f"{path} has no cell that {system.name} can take" + (f": of {n} are {bad}" if bad else ""))
    kept = UserCells(cells, dt, params or None, tuple(notes))
    return kept.rows(np.flatnonzero(good)) if bad else kept


def _acceptable(system, cells, dt, params):
    """Which cells the system can take, bool of shape (n,), and a text that counts the others by the first reason."""
    columns = list(zip(system.variables, cells.T)) + [
        (p, params[p.name]) for p in system.parameters if p.name in params
    ]
    values = [values for _, values in columns] + ([] if dt is None else [dt])
    tests = {"not finite": ~reduce(np.logical_and, map(np.isfinite, values))}
    for what, column in columns:
        outside = f"with {what.name} outside {what.lower:g}..{what.upper:g}"
        tests[outside] = ~((column >= what.lower) & (column <= what.upper))
    if dt is not None:
        tests["with dt not positive"] = ~(dt > 0)
    good, counts = np.ones(len(cells), bool), {}
    for reason, fails in tests.items():
        counts[reason] = int((fails & good).sum())
        good &= ~fails
    return good, ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)


def hash_of(cells: np.ndarray) -> np.ndarray:
    """A number for each row from its bits alone, uint64 of shape (n,).

    The output function of SplitMix64 over the columns (Steele, Lea & Flood 2014, OOPSLA, doi:10.1145/2714064.2660195).
    """
    result = np.zeros(len(cells), np.uint64)
    for column in np.ascontiguousarray(cells.T).view(np.uint64):
        z = (result ^ column) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        result = z ^ (z >> np.uint64(31))
    return result
