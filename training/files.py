"""Files that are kept: they appear when they are complete, and tell when they are no longer what was written.

What is checked is damage, by disks, copies and editors. Nothing here is a signature.
"""

import contextlib
import errno
import hashlib
import json
import os
from pathlib import Path

import numpy as np

#: how the seal of a model library begins; the rest is in bindings/engine/library.c
SEAL = b"surrogate seal 1"
#: for h5py.File: headers that carry checksums, all of them
LIBVER = ("v110", "v110")
#: what h5py raises for files that are none of its own, or damaged
UNREADABLE = (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, MemoryError, AttributeError)


@contextlib.contextmanager
def replacing(path):
    """Give a name to write to, which becomes `path` if all goes well; what a killed one left is overwritten."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such directory", str(path.parent))
    temporary = path.with_name(f".tmp-{path.name}")  # writers look at the end of a name
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sealed(library):
    """The bytes of a model library with the seal that ``surr_model_open`` checks.

    Behind the end, where ELF loaders do not look and tools that rewrite a library drop it; other formats are signed by
    their own systems and stay as they are.
    """
    if not library.startswith(b"\x7fELF"):
        return library
    words = np.frombuffer(library + bytes(-len(library) % 4), np.uint32).astype(np.uint64)
    sums = words.sum(dtype=np.uint64), (words * np.arange(len(words), 0, -1, dtype=np.uint64)).sum(dtype=np.uint64)
    return library + SEAL + np.array([len(library), *sums], np.uint64).tobytes()


def digest_of(attributes, arrays=None):
    """SHA-256 of plain attributes and of arrays by their path, whatever the file says about how they are stored."""
    total = hashlib.sha256(json.dumps(attributes, sort_keys=True).encode())
    for name, array in sorted((arrays or {}).items()):
        total.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return total.hexdigest()


def checksum(arrays):
    """A number that is never 0, from the bytes of some arrays."""
    total = hashlib.blake2b(digest_size=8)
    for array in arrays:
        total.update(np.ascontiguousarray(array).data)
    return np.frombuffer(total.digest(), "<u8")[0] | np.uint64(1)


def check_dataset(item):
    """Raise TypeError unless an item of an HDF5 file is an array of numbers that the file itself holds."""
    if getattr(item, "shape", None) is None or item.dtype.kind not in "fiub" or item.dtype.subdtype:
        raise TypeError(f"{item.name} is no array of numbers")
    check_storage(item)


def check_storage(item):
    """Raise TypeError unless the file of an HDF5 dataset itself holds it."""
    if item.external or item.is_virtual:
        raise TypeError(f"{item.name} is kept in another file")


def fixed(value):
    """Text, or a list of texts, for an HDF5 attribute: of fixed length; others are in heaps without checksums."""
    if isinstance(value, str):
        value = value.encode()
        return np.array(value, f"S{max(len(value), 1)}")
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return np.array([item.encode() for item in value])
    return value


def plain(value):
    """An HDF5 attribute as text, number or list, however it was kept."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value
