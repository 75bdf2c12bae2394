"""What a population is: an object with what `Population` lists."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..systems import System

#: ``advance(cells, dt)`` advances cells in place, e.g. ``stepper.step``
Advance = Callable[[np.ndarray, np.ndarray], object]


@dataclass(frozen=True)
class Population:
    """A way to draw cells and time steps.

    Attributes
    ----------
    name : str
    draw : callable
        ``draw(system, n, seed, advance, dt_range) -> cells, dt``: arrays of shape (n, n_vars) and (n,), the same for
        the same seed; `advance` is an `Advance` if `needs_solver`, `dt_range` the caller's if it has none of its own.
    applies_to : callable
        ``applies_to(system)``: whether it can draw cells of a system.
    dt_range : tuple of float, optional
        Its shortest and longest time step; if not given, the caller says.
    needs_solver : bool
        Whether cells are evolved.
    takes_parameters : bool
        Whether the parameters of the system may vary from cell to cell.
    """

    name: str
    draw: Callable[..., tuple[np.ndarray, np.ndarray]]
    applies_to: Callable[[System], bool]
    dt_range: tuple[float, float] | None = None
    needs_solver: bool = False
    takes_parameters: bool = True
