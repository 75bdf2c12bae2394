"""Labels: what a stiff solver makes of sampled cells, in an HDF5 file; ``surrogate labels``.

A *trajectory* is one start cell with increasing time steps, each of which gives a *label*: the cell after that time.
The solver walks from one to the next, so that several labels cost little more than the longest.

A file is made chunk by chunk. A chunk depends on recipe and number alone, so that neither the number of processes nor
an interruption leaves a trace. HDF5 lays out the file once, with all datasets contiguous and their room reserved, and a
rename puts it in place. From then on only numbers change, through a memory map, and the checksum of a chunk, 0 until
then, is written after the chunk is on the disk: whenever a process is killed, the file is valid and says what it lacks.
"""

import argparse
import contextlib
import importlib
import multiprocessing
import operator
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

import surrogate
from surrogate.errors import ModelError
from surrogate.report import STATUS_NAMES, UNTOUCHED

from .. import populations
from ..systems import SYSTEM_HELP, get_system
from ..systems.system import System
from .file import FORMAT, FORMAT_VERSION, checksum_of, create_file, intact_chunks, load_labels, lock_file, open_file

#: trajectories per chunk
CHUNK = 16384

_CODES = {name: code for code, name in STATUS_NAMES.items()}
SOLVED, FAILED = _CODES["solver"], _CODES["failed"]


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
        populations.check_population(self.population, self.system, self.dt_range)
        populations.seed_of(self.split, self.seed, self.n_chunks - 1)
        populations.draw_params(self.system, 1, 0, self.param_ranges)
        if self.param_ranges and self.population == "hydro":
            raise ValueError("population 'hydro' has the default parameters: leave out param_ranges")

    @property
    def n_chunks(self):
        """Number of chunks."""
        return -(-self.n // self.chunk)

    @property
    def time_steps(self):
        """Shortest and longest time step."""
        return self.dt_range or populations.DT_RANGES[self.population]

    def rows(self, i):
        """Trajectories of chunk `i`."""
        return slice(i * self.chunk, min((i + 1) * self.chunk, self.n))

    def attributes(self):
        """The recipe as attributes of the file: a rerun must agree in all of them."""
        ranges = [f"{name}={float(low)!r}:{float(high)!r}" for name, (low, high) in sorted(self.param_ranges.items())]
        result = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "system": self.system.name,
            "system_hash": self.system.hash,
            "population": self.population,
            "split": self.split,
            "seed": self.seed,
            "n": self.n,
            "dts": self.dts,
            "chunk": self.chunk,
            "dt_range": [float(x) for x in self.time_steps],
            "param_ranges": " ".join(ranges),
            "solver": _solver_name(self.advance),
        }
        if self.advance is None:
            atol_frac = 1e-10 * self.rtol if self.atol_frac is None else self.atol_frac
            result |= {"rtol": float(self.rtol), "atol_frac": float(atol_frac)}
            result |= {} if self.max_step is None else {"max_step": float(self.max_step)}
        return result


def make_labels(
    system,
    path,
    *,
    population,
    n,
    split,
    seed,
    dts=1,
    rtol=None,
    atol_frac=None,
    max_step=None,
    model=None,
    advance=None,
    dt_range=None,
    param_ranges=None,
    processes=1,
    mpi=False,
    chunk=CHUNK,
    progress=True,
):
    """Make a label file, or complete one that was interrupted.

    With ``processes > 1`` a script needs the usual ``if __name__ == "__main__":``, since each process imports it.

    Parameters
    ----------
    system : System or str
    path : str or path
        If it exists, it must be a label file of the same recipe.
    population : {"wide", "relaxed", "hydro", "single", "box"}
    n : int
        Trajectories.
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
        Shortest and longest time step, for population ``"box"``.
    param_ranges : dict of str to tuple of float, optional
        Parameters to vary from one trajectory to the next, with their ranges (logarithmic where positive).
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
    )
    solve = open_solver(recipe)
    with _workers(recipe, solve, processes, mpi) as compute:
        if compute is None:
            return None
        if not Path(path).exists():
            create_file(recipe, path)
        _fill(recipe, path, compute, progress)
    return load_labels(path)


def make_chunk(recipe, solve, i):
    """Chunk number `i` of a recipe; dict of str to ndarray."""
    system, rows = recipe.system, recipe.rows(i)
    n, seed = rows.stop - rows.start, populations.seed_of(recipe.split, recipe.seed, i)
    columns = populations.draw_params(system, n, seed, recipe.param_ranges)
    given = {p.name: column for p, column in zip(system.parameters, columns.T)}
    params = given if recipe.param_ranges or system.time else {}
    start, dt = populations.draw(
        recipe.population, system, n, seed, lambda cells, dt: solve(cells, dt, params), recipe.dt_range
    )
    dt = populations.draw_dts(dt, recipe.dts, seed, recipe.time_steps)
    end, status = _walk(solve, start, dt, params)
    chunk = {"start": start, "dt": dt, "end": end, "status": status}
    return chunk | ({"params": columns} if recipe.param_ranges else {})


def _walk(solve, start, dt, params):
    """Advance the cells from each time step to the next; return the labels and their status.

    A cell that fails has failed for all longer steps as well.
    """
    end = np.full((*dt.shape, start.shape[1]), np.nan)
    status = np.zeros(dt.shape, np.int8)
    cells, alive = start.copy(), np.arange(len(start))
    time = np.zeros(len(start))
    for k, target in enumerate(dt.T):
        now = {name: (values + time if name == "t" else values)[alive] for name, values in params.items()}
        outcome = solve(cells, (target - time)[alive], now)
        good = outcome < UNTOUCHED
        status[alive, k:] = outcome[:, None]
        cells, alive, time = cells[good], alive[good], target
        end[alive, k] = cells
    return end, status


def open_solver(recipe):
    """``solve(cells, dt, params) -> status``: advances in place with the library's solver or the caller's."""
    if recipe.advance is not None:
        return partial(_call_user, _find(recipe.advance), _solver_name(recipe.advance))
    name = recipe.system.name if recipe.model is None else recipe.model
    try:
        model = surrogate.load(name)
    except ModelError as error:
        path = f"DIR/{recipe.system.name}.so"
        raise ModelError(
            f"{error}. `surrogate export {recipe.source or recipe.system.name} --to DIR` makes {path}, "
            f"to be given as --model {path} (model= in Python)"
        ) from error
    if not recipe.system.has_hash(model.info.get("system_hash")):
        raise ModelError(
            f"model {name} was made from another {model.name} than this {recipe.system.name} (the hashes "
            f"of their equations differ): export it anew"
        )
    stepper = model.stepper(
        rtol=recipe.rtol, atol_frac=recipe.attributes()["atol_frac"], max_step=recipe.max_step, net=False
    )
    return lambda cells, dt, params: stepper.step(cells, dt, params=params).status


def _call_user(function, name, cells, dt, params):
    result = function(cells.copy(), dt, params) if params else function(cells.copy(), dt)
    new = np.asarray(result)
    if new.shape != cells.shape or new.dtype.kind != "f":
        raise ValueError(
            f"{name} returned {type(result).__name__} of shape {new.shape} and type {new.dtype}: "
            f"it must return the new cells, floats of shape {cells.shape}"
        )
    good = np.isfinite(new).all(axis=1)
    cells[good] = new[good]
    return np.where(good, SOLVED, FAILED).astype(np.int8)


def _find(advance):
    """The function that ``"module:function"`` names; a callable is itself."""
    if callable(advance):
        return advance
    module, _, function = advance.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"advance is {advance!r}: give module:function, importable from here ({error})") from error


def _solver_name(advance):
    if advance is None or isinstance(advance, str):
        return advance or "surrogate"
    return f"{advance.__module__}:{advance.__qualname__}" if hasattr(advance, "__qualname__") else repr(advance)


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


@contextlib.contextmanager
def _workers(recipe, solve, processes, mpi):
    """What computes: a function from chunk numbers to chunks in that order, or None on an MPI rank that serves."""
    if not mpi and processes <= 1:
        yield partial(map, partial(make_chunk, recipe, solve))
        return
    try:
        pickle.dumps(recipe.advance)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"advance cannot be sent to other processes ({error}): define it at the top of a module "
            "and give its name, module:function"
        ) from error
    if mpi:
        from mpi4py.futures import MPICommExecutor

        pool = MPICommExecutor(initializer=_start, initargs=(recipe,))
    else:
        pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_process, (recipe,))
    with pool as executor:
        try:
            yield executor and partial(executor.map, _run)
        finally:
            if executor:
                executor.shutdown(wait=True, cancel_futures=True)


def _start_process(recipe):
    """Set up a process of the pool, which dies of an interrupt without a word and does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _start(recipe)


def _leave_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def _start(recipe):
    global _run_chunk
    _run_chunk = partial(make_chunk, recipe, open_solver(recipe))


def _run(i):
    return _run_chunk(i)


def _range(text):
    name, _, ends = text.partition("=")
    low, _, high = ends.partition(":")
    return name, (float(low), float(high))


def main(arguments=None):
    """Make labels for training. An interrupted run continues when the same command is given again."""
    parser = argparse.ArgumentParser(prog="surrogate labels", description=main.__doc__)
    parser.add_argument("system", metavar="SYSTEM", help=SYSTEM_HELP)
    parser.add_argument("--population", required=True, choices=populations.POPULATIONS)
    parser.add_argument("--n", required=True, type=int, help="trajectories")
    parser.add_argument("--dts", type=int, default=1, help="labels per trajectory (default 1)")
    parser.add_argument("--rtol", type=float, help="relative error of the library's solver, e.g. 1e-4")
    parser.add_argument("--atol-frac", type=float, help="absolute error, of the total density (default 1e-10 rtol)")
    parser.add_argument(
        "--max-step", type=float, help="longest step of the library's solver, in the system's unit of time"
    )
    parser.add_argument("--split", required=True, choices=populations.SPLITS)
    parser.add_argument("--seed", required=True, type=int, help="number of the set within its split")
    parser.add_argument("--out", required=True, metavar="FILE", help="HDF5 file to write or to continue")
    parser.add_argument("--model", help="model library that holds the solver (default: the one named like SYSTEM)")
    parser.add_argument("--advance", metavar="MODULE:FUNCTION", help="your own solver: advance(cells, dt) -> cells")
    parser.add_argument("--dt-range", type=float, nargs=2, metavar=("SHORTEST", "LONGEST"), help="for population box")
    parser.add_argument(
        "--param",
        type=_range,
        action="append",
        default=[],
        metavar="NAME=LOWER:UPPER",
        help="vary a parameter; may be repeated",
    )
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--mpi", action="store_true", help="under mpiexec: all ranks compute, rank 0 writes")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    if options.advance:
        sys.path.append(os.getcwd())  # where it may live
    try:
        labels = make_labels(
            options.system,
            options.out,
            population=options.population,
            n=options.n,
            split=options.split,
            seed=options.seed,
            dts=options.dts,
            rtol=options.rtol,
            atol_frac=options.atol_frac,
            max_step=options.max_step,
            model=options.model,
            advance=options.advance,
            dt_range=options.dt_range and tuple(options.dt_range),
            param_ranges=dict(options.param),
            processes=options.processes,
            mpi=options.mpi,
            progress=not options.quiet,
        )
    except KeyboardInterrupt:
        saved = Path(options.out).exists()
        text = "the same command continues" if saved else "nothing was saved yet, the same command begins anew"
        print(f"interrupted: {text}", file=sys.stderr)
        return 130
    except OSError as error:
        raise ValueError(f"{options.out}: {error.strerror or error} ({error.filename or options.out})") from error
    if labels is not None:
        n_failed = int((labels.status >= UNTOUCHED).sum())
        print(f"{options.out}: {labels.status.size} labels of {labels.meta['system']}, {n_failed} failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
