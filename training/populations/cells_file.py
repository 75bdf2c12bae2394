"""Cells of the user's own, read from tables of named columns."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import UNREADABLE, check_dataset
from ..systems import System

#: share of the cells that belongs to each split
SHARES = {"train": 0.7, "calibrate": 0.15, "test": 0.15}


@dataclass(frozen=True, eq=False)
class UserCells:
    """Cells of shape (n, n_vars), their time steps and parameters, each of shape (n,) or None."""

    cells: np.ndarray
    dt: np.ndarray | None = None
    params: dict[str, np.ndarray] | None = None

    def __len__(self):
        return len(self.cells)

    def of_split(self, split: str) -> np.ndarray:
        """Numbers of the cells that belong to a split, see `SHARES`: the content of a cell decides."""
        place = hash_of(self.cells) / 2.0**64
        before = sum(SHARES[name] for name in list(SHARES)[: list(SHARES).index(split)])
        return np.flatnonzero((before <= place) & (place < before + SHARES[split]))


def read_cells(path: str | os.PathLike, system: System) -> UserCells:
    """Cells from HDF5, .npy, .npz or .csv with columns named as the variables of a system; dt and parameters as well.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file cannot be read, lacks a variable, or has columns of different length.
    """
    try:
        columns = {name: np.asarray(column, float).ravel() for name, column in _columns(Path(path)).items()}
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be read as a table of cells: {error}") from error
    missing = [name for name in system.names if name not in columns]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}: cells of {system.name} need all variables")
    names = [p.name for p in system.parameters if p.name in columns]
    used = [*system.names, *names, *({"dt"} & columns.keys())]
    if len({len(columns[name]) for name in used}) > 1:
        raise ValueError(f"{path} has columns of different length: give a row per cell")
    cells = np.stack([columns[name] for name in system.names], axis=1)
    return UserCells(cells, columns.get("dt"), {name: columns[name] for name in names} or None)


def _columns(path):
    if path.suffix == ".npy":
        table = np.load(path, allow_pickle=False)
        return {name: table[name] for name in table.dtype.names or ()}
    if path.suffix == ".npz":
        return dict(np.load(path, allow_pickle=False))
    if path.suffix == ".csv":
        table = np.genfromtxt(path, delimiter=",", names=True, deletechars="")
        return {name: table[name] for name in table.dtype.names or ()}
    import h5py

    with h5py.File(path, "r") as file:
        for item in file.values():
            check_dataset(item)
        return {name: item[()] for name, item in file.items()}


def hash_of(cells: np.ndarray) -> np.ndarray:
    """A number for each row from its bits alone, uint64 of shape (n,): SplitMix64 over the columns (Steele, Lea & Flood
    2014, OOPSLA, doi:10.1145/2714064.2660195)."""
    result = np.zeros(len(cells), np.uint64)
    for column in np.ascontiguousarray(cells.T).view(np.uint64):
        z = (result ^ column) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        result = z ^ (z >> np.uint64(31))
    return result
