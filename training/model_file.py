"""Trained models and checkpoints as HDF5: the only place that knows the format.

PyTorch is imported only where tensors are asked for: compiling a model file does without.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np

#: raised when files of an older version can no longer be read
FORMAT = 6


def write_tensors(path, tensors, attributes, packed=False):
    """Write nested dicts of tensors or arrays and JSON-able attributes; the file appears when it is complete.

    `packed` compresses, which takes seconds for a checkpoint and is for files that are kept.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    with h5py.File(temporary, "w", libver=("v108", "v108")) as file:  # smaller headers than the earliest layout
        file.attrs["format"] = FORMAT
        for key, value in attributes.items():
            file.attrs[key] = json.dumps(value)
        _write(file, tensors, packed)
    os.replace(temporary, path)


def _write(group, tensors, packed):
    for key, value in tensors.items():
        if isinstance(value, dict):
            _write(group.create_group(str(key)), value, packed)
        else:
            array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
            options, unit = {}, None
            if packed and array.size > 1000:  # in one chunk: equal bytes of all numbers side by side
                options = {"chunks": array.shape, "shuffle": True, "compression": "gzip", "compression_opts": 9}
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


def read_arrays(path):
    """What `write_tensors` wrote: (nested dict of ndarrays, attributes).

    Raises
    ------
    ValueError
        If the file is not of this kind or of another format.
    """
    try:
        with h5py.File(path, "r") as file:
            if int(file.attrs.get("format", -1)) != FORMAT:
                raise ValueError(f"{path}: format {file.attrs.get('format')}, this version reads {FORMAT}")
            attributes = {k: json.loads(v) for k, v in file.attrs.items() if k != "format"}
            return _read(file), attributes
    except OSError as error:
        raise ValueError(f"{path} is not a model file: {error}") from error


def _read(group):
    items = {}
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            items[key] = _read(item)
        else:
            array = np.asarray(item[()])
            items[key] = (_signed(array) * item.attrs["unit"]).astype(np.float32) if "unit" in item.attrs else array
    return items


def read_tensors(path):
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


def save_model(path, surrogate, vectors=None, **metadata):
    """Write a trained surrogate with its configuration and `metadata` (system, hash, metrics, command).

    `vectors` are predictions to test a compiled model with, see `net_data.net_vectors`.
    """
    nested = {"vectors": vectors} if vectors else {}
    for key, value in state_of(surrogate).items():
        *parents, leaf = key.split("/")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = value
    attributes = {"net": asdict(surrogate.config), "dt_lower": surrogate.encoding.dt_lower, **metadata}
    write_tensors(path, nested, attributes, packed=True)


def load_model(path, system):
    """Read a trained surrogate.

    Parameters
    ----------
    path : path
    system : System
        Must be the one it was trained for.

    Returns
    -------
    surrogate : Surrogate
    metadata : dict

    Raises
    ------
    ValueError
        If the file is not a model of this system.
    """
    from .encoding import Encoding
    from .nets import NetConfig, Router, Surrogate

    tensors, metadata = read_tensors(path)
    tensors.pop("vectors", None)
    if not system.has_hash(metadata.get("system_hash")):
        raise ValueError(f"{path} was trained for {metadata.get('system')!r} with hash {metadata.get('system_hash')}, "
                         f"not for this {system.name!r} ({system.hash}); train again")  # fmt: skip
    config = NetConfig(**metadata["net"])
    place = tensors["router"]
    router = Router(place["rows"], [place[f"edges{level}"] for level in range(len(place) - 1)])
    statistics = {k: tensors[k] for k in ("mean", "std", "out_std")}
    surrogate = Surrogate(Encoding(system, (metadata["dt_lower"], None)), router, config, statistics)
    state = {k: v for k, v in flatten(tensors, separator=".") if not k.startswith(("router", "mean", "std", "out_std"))}
    if "slope" in surrogate.load_state_dict(state, strict=False).missing_keys:
        raise ValueError(f"{path} lacks the linear part that its net is to have; train again")
    return surrogate, metadata


def flatten(nested, prefix="", separator="/"):
    """(path, item) for all items of nested dicts."""
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}{separator}", separator)
        else:
            yield f"{prefix}{key}", value
