"""Populations of cells and time steps with fixed seeds, shared by training, tests and benchmarks.

One for each kind of cells that hosts bring (`registry` lists them): all but two are of interstellar networks, `network`
serves networks of any elements, `box` any other system. `draw` takes them by name, and those of others as MODULE:NAME.
`read_cells` reads cells of the user's own.
"""

from .box import box
from .composition import X, Y, elements_of
from .hydro import RUNS, hydro
from .network import network
from .own import OWN, CellSet, UserCells, read_cells
from .population import Population
from .registry import DT_RANGES, POPULATION_HELP, POPULATIONS, check_population, draw, find_population
from .relaxed import relaxed
from .sampling import draw_dts, draw_params, spread
from .seeds import SEEDS_PER_SET, SPLITS, seed_of
from .single import SINGLE, single
from .wide import wide

__all__ = [
    "CellSet",
    "DT_RANGES",
    "OWN",
    "POPULATIONS",
    "POPULATION_HELP",
    "RUNS",
    "SEEDS_PER_SET",
    "SINGLE",
    "SPLITS",
    "Population",
    "UserCells",
    "X",
    "Y",
    "box",
    "check_population",
    "draw",
    "draw_dts",
    "draw_params",
    "elements_of",
    "find_population",
    "hydro",
    "network",
    "read_cells",
    "relaxed",
    "seed_of",
    "single",
    "spread",
    "wide",
]
