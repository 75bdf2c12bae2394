"""The harvest of a run: a share of its cells as they came, in an HDF5 file, for `surrogate adapt`.

The file has a dataset for each variable, ``dt`` and each parameter, by name, all of one length. Cells wait in memory
and are added from time to time to a copy, which then takes the place of the file: whoever reads it, at any time and
whatever happens to the run, finds it whole. h5py is imported only where there is a harvest.
"""

import contextlib
import os
import shutil
import time
import warnings
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from surrogate._engine import ffi, lib
from surrogate.errors import check

#: cells that a file may hold, of all ranks together
MOST_CELLS = 1_000_000
#: shortest time between two writes [s]; the part of the run that they may take; cells that wait at most
PAUSE, PART, MOST_WAITING = 1.0, 0.02, 100_000


@dataclass(frozen=True)
class Harvest:
    """What a step has added to the harvest.

    Attributes
    ----------
    cells : int
        Cells that were drawn in this step, on all ranks.
    held : int
        Cells that this rank's file holds, with those that wait to be written.
    path : str
        The file of this rank.
    note : str
        Why it does not simply grow: it is full, or cannot be written any more. Else empty.
    """

    cells: int
    held: int
    path: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.cells} cells harvested, {self.held} in {Path(self.path).name}{self.note and f' ({self.note})'}"


class HarvestFile:
    """Takes the cells that the engine draws for a plan, and writes them.

    Parameters
    ----------
    model : Model
    path : path
        Ends in .h5 or .hdf5. One of the same columns that is there already is continued.
    most : int
        Cells that it may hold: later ones then take the place of earlier ones by chance, so that it stays a sample of
        all.

    Raises
    ------
    ValueError
        The file cannot take cells of this model.
    """

    def __init__(self, model, path, most=MOST_CELLS):
        self.path, self.most, self.note = Path(path), most, ""
        if self.path.suffix not in (".h5", ".hdf5"):
            raise ValueError(f"harvest_file is {str(path)!r}: give a name that ends in .h5")
        if not self.path.absolute().parent.is_dir():
            raise ValueError(f"harvest_file is {str(path)!r}: there is no such directory, make it first")
        self._n_state = len(model.variables)
        variables, parameters = ({v.name: v.unit for v in fields} for fields in (model.variables, model.parameters))
        self._units = variables | {"dt": "s"} | parameters
        self._about = {"model": model.name, "system_hash": str(model.info.get("system_hash", ""))}
        self._owner, self._waiting, self._drawn = os.getpid(), [], 0
        self._next, self._mark = 0.0, None
        self._create() if not self.path.exists() else self._continue()
        self._handle = ffi.new_handle(self)

    def plug_into(self, plan, share):
        """Let the engine hand over this share of the cells."""
        check(lib.surr_plan_set_harvest(plan, share, lib.surr_py_keep, self._handle))

    def keep(self, n, state, dt, params):
        """Cells from the engine, by any of its threads: pointers to doubles."""
        if os.getpid() != self._owner:  # the child of a fork
            return
        columns = [_array(state, n, self._n_state), _array(dt, n, 1)]
        if n_params := len(self._units) - self._n_state - 1:
            columns.append(_array(params, n, n_params))
        self._waiting.append(np.hstack(columns))

    def after_step(self) -> Harvest:
        """Book what a step has drawn, and write if it is time."""
        n_waiting = sum(map(len, self._waiting))
        cells, self._drawn = n_waiting - self._drawn, n_waiting
        if n_waiting and (n_waiting >= MOST_WAITING or time.monotonic() >= self._next):
            self.write()
        held = min(self._held + self._drawn, self.most)
        return Harvest(cells, held, str(self.path), self.note or ("full" if self._seen > self.most else ""))

    def write(self) -> None:
        """Write the cells that wait. Where that is impossible, nothing is harvested any more, with a warning."""
        rows, self._waiting, self._drawn = self._waiting, [], 0
        if not rows or self.note or os.getpid() != self._owner:
            return
        start = time.monotonic()
        try:
            if self._mark_of_file() != self._mark:
                raise OSError("another run has written it, too: give each a file of its own")
            with _replacing(self.path) as temporary:
                shutil.copyfile(self.path, temporary)
                self._append(temporary, np.concatenate(rows))
            self._mark = self._mark_of_file()
        except OSError as error:
            self.note = f"stopped: {error.strerror or error}"
            warnings.warn(f"the harvest into {self.path} is {self.note}", RuntimeWarning, stacklevel=2)
        self._next = time.monotonic() + max(PAUSE, (time.monotonic() - start) / PART)

    def _append(self, path, rows):
        """Rows of cells to the end of the file, and into the places of earlier ones once it is full: algorithm R
        (Vitter 1985, ACM Trans. Math. Softw. 11, 37)."""
        import h5py

        n_new = min(self.most - self._held, len(rows))
        seen = self._seen + 1 + np.arange(n_new, len(rows))
        place = np.random.default_rng(self._seen).integers(0, np.maximum(seen, 1))
        kept = place < self.most
        with h5py.File(path, "r+") as file:
            for name, column in zip(self._units, rows.T):
                dataset = file[name]
                dataset.resize((self._held + n_new,))
                dataset[self._held :] = column[:n_new]
                if kept.any():
                    values = dataset[:]
                    values[place[kept]] = column[n_new:][kept]
                    dataset[:] = values
            file.attrs["seen"] = self._seen + len(rows)
        self._held, self._seen = self._held + n_new, self._seen + len(rows)

    def _create(self):
        import h5py

        self._held = self._seen = 0
        with _replacing(self.path) as temporary, h5py.File(temporary, "w") as file:
            for name, unit in self._units.items():
                file.create_dataset(name, (0,), "f8", maxshape=(None,), chunks=(4096,)).attrs["unit"] = unit
            for name, value in (self._about | {"seen": 0}).items():
                file.attrs[name] = value
        self._mark = self._mark_of_file()

    def _continue(self):
        import h5py

        try:
            with h5py.File(self.path, "r") as file:
                lengths = {name: file[name].shape for name in file}
                self._held = len(file["dt"])
                self._seen = max(int(file.attrs.get("seen", 0)), self._held)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"harvest_file {self.path} is there already, and no harvest: name another") from error
        if lengths != dict.fromkeys(self._units, (self._held,)):
            raise ValueError(f"harvest_file {self.path} is there already, with cells of another model: name another")
        if self._held > self.most:
            raise ValueError(f"harvest_file {self.path} holds {self._held} cells already, {self.most} are allowed")
        self._mark = self._mark_of_file()

    def _mark_of_file(self):
        status = os.stat(self.path)
        return status.st_ino, status.st_size, status.st_mtime_ns


def open_harvest(model, share, path, comm=None) -> HarvestFile | None:
    """The harvest of a stepper, each rank's in a file of its own; None without a share.

    What waits is written when the stepper goes, and at the latest when the interpreter ends: see `write_at_end`.
    """
    if path is None and not share:
        return None
    if path is None or not share:
        raise ValueError(
            f"harvest is {share} and harvest_file is {path!r}: give both, the share of the cells to keep, as 1e-3, and "
            "where to"
        )
    path, most = Path(path), MOST_CELLS
    if comm is not None and comm.size > 1:
        path, most = path.with_suffix(f".{comm.rank}{path.suffix}"), max(MOST_CELLS // comm.size, 1)
    return HarvestFile(model, path, most)


def write_at_end(stepper, harvest: HarvestFile) -> None:
    """Write what waits when `stepper` goes."""
    weakref.finalize(stepper, harvest.write)


def _array(pointer, n, width):
    """Doubles of the engine, copied."""
    return np.frombuffer(ffi.buffer(pointer, 8 * n * width), dtype=np.float64).reshape(n, width).copy()


@contextlib.contextmanager
def _replacing(path):
    """Give a name to write to, which becomes `path` if all goes well."""
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@ffi.def_extern()
def surr_py_keep(context, n, state, dt, params):
    """Keeper of the engine: see surr_plan_set_harvest."""
    ffi.from_handle(context).keep(n, state, dt, params)
