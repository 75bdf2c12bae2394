"""The file of labels: its layout, reading, and the ways in which it stays valid whatever happens to its writer."""

import contextlib
import errno
import fcntl
import os
import platform
import shlex
import sys
from dataclasses import dataclass

import numpy as np
import scipy

import surrogate

from ..files import LIBVER, UNREADABLE, check_dataset, checksum, digest_of, fixed, plain, replacing
from ..systems import System

FORMAT, FORMAT_VERSION = "stiff-surrogate labels", 2
#: the version that has no checksums, which is read without them
VERSION_WITHOUT_CHECKSUMS = 1
_ATTRIBUTES = "n dts chunk variables parameters param_ranges system system_hash split command".split()


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

    @property
    def param_ranges(self) -> dict[str, tuple[float, float]]:
        """Ranges of the parameters that vary, by name, zeros of those that may be absent aside."""
        words = (word.partition("=") for word in self.meta["param_ranges"].split())
        return {name: tuple(map(float, ends.removeprefix("0,").split(":"))) for name, _, ends in words}


def load_labels(
    path: str | os.PathLike,
    *,
    system: System | None = None,
    splits: tuple[str, ...] | None = None,
    partial: bool = False,
) -> Labels:
    """Open a label file.

    Parameters
    ----------
    path : str or path
    system : System, optional
        The system that the labels must be of.
    splits : tuple of str, optional
        The splits that the labels may be of: what was trained on measures nothing, and what is measured with must not
        decide before.
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
    if splits is not None and meta["split"] not in splits:
        raise ValueError(
            f"{path}: the labels are of the split {meta['split']!r}, wanted are those of "
            f"{' or '.join(map(repr, splits))}: make them with --split {splits[0]}"
        )
    damaged = np.flatnonzero(complete_chunks(data) & ~intact_chunks(meta, data))
    if len(damaged):
        raise ValueError(
            f"{path} is damaged: chunk {damaged[0]} is not what was written. Its command makes it anew "
            f"({meta['command']}), or copy the file again"
        )
    if system is not None and not system.has_hash(meta["system_hash"]):
        raise ValueError(
            f"{path}: the labels are of {meta['system']} with hash {meta['system_hash'][:12]}, "
            f"not of {system.name} with {system.hash[:12]}: make them anew"
        )
    done = complete_chunks(data)
    for name in ("done", "checksum"):
        data.pop(name, None)
    if not done.all():
        if not partial:
            raise ValueError(
                f"{path} has {int(done.sum())} of {len(done)} chunks: run its command again to complete "
                f"it ({meta['command']}), or give partial=True"
            )
        complete = np.repeat(done, meta["chunk"])[: meta["n"]]
        data = {name: array[complete] for name, array in data.items()}
    return Labels(**{"params": None} | data, meta=meta)


def create_file(recipe, path):
    """Write the file with all but the numbers; it appears under its name when it is complete."""
    import h5py

    contiguous = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    contiguous.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    contiguous.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    attributes = recipe.attributes() | _provenance(recipe.system)
    with replacing(path) as temporary:
        with h5py.File(temporary, "w", libver=LIBVER) as file:
            for name, value in attributes.items():
                file.attrs[name] = fixed(value)
            file.attrs["digest"] = fixed(digest_of({name: plain(value) for name, value in file.attrs.items()}))
            for name, (shape, dtype) in _layout(path, attributes).items():
                file.create_dataset(name, shape, dtype, dcpl=contiguous)
        with open(temporary, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)  # a full disk says so now
            os.fsync(file.fileno())


def complete_chunks(data):
    """Which chunks of a file are there, bool; `data` as from `open_file`."""
    return data["checksum"] != 0 if "checksum" in data else data["done"] == 1


def checksum_of(data, rows):
    """Checksum of a chunk: the trajectories `rows`."""
    return checksum(array[rows] for name, array in sorted(data.items()) if name not in ("checksum", "done"))


def intact_chunks(meta, data):
    """As `complete_chunks`, but those alone that are what was written. Reads all of them."""
    chunk, intact = meta["chunk"], complete_chunks(data)
    for i in np.flatnonzero(intact) if "checksum" in data else ():
        intact[i] = checksum_of(data, slice(i * chunk, (i + 1) * chunk)) == data["checksum"][i]
    return intact


def _provenance(system):
    """Attributes that explain a file but need not agree in a rerun."""
    import h5py

    versions = {
        "surrogate": surrogate.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "h5py": h5py.__version__,
    }
    return {
        "variables": [v.name for v in system.variables],
        "units": [v.unit for v in system.variables],
        "parameters": [p.name for p in system.parameters],
        "parameter_units": [p.unit for p in system.parameters],
        "parameter_values": system.parameter_values,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "command": shlex.join(sys.argv),
    }


def open_file(path, mode="r"):
    """Attributes of a label file as plain values, and its datasets as memory maps."""
    import h5py

    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, "there is no such file of labels", str(path))
    try:
        # Without HDF5's lock, so that a file can be looked at while it grows: its structure never changes.
        with h5py.File(path, "r", locking=False) as file:
            meta = {name: plain(value) for name, value in file.attrs.items()}
            digest = meta.pop("digest", None)
            if meta.get("format") != FORMAT:
                raise ForeignFile(f"{path} is an HDF5 file, but not one of labels")
            if meta["format_version"] not in (FORMAT_VERSION, VERSION_WITHOUT_CHECKSUMS):
                raise ForeignFile(
                    f"{path} has format version {meta['format_version']}, this library reads {FORMAT_VERSION}"
                )
            expected = _layout(path, meta)
            data = {name: _map(path, file, name, mode) for name in file}
    except (FileNotFoundError, ForeignFile):
        raise
    except UNREADABLE as error:
        raise ValueError(f"{path} is not a label file, or damaged: {error}") from error
    found = {name: (array.shape, array.dtype) for name, array in data.items()}
    if found != expected:
        raise ValueError(f"{path} is damaged: it holds {found} where its attributes ask for {expected}")
    if meta["format_version"] != VERSION_WITHOUT_CHECKSUMS and digest != digest_of(meta):
        raise ValueError(f"{path} is damaged: its attributes are not what was written. Copy it again, or make it anew")
    return meta, data


class ForeignFile(ValueError):
    """A good HDF5 file, but none that this version reads."""


def _layout(path, attributes):
    """Shape and type of each dataset of a file with these attributes."""
    for name in _ATTRIBUTES:
        if name not in attributes:
            raise ForeignFile(f"{path} is damaged: attribute {name!r} is missing")
    n, dts, chunk, n_vars = (*(attributes[k] for k in ("n", "dts", "chunk")), len(attributes["variables"]))
    if not all(isinstance(x, int) and 0 < x < 2**48 for x in (n, dts, chunk)):
        raise TypeError(f"n, dts and chunk are {n!r}, {dts!r} and {chunk!r}: they count")
    number, byte = np.dtype("<f8"), np.dtype("i1")
    n_chunks = -(-n // chunk)
    has_checksums = attributes["format_version"] != VERSION_WITHOUT_CHECKSUMS
    state = {"checksum": ((n_chunks,), np.dtype("<u8"))} if has_checksums else {"done": ((n_chunks,), byte)}
    result = {
        "start": ((n, n_vars), number),
        "dt": ((n, dts), number),
        "end": ((n, dts, n_vars), number),
        "status": ((n, dts), byte),
    }
    return (
        result
        | state
        | ({"params": ((n, len(attributes["parameters"])), number)} if attributes["param_ranges"] else {})
    )


def _map(path, file, name, mode):
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise TypeError(f"{name} is a link to elsewhere")
    dataset = file[name]
    check_dataset(dataset)
    offset = dataset.id.get_offset()
    if offset is None:  # repacked by another program
        if mode != "r":
            raise ValueError(f"{path}: dataset {name} is not contiguous: only a complete file may be repacked")
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
