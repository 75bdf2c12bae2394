"""Tables of named columns in files: HDF5, NumPy's .npy and .npz, and .csv.

Only numbers are read: nothing in a file is run, and no file leads to another one.
"""

import csv
import errno
import os
import warnings
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ..files import UNREADABLE, check_storage

#: names that an error lists at most
MOST_NAMES = 40


def read_columns(path: str | os.PathLike, wanted: Collection[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The columns of a table that are wanted, as far as it has them, and the names of its other columns.

    Parameters
    ----------
    path : str or path
        .csv with a header line; .npy with a structured array; .npz; HDF5 with a dataset per column, all at the top or
        all in one group, or one compound dataset. Arrays of any shape, e.g. of fields in space, are flattened; one that
        holds a single number holds for all rows.
    wanted : collection of str

    Returns
    -------
    columns : dict of str to ndarray of shape (n,), float64
    others : list of str

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no file, or none of these, or its columns are of different shapes or no numbers.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such file of cells", str(path))
    try:
        columns, others = _reader_of(path)(path, wanted)
        columns = {name: _numbers(name, column) for name, column in columns.items()}
        shape = _common_shape({name: column.shape for name, column in columns.items()})
    except (*UNREADABLE, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as a table of cells: {' '.join(str(error).split())}") from error
    flat = {name: (c if c.size > 1 else np.broadcast_to(c.ravel()[:1], shape)) for name, c in columns.items()}
    return {name: np.ascontiguousarray(column).ravel() for name, column in flat.items()}, others


def listed(names: Collection[str]) -> str:
    """Names in a row, the first of many."""
    names = list(names)
    return ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


def _reader_of(path):
    with open(path, "rb") as file:
        if file.read(8) == b"\x89HDF\r\n\x1a\n":
            return _read_hdf5
    if path.suffix.lower() not in READERS:
        raise ValueError(f"it is neither HDF5 nor one of {', '.join(READERS)}")
    return READERS[path.suffix.lower()]


def _read_csv(path, wanted):
    with open(path, encoding="utf-8-sig", newline="") as file:
        names = [name.strip() for name in next(csv.reader([file.readline().lstrip("# ")]), [])]
        used = [k for k, name in enumerate(names) if name in wanted]
        if twice := {names[k] for k in used if names.count(names[k]) > 1}:
            raise ValueError(f"two columns are named {min(twice)}")
        values = np.empty((0, len(used)))
        if used:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # a header alone: said by who wants cells
                values = np.loadtxt(
                    file,
                    delimiter=",",
                    usecols=used,
                    ndmin=2,
                    quotechar='"',
                    converters=lambda text: float(text.strip() or "nan"),  # what is missing is no number
                )
    columns = values.T if len(values) else np.empty((len(used), 0))
    return {names[k]: column for k, column in zip(used, columns)}, [name for name in names if name not in wanted]


def _read_npy(path, wanted):
    table = np.load(path, mmap_mode="r", allow_pickle=False)
    if not table.dtype.names:
        raise ValueError("its columns have no names: save a structured array, or .npz")
    return _sorted_out({name: table[name] for name in table.dtype.names}, wanted)


def _read_npz(path, wanted):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name in wanted}, [n for n in file.files if n not in wanted]


def _read_hdf5(path, wanted):
    import h5py

    tables = {"": {}}

    def collect(name, item):
        if isinstance(item, h5py.Dataset):
            if item.dtype.names:
                tables[name] = {field: (item, field) for field in item.dtype.names}
            else:
                group, _, column = name.rpartition("/")
                tables.setdefault(group, {})[column] = (item, ())

    with h5py.File(path, "r") as file:
        file.visititems(collect)  # follows no links
        fitting = {name: len(table.keys() & set(wanted)) for name, table in tables.items()}
        best = [name for name, count in fitting.items() if count == max(fitting.values())]
        if len(best) > 1 and fitting[best[0]]:
            raise ValueError(
                f"it has several tables of cells: {listed(name or '/' for name in best)}; give it with one"
            )
        found, others = _sorted_out(tables[best[0]], wanted)
        others += [f"{t}/{c}".lstrip("/") for t, columns in tables.items() for c in columns if t != best[0]]
        columns = {}
        for name, (item, field) in found.items():
            check_storage(item)
            columns[name] = item[field]
        return columns, others


READERS = {".csv": _read_csv, ".npy": _read_npy, ".npz": _read_npz, ".h5": _read_hdf5, ".hdf5": _read_hdf5}


def _sorted_out(columns, wanted):
    found = {name: column for name, column in columns.items() if name in wanted}
    return found, [name for name in columns if name not in wanted]


def _numbers(name, column):
    column = np.asarray(column)
    if column.dtype.kind not in "fiub":
        raise TypeError(f"column {name} is of {column.dtype}, no numbers")
    return column.astype(np.float64)


def _common_shape(shapes):
    sizes = {shape for shape in shapes.values() if np.prod(shape, dtype=int) != 1}
    if len(sizes) > 1:
        raise ValueError(f"the columns have different shapes: {listed(f'{n} {s}' for n, s in shapes.items())}")
    return sizes.pop() if sizes else (1,)
