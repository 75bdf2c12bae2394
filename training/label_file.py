"""The file of labels: its layout, reading, and the ways in which it stays valid whatever happens to its writer."""

import contextlib
import fcntl
import os
import platform
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

import surrogate

FORMAT, FORMAT_VERSION = "stiff-surrogate labels", 1


@dataclass(frozen=True)
class Labels:
    """The content of a label file. The arrays are mapped from the file: they take memory only where they are read.

    Attributes
    ----------
    start : ndarray of shape (n, n_vars)
        Cells at time zero, in the units of ``meta["units"]``.
    dt : ndarray of shape (n, dts)
        Time steps, increasing.
    end : ndarray of shape (n, dts, n_vars)
        The cells after each of them; NaN where the solver failed.
    status : ndarray of int8 of shape (n, dts)
        Status of a cell as in `surrogate.report`: below 32 there is a label.
    params : ndarray of shape (n, n_params), or None
        Parameters, if they vary; ``meta["parameter_values"]`` are the defaults.
    meta : dict
        The attributes of the file: recipe, names, units, versions, command.
    """

    start: np.ndarray
    dt: np.ndarray
    end: np.ndarray
    status: np.ndarray
    params: np.ndarray | None
    meta: dict


def load_labels(path, *, system=None, partial=False):
    """Open a label file.

    Parameters
    ----------
    path : str or path
    system : System, optional
        The system that the labels must be of.
    partial : bool
        Accept a file that is not complete, and return copies of the trajectories that are there.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        If the file is not a label file, damaged, not complete, or of another system.
    """
    meta, data = open_file(path)
    if system is not None and not system.has_hash(meta["system_hash"]):
        raise ValueError(f"{path}: the labels are of {meta['system']} with hash {meta['system_hash'][:12]}, "
                         f"not of {system.name} with {system.hash[:12]}: make them anew")  # fmt: skip
    done = data.pop("done")
    if not done.all():
        if not partial:
            raise ValueError(f"{path} has {int(done.sum())} of {len(done)} chunks: run its command again to complete "
                             f"it ({meta['command']}), or give partial=True")  # fmt: skip
        complete = np.repeat(done, meta["chunk"])[: meta["n"]] == 1
        data = {name: array[complete] for name, array in data.items()}
    return Labels(**{"params": None} | data, meta=meta)


def create_file(recipe, path):
    """Write the file with all but the numbers; it appears under its name when it is complete."""
    import h5py

    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    contiguous = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    contiguous.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    contiguous.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    attributes = recipe.attributes() | _provenance(recipe.system)
    with h5py.File(temporary, "w") as file:
        file.attrs.update(attributes)
        for name, (shape, dtype) in _layout(attributes).items():
            file.create_dataset(name, shape, dtype, dcpl=contiguous)
    with open(temporary, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)  # a full disk says so now
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _provenance(system):
    """Attributes that explain a file but need not agree in a rerun."""
    import h5py

    versions = {"surrogate": surrogate.__version__, "python": platform.python_version(), "numpy": np.__version__,
                "scipy": scipy.__version__, "h5py": h5py.__version__}  # fmt: skip
    return {
        "variables": [v.name for v in system.variables], "units": [v.unit for v in system.variables],
        "parameters": [p.name for p in system.parameters], "parameter_units": [p.unit for p in system.parameters],
        "parameter_values": system.parameter_values,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "command": shlex.join(sys.argv),
    }  # fmt: skip


def open_file(path, mode="r"):
    """Attributes of a label file as plain values, and its datasets as memory maps."""
    import h5py

    try:
        # Without HDF5's lock, so that a file can be looked at while it grows: its structure never changes.
        with h5py.File(path, "r", locking=False) as file:
            meta = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in file.attrs.items()}
            if meta.get("format") != FORMAT:
                raise ValueError(f"{path} is an HDF5 file, but not one of labels")
            if meta["format_version"] != FORMAT_VERSION:
                raise ValueError(f"{path} has format version {meta['format_version']}, "
                                 f"this library reads {FORMAT_VERSION}")  # fmt: skip
            expected = _layout(meta)
            data = {name: _map(path, dataset, mode) for name, dataset in file.items()}
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} is not a label file, or damaged: {error}") from error
    except KeyError as error:
        raise ValueError(f"{path} is damaged: attribute {error} is missing") from error
    found = {name: (array.shape, array.dtype) for name, array in data.items()}
    if found != expected:
        raise ValueError(f"{path} is damaged: it holds {found} where its attributes ask for {expected}")
    return meta, data


def _layout(attributes):
    """Shape and type of each dataset of a file with these attributes."""
    n, dts, n_vars = attributes["n"], attributes["dts"], len(attributes["variables"])
    number, byte = np.dtype("<f8"), np.dtype("i1")
    result = {
        "start": ((n, n_vars), number),
        "dt": ((n, dts), number),
        "end": ((n, dts, n_vars), number),
        "status": ((n, dts), byte),
        "done": ((-(-n // attributes["chunk"]),), byte),
    }
    return result | ({"params": ((n, len(attributes["parameters"])), number)} if attributes["param_ranges"] else {})


def _map(path, dataset, mode):
    offset = dataset.id.get_offset()
    if offset is None:  # repacked by another program
        if mode != "r":
            raise ValueError(f"{path}: dataset {dataset.name} is not contiguous: only a complete file may be repacked")
        return dataset[()]
    return np.memmap(path, dataset.dtype, mode, offset, dataset.shape)


@contextlib.contextmanager
def lock_file(path):
    """Keep a second writer out; the kernel releases the lock however this process ends."""
    with open(path, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{path} is being written by another process") from None
        except OSError:
            pass  # a file system without locks
        yield
