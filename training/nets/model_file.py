"""Trained models and checkpoints as HDF5: the only place that knows the format.

A file is data: groups, arrays of numbers, and attributes in JSON. What HDF5 can do beyond that (links, data that is in
other files, objects) is refused. A digest of all of it is kept in the file and checked when it is read.

PyTorch is imported only where tensors are asked for: compiling a model file does without.
"""

import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..files import LIBVER, UNREADABLE, check_dataset, digest_of, fixed, plain, replacing

#: trained and calibrated models that are part of the package
ZOO = Path(__file__).resolve().parent.parent / "zoo"
#: raised when files of an older version can no longer be read
FORMAT = 7
#: the last format without a digest: read, with a warning
FORMAT_WITHOUT_DIGEST = 6
#: what no file of ours comes near: bytes of all arrays, items, groups in groups
MOST_BYTES, MOST_ITEMS, MOST_DEPTH = 2**30, 100_000, 16


def write_tensors(path, tensors, attributes, packed=False):
    """Write nested dicts of tensors or arrays and JSON-able attributes; the file appears when it is complete.

    `packed` compresses, which takes seconds for a checkpoint and is for files that are kept.
    """
    attributes = {key: json.dumps(value) for key, value in attributes.items()}
    with replacing(path) as temporary, h5py.File(temporary, "w", libver=LIBVER) as file:
        _write(file, tensors, packed)
        attributes |= {"format": FORMAT}
        for key, value in (attributes | {"digest": digest_of(attributes, _read(file, Budget()))}).items():
            file.attrs[key] = fixed(value)


def _write(group, tensors, packed):
    for key, value in tensors.items():
        if isinstance(value, dict):
            _write(group.create_group(str(key)), value, packed)
        else:
            array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
            options, unit = {}, None
            if packed and array.size > 1000:  # in one chunk: equal bytes of all numbers side by side
                options = {
                    "chunks": array.shape,
                    "shuffle": True,
                    "compression": "gzip",
                    "compression_opts": 9,
                    "fletcher32": True,
                }
                unit = _unit_of(array)
            if unit:
                group.create_dataset(str(key), data=_unsigned(array / unit), **options).attrs["unit"] = unit
            else:
                group.create_dataset(str(key), data=array, **options)


def _unsigned(array):
    """Whole numbers with the sign in the last bit: small ones of both signs share their leading zeros."""
    whole = np.round(array).astype(np.int32)
    return ((whole << 1) ^ (whole >> 31)).astype(np.uint32)


def _signed(array):
    """Inverse of `_unsigned`."""
    return (array >> 1).astype(np.int32) ^ -(array & 1).astype(np.int32)


def _unit_of(array):
    """Power of two of which many float32 numbers are small multiples, or None: integers compress better."""
    if array.dtype != np.float32 or not array.any():
        return None
    used = np.abs(array[array != 0]).astype(float)
    mantissa, exponent = np.frexp(used)
    whole = (mantissa * 2**24).astype(np.int64)
    unit = 2.0 ** float((exponent - 24 + np.log2(whole & -whole)).min())
    return unit if used.max() / unit < 2**24 else None


def read_arrays(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `write_tensors` wrote: (nested dict of ndarrays, attributes).

    Raises
    ------
    ValueError
        If the file is not of this kind, of another format, or damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            attributes = {key: plain(value) for key, value in file.attrs.items()}
            arrays = _read(file, Budget())
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: give a model file, as `surrogate train --out` writes it") from None
    except UNREADABLE as error:
        raise ValueError(f"{path} is not a model file, or damaged: {error}") from error
    format_, digest = attributes.pop("format", None), attributes.pop("digest", None)
    if format_ is None:
        raise ValueError(f"{path} is an HDF5 file, but no model: `surrogate train` makes them")
    if format_ not in (FORMAT, FORMAT_WITHOUT_DIGEST):
        raise ValueError(
            f"{path} is no model file of this version: its format is {format_!r:.50}, read are those of {FORMAT}"
        )
    if not all(isinstance(value, str) for value in attributes.values()):
        raise ValueError(f"{path} is not a model file: one of its attributes is no text")
    is_old = digest is None and format_ == FORMAT_WITHOUT_DIGEST
    if not is_old and digest != digest_of(attributes | {"format": format_}, arrays):
        raise ValueError(f"{path} is damaged: its content is not what was written. Copy it again, or train again")
    try:
        result = _nest(arrays), {key: json.loads(value) for key, value in attributes.items()}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a model file: {error}") from error
    if is_old:
        warnings.warn(
            f"{path} was written by an earlier version, without a digest: damage would not be noticed. "
            "`surrogate calibrate` writes it anew",
            stacklevel=2,
        )
    return result


class Budget:
    """What the items of a file may take together."""

    def __init__(self, n_bytes=MOST_BYTES, n_items=MOST_ITEMS):
        self.n_bytes, self.n_items = n_bytes, n_items

    def spend(self, n_bytes):
        """Book one item."""
        self.n_bytes, self.n_items = self.n_bytes - n_bytes, self.n_items - 1
        if min(self.n_bytes, self.n_items) < 0:
            raise TypeError(f"it holds more than {MOST_BYTES} bytes or {MOST_ITEMS} items")


def _read(group, budget, path="", depth=0):
    """Arrays by their path. Nothing outside the file is followed."""
    arrays = {}
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise TypeError(f"{path}{key} is a link to elsewhere")
        item = group[key]
        if not isinstance(item, h5py.Group):
            check_dataset(item)
            budget.spend(item.nbytes)
            array = np.asarray(item[()])
            unit = item.attrs.get("unit")
            arrays[path + key] = array if unit is None else (_signed(array) * float(unit)).astype(np.float32)
        elif depth == MOST_DEPTH:
            raise TypeError(f"it has groups in groups, {MOST_DEPTH} deep")
        else:
            budget.spend(0)
            arrays |= _read(item, budget, f"{path}{key}/", depth + 1)
    return arrays


def _nest(arrays):
    nested = {}
    for path, array in arrays.items():
        *parents, leaf = path.split("/")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = array
    return nested


def read_tensors(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """As `read_arrays`, with tensors."""
    import torch

    def convert(item):
        return {k: convert(v) for k, v in item.items()} if isinstance(item, dict) else torch.from_numpy(item)

    arrays, attributes = read_arrays(path)
    return convert(arrays), attributes


def state_of(surrogate):
    """Tensors of a surrogate by their path in a model file; the encoding follows from the system."""
    state = {k: v for k, v in surrogate.state_dict().items() if not k.startswith("encoding.")}
    return {k.replace(".", "/"): v for k, v in state.items()}


def save_model(
    path: str | os.PathLike, surrogate, vectors: dict[str, np.ndarray] | None = None, **metadata: Any
) -> None:
    """Write a trained surrogate with its configuration and `metadata` (system, hash, metrics, command).

    `vectors` are predictions to test a compiled model with, see `vectors.net_vectors`.
    """
    nested = _nest(state_of(surrogate)) | ({"vectors": vectors} if vectors else {})
    attributes = {"net": asdict(surrogate.config), "dt_lower": surrogate.encoding.dt_lower, **metadata}
    write_tensors(path, nested, attributes, packed=True)


def flatten(nested, prefix="", separator="/"):
    """(path, item) for all items of nested dicts."""
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}{separator}", separator)
        else:
            yield f"{prefix}{key}", value


def shipped_files() -> dict[str, Path]:
    """Model files of the models that are part of the package, by name."""
    return {path.stem: path for path in sorted(ZOO.glob("*.h5"))}
