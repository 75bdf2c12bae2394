"""Labels: what a stiff solver makes of sampled cells, in an HDF5 file.

A *trajectory* is one start cell with increasing time steps, each of which gives a *label*: the cell after that time.
The solver walks from one to the next, so that several labels cost little more than the longest.

A file is made chunk by chunk. A chunk depends on recipe and number alone, so that neither the number of processes nor
an interruption leaves a trace. HDF5 lays out the file once, with all datasets contiguous and their room reserved, and a
rename puts it in place. From then on only numbers change, through a memory map, and the checksum of a chunk, 0 until
then, is written after the chunk is on the disk: whenever a process is killed, the file is valid and says what it lacks.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..populations import OWN, UserCells, read_cells
from ..systems import System, get_system
from .file import Labels, checksum_of, create_file, intact_chunks, load_labels, lock_file, open_file
from .recipe import CHUNK, Recipe
from .solver import open_solver
from .workers import workers


def make_labels(
    system: System | str,
    path: str | os.PathLike,
    *,
    population: str | None = None,
    cells: UserCells | str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    n: int | None = None,
    split: str,
    seed: int,
    dts: int = 1,
    rtol: float | None = None,
    atol_frac: float | None = None,
    max_step: float | None = None,
    model: str | os.PathLike | None = None,
    advance: str | Callable | None = None,
    dt_range: tuple[float, float] | None = None,
    param_ranges: dict[str, tuple[float, float]] | None = None,
    processes: int = 1,
    mpi: bool = False,
    chunk: int = CHUNK,
    progress: bool = True,
) -> Labels | None:
    """Make a label file, or complete one that was interrupted.

    With ``processes > 1`` a script needs the usual ``if __name__ == "__main__":``, since each process imports it.

    Parameters
    ----------
    system : System or str
    path : str or path
        If it exists, it must be a label file of the same recipe.
    population : str, optional
        One of `populations.POPULATIONS`, or your own, MODULE:NAME.
    cells : path, sequence of paths or UserCells, optional
        Cells of your own in place of a population, see `populations.read_cells`. Each belongs to one split. They are
        taken in random order, none twice before all have been; for the splits that are counted, none twice at all.
    n : int, optional
        Trajectories; by default one for each cell of your own that belongs to the split.
    split : {"train", "calibrate", "test"}
    seed : int
        Number of the set within its split; see `populations.seed_of`.
    dts : int
        Labels per trajectory.
    rtol, atol_frac : float, optional
        Tolerances of the library's solver, as in `Model.stepper`; it needs `rtol`.
    model : str or path, optional
        The model library that holds the solver; the model named like the system if not given.
    advance : callable or str, optional
        Your own solver ``advance(cells, dt) -> cells`` in place of the library's, or its name ``"module:function"``:
        arrays of shape (m, n_vars) and (m,) in, the new cells out, with NaN in those that failed. With `param_ranges`,
        or explicit time, it is called as ``advance(cells, dt, params)``, with a dict of arrays of shape (m,).
    dt_range : tuple of float, optional
        Shortest and longest time step, for populations that have none of their own, cells without a column ``dt``, and
        the further labels of cells that have one (default: from its lowest to its highest value).
    param_ranges : dict of str to tuple of float, optional
        Parameters to vary from one trajectory to the next, with their ranges (logarithmic where positive), see
        `draw_params`.
    processes : int
        Processes that compute. The file does not depend on it.
    mpi : bool
        Compute on the ranks of ``MPI.COMM_WORLD`` instead; rank 0 writes.
    chunk : int
        Trajectories per chunk.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Labels
        None on MPI ranks other than 0.
    """
    source = system if isinstance(system, str) else system.name
    system = system if isinstance(system, System) else get_system(system)
    own, notes = None, ()
    if (population is None) == (cells is None):
        given = "neither is" if cells is None else "both are"
        raise ValueError(f"population or cells: {given} given, give one of the two")
    if cells is not None:
        read = cells if isinstance(cells, UserCells) else read_cells(cells, system)
        own, population, notes = read.choose(system, split, seed, n), OWN, read.notes
        n = len(own.cells) if n is None else n
        if n > len(own.cells):
            notes += (f"n is {n}: the {len(own.cells)} cells of the split {split!r} come more than once",)
    elif n is None:
        raise ValueError("n is missing: give the number of trajectories")
    recipe = Recipe(
        system,
        population,
        n,
        dts,
        split,
        seed,
        rtol,
        atol_frac,
        max_step,
        model,
        advance,
        dt_range,
        param_ranges or {},
        chunk,
        source,
        own,
    )
    solve = open_solver(recipe)
    with workers(recipe, solve, processes, mpi) as compute:
        if compute is None:
            return None
        for note in notes:
            print(note, file=sys.stderr)
        if not Path(path).exists():
            create_file(recipe, path)
        _fill(recipe, path, compute, progress)
    return load_labels(path)


def _fill(recipe, path, compute, progress):
    """Compute what the file lacks, chunk by chunk."""
    from tqdm import tqdm

    with lock_file(path):
        meta, data = open_file(path)
        for name, value in recipe.attributes().items():
            if meta.get(name) != value:
                raise ValueError(
                    f"{path} was made with {name} = {meta.get(name)!r}, you ask for {value!r}: "
                    "give another file, or the settings of this one"
                )
        done = intact_chunks(meta, data)
        if done.all():
            return
        _, data = open_file(path, "r+")
        todo = np.flatnonzero(~done).tolist()
        n_labels = sum((rows.stop - rows.start) * recipe.dts for rows in map(recipe.rows, todo))
        total = recipe.n * recipe.dts
        with tqdm(
            total=total,
            initial=total - n_labels,
            unit=" labels",
            unit_scale=True,
            desc=Path(path).name,
            disable=not progress,
        ) as bar:
            for i, arrays in zip(todo, compute(todo)):
                for name, values in arrays.items():
                    data[name][recipe.rows(i)] = values
                    data[name].flush()
                data["checksum"][i] = checksum_of(data, recipe.rows(i))
                data["checksum"].flush()
                bar.update(arrays["status"].size)
