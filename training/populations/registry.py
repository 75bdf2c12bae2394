"""The populations by name, and drawing from them.

Each is a module of this folder that holds its ``POPULATION``, found here by itself; ``MODULE:NAME`` names one from
elsewhere.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..named import find_named
from ..systems import System
from .population import Advance, Population
from .seeds import check_seed


def _populations() -> Iterator[Population]:
    for found in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if found.name != "registry":
            module = importlib.import_module(f"{__package__}.{found.name}")
            if hasattr(module, "POPULATION"):
                yield module.POPULATION


#: populations by name
REGISTRY: dict[str, Population] = {population.name: population for population in _populations()}
POPULATIONS = tuple(REGISTRY)
#: shortest and longest time step of each population that has its own [s]
DT_RANGES = {name: population.dt_range for name, population in REGISTRY.items() if population.dt_range}
#: for command lines
POPULATION_HELP = f"{', '.join(POPULATIONS)}; or your own, MODULE:NAME"


def find_population(name: str | Population) -> Population:
    """A population by name; one that is MODULE:NAME is imported."""
    if isinstance(name, str) and name in REGISTRY:
        return REGISTRY[name]
    if isinstance(name, str) and ":" in name:
        name = find_named(name, "population")
    missing = [key for key in Population.__dataclass_fields__ if not hasattr(name, key)]
    if isinstance(name, str) or missing:
        raise ValueError(f"no population {name!r}; choose from {', '.join(POPULATIONS)}, or give MODULE:NAME")
    return name


def check_population(name: str | Population, system: System, dt_range: tuple[float, float] | None = None) -> Population:
    """The population called `name`; raises ValueError if it is none, or not one for this system."""
    population = find_population(name)
    if not population.applies_to(system):
        fitting = ", ".join(p.name for p in REGISTRY.values() if p.applies_to(system))
        raise ValueError(f"population {population.name!r} is not for {system.name}: choose {fitting}")
    if population.dt_range and dt_range is not None:
        raise ValueError(f"population {population.name!r} has its own time steps: leave out dt_range")
    given = population.dt_range or dt_range
    if not (given and len(given) == 2 and 0 < given[0] < given[1] < np.inf):
        raise ValueError(
            f"dt_range is {dt_range}: population {population.name!r} needs the shortest and the longest time step"
        )
    return population


def draw(
    name: str | Population,
    system: System,
    n: int,
    seed: int,
    advance: Advance | None = None,
    dt_range: tuple[float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Cells and time steps of a population.

    Two populations of one seed may share start cells: give each part of a mixed set a seed of its own.

    Parameters
    ----------
    name : str or Population
        One of `POPULATIONS`, or MODULE:NAME.
    system : System
    n : int
    seed : int
        In one of the `seeds.SPLITS`.
    advance : callable, optional
        ``advance(cells, dt)`` advances in place, e.g. ``stepper.step``; populations that evolve their cells need it.
    dt_range : tuple of float, optional
        Time steps; `box` and `network` need them, the others have their own.

    Returns
    -------
    cells : ndarray of shape (n, n_vars)
    dt : ndarray of shape (n,)
    """
    seed = check_seed(seed)
    population = check_population(name, system, dt_range)
    if population.needs_solver and advance is None:
        raise ValueError(f"population {population.name!r} evolves its cells: give advance, e.g. stepper.step")
    return population.draw(system, n, seed, advance, dt_range)
