"""The net of a model as a torch module: what `Model.torch` returns.

PyTorch and the extra ``training`` are imported when they are needed.
"""

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surrogate.errors import ModelError

#: where the extra ``training`` keeps what reads the model files of this package
SHIPPED_FILES, PREDICTOR = "surrogate.training.nets.model_file", "surrogate.training.nets.torch_export"


def load(name: str, path: Path | None, info: Mapping[str, Any], device, is_shipped: bool):
    """Read the net beside the model library `path`, or that of a model of this package; see `Model.torch`."""
    file = path and path.with_suffix(".pt")
    if file is not None and file.exists():
        return _read(file, path, info.get("system_hash"), device)
    if is_shipped and info["kind"] == "surrogate":
        return _read_shipped(path, info.get("system_hash")).to(device)
    raise ModelError(
        f"model {name} has no net for torch{f' ({file} is missing)' if file else ''}: "
        "`surrogate export MODEL.h5 --to DIR` writes it beside the library"
    )


def _read(file, library, system_hash, device):
    try:
        import torch
    except ImportError as error:
        raise ModelError(f"model.torch() needs PyTorch ({error}): pip install torch") from error
    extra = {"system_hash": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript
        try:
            module = torch.jit.load(file, map_location=device, _extra_files=extra)
        except RuntimeError as error:  # of many lines
            reason = str(error).strip().split("\n")[0]
            raise ModelError(f"{file} is damaged, or no TorchScript: {reason}. Export it again") from error
    if extra["system_hash"].decode() != system_hash:
        raise ModelError(f"{file} belongs to another system than {library}: export both anew")
    return module


def _read_shipped(library, system_hash):
    """TorchScript, from the model file that is part of the package, too."""
    try:
        files, nets = (importlib.import_module(module) for module in (SHIPPED_FILES, PREDICTOR))
    except ImportError as error:
        raise ModelError(
            f"model.torch() reads the model file of {library.stem}, which needs what nets are trained "
            f"with ({error}): pip install 'stiff-surrogate[training]'"
        ) from error
    system, predictor = nets.load_predictor(files.shipped_files()[library.stem])
    if system.hash != system_hash:
        raise ModelError(f"{library} is of another version than its model file: install the package anew")
    return nets.trace(predictor)
