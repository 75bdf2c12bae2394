"""Trained models and checkpoints as HDF5: the only place that knows the format."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import torch

from .encoding import Encoding
from .nets import NetConfig, Router, Surrogate

#: raised when files of an older version can no longer be read
FORMAT = 1


def write_tensors(path, tensors, attributes):
    """Write nested dicts of tensors and JSON-able attributes; the file appears under its name when complete."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    with h5py.File(temporary, "w") as file:
        file.attrs["format"] = FORMAT
        for key, value in attributes.items():
            file.attrs[key] = json.dumps(value)
        _write(file, tensors)
    os.replace(temporary, path)


def _write(group, tensors):
    for key, value in tensors.items():
        if isinstance(value, dict):
            _write(group.create_group(str(key)), value)
        else:
            group.create_dataset(str(key), data=value.detach().cpu().numpy())


def read_tensors(path):
    """What `write_tensors` wrote: (nested dict of tensors, attributes).

    Raises
    ------
    ValueError
        If the file is not of this kind or of a newer format.
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
    return {k: _read(v) if isinstance(v, h5py.Group) else torch.from_numpy(np.asarray(v[()])) for k, v in group.items()}


def save_model(path, surrogate, **metadata):
    """Write a trained surrogate with its configuration and `metadata` (system, hash, metrics, command)."""
    tensors = {k: v for k, v in surrogate.state_dict().items() if not k.startswith("encoding.")}
    tensors = {k.replace(".", "/"): v for k, v in tensors.items()}
    nested = {}
    for key, value in tensors.items():
        *parents, leaf = key.split("/")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = value
    write_tensors(path, nested, {"net": asdict(surrogate.config), "dt_lower": surrogate.encoding.dt_lower, **metadata})


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
    tensors, metadata = read_tensors(path)
    if metadata.get("system_hash") != system.hash:
        raise ValueError(f"{path} was trained for {metadata.get('system')!r} with hash {metadata.get('system_hash')}, "
                         f"not for this {system.name!r} ({system.hash}); train again")  # fmt: skip
    config = NetConfig(**{**metadata["net"], "regions": tuple(metadata["net"]["regions"])})
    router = Router(*(tensors["router"][k] for k in ("rows", "first", "second")))
    statistics = {k: tensors[k] for k in ("mean", "std", "out_std")}
    surrogate = Surrogate(Encoding(system, (metadata["dt_lower"], None)), router, config, statistics)
    state = {k: v for k, v in _flatten(tensors) if not k.startswith(("router", "mean", "std", "out_std"))}
    if "base" in surrogate.load_state_dict(state, strict=False).missing_keys:
        raise ValueError(f"{path} has no base, although its net is to have one of degree {config.base}; train again")
    return surrogate, metadata


def _flatten(tensors, prefix=""):
    for key, value in tensors.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
