"""What the content of a label file follows from."""

import operator
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..populations import CellSet, check_population, draw_params, find_population, seed_of
from ..systems import System
from .file import FORMAT, FORMAT_VERSION

#: trajectories per chunk
CHUNK = 16384


@dataclass(frozen=True)
class Recipe:
    """What the content of a label file follows from; see `make_labels` for the fields."""

    system: System
    population: str
    n: int
    dts: int
    split: str
    seed: int
    rtol: float | None = None
    atol_frac: float | None = None
    max_step: float | None = None
    model: str | os.PathLike | None = None
    advance: str | Callable | None = None
    dt_range: tuple | None = None
    param_ranges: dict = field(default_factory=dict)
    chunk: int = CHUNK
    source: str = ""  # what the user calls the system
    own: CellSet | None = None  # cells of the user's own, in place of a population

    def __post_init__(self):
        for name in ("n", "dts", "chunk"):
            if operator.index(getattr(self, name)) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1")
        if self.advance is None:
            if self.rtol is None:
                raise ValueError("rtol is missing: give the relative error that the labels may have, e.g. 1e-4")
        elif not (self.rtol is self.atol_frac is self.max_step is self.model is None):
            raise ValueError(
                "rtol, atol_frac, max_step and model belong to the library's solver: leave them out with advance"
            )
        seed_of(self.split, self.seed, self.n_chunks - 1)
        draw_params(self.system, 1, 0, self.param_ranges)
        if self.own is not None:
            self._check_cells()
            return
        check_population(self.population, self.system, self.dt_range)
        if self.param_ranges and not find_population(self.population).takes_parameters:
            raise ValueError(f"population {self.population!r} has the default parameters: leave out param_ranges")

    def _check_cells(self):
        if twice := sorted(self.param_ranges.keys() & (self.own.cells.params or {}).keys()):
            raise ValueError(f"{twice[0]} is a column of the cells: leave it out of param_ranges")
        if self.dt_range is None and self.own.cells.dt is None:
            raise ValueError("dt_range is missing: the cells have no column dt, give the shortest and the longest")
        if self.dt_range is not None or self.dts > 1:
            low, high = self.time_steps
            if not 0 < low < high < np.inf:
                raise ValueError(
                    f"time steps are of {low:g}..{high:g}: give a dt_range for those that are drawn"
                    + ("" if self.dt_range else ", or a single label per cell, as all cells have the same dt")
                )

    @property
    def varied(self):
        """Ranges of all parameters that vary, by name."""
        return self.param_ranges | (self.own.ranges if self.own else {})

    @property
    def n_chunks(self):
        """Number of chunks."""
        return -(-self.n // self.chunk)

    @property
    def time_steps(self):
        """Shortest and longest time step."""
        if self.own is None or self.dt_range:
            return self.dt_range or find_population(self.population).dt_range
        return float(self.own.cells.dt.min()), float(self.own.cells.dt.max())

    def rows(self, i):
        """Trajectories of chunk `i`."""
        return slice(i * self.chunk, min((i + 1) * self.chunk, self.n))

    def attributes(self):
        """The recipe as attributes of the file: a rerun must agree in all of them."""
        ranges = [
            f"{name}={'0,' * len(zero)}{float(low)!r}:{float(high)!r}"
            for name, (*zero, low, high) in sorted(self.varied.items())
        ]
        result = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "system": self.system.name,
            "system_hash": self.system.hash,
            "population": self.population,
            **({} if self.own is None else {"cells_sha256": self.own.digest}),
            "split": self.split,
            "seed": self.seed,
            "n": self.n,
            "dts": self.dts,
            "chunk": self.chunk,
            "dt_range": [float(x) for x in self.time_steps],
            "param_ranges": " ".join(ranges),
            "solver": solver_name(self.advance),
        }
        if self.advance is None:
            atol_frac = 1e-10 * self.rtol if self.atol_frac is None else self.atol_frac
            result |= {"rtol": float(self.rtol), "atol_frac": float(atol_frac)}
            result |= {} if self.max_step is None else {"max_step": float(self.max_step)}
        return result


def solver_name(advance: str | Callable | None) -> str:
    """What a file calls its solver."""
    if advance is None or isinstance(advance, str):
        return advance or "surrogate"
    return f"{advance.__module__}:{advance.__qualname__}" if hasattr(advance, "__qualname__") else repr(advance)
