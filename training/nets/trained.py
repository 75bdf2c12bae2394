"""Trained nets, read from their files."""

from os import PathLike
from typing import Any

from ..systems import System, system_of
from ..systems.checks import real
from .architectures import ARCHITECTURES, find_architecture
from .checks import check_decision, check_sizes
from .encoding import Encoding
from .experts import NetConfig, Router, Surrogate
from .model_file import flatten, read_arrays, read_tensors
from .net_data import in_parts


def load_trained(
    path: str | PathLike, system: str | None = None, kind: str | None = None
) -> tuple[System, Surrogate, dict[str, Any]]:
    """A model file with its system: (system, surrogate, metadata).

    Parameters
    ----------
    path : path
    system : str, optional
        Name of the system, as for `get_system`: needed if it does not ship with the library.
    kind : str, optional
        The architecture that the file names, MODULE:NAME: needed if it is not of this library.

    Raises
    ------
    ValueError
        If the system is not to be found; use `load_model` with your own.
    """
    metadata = read_arrays(path)[1]
    system = system_of(metadata, path, system)
    if kind is not None:
        find_architecture(kind)
    if "calibration" in metadata:
        try:
            check_decision(system, metadata | {"domain": in_parts(metadata["domain"])})
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{path} holds no domain and calibration: {type(error).__name__} {error}") from error
    return system, *load_model(path, system)


def load_model(path: str | PathLike, system: System) -> tuple[Surrogate, dict[str, Any]]:
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
    tensors.pop("vectors", None)
    if not system.has_hash(metadata.get("system_hash")):
        raise ValueError(
            f"{path} was trained for {metadata.get('system')!r} with hash {metadata.get('system_hash')}, "
            f"not for this {system.name!r} ({system.hash}); train again"
        )
    try:
        surrogate, missing = _rebuild(system, tensors, metadata)
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{path} holds no net of {system.name}: {type(error).__name__} {reason}") from error
    if missing:
        what = "the linear part that its net is to have" if "slope" in missing else missing[0]
        raise ValueError(f"{path} lacks {what}; train again")
    return surrogate, metadata


def _rebuild(system, tensors, metadata):
    flat = dict(flatten(tensors, separator="."))
    kind = metadata["net"]["kind"]
    if kind not in ARCHITECTURES:  # a file is data and has nothing imported
        raise TypeError(f"its net is of kind {kind!r:.200}: if you trust it, name it yourself with --kind")
    check_sizes(metadata["net"], len(tensors["mean"]), sum(t.numel() for t in flat.values()))
    config = NetConfig(**metadata["net"])
    place = tensors["router"]
    router = Router(place["rows"], [place[f"edges{level}"] for level in range(len(place) - 1)])
    statistics = {k: tensors[k] for k in ("mean", "std", "out_std")}
    encoding = Encoding(system, (real(metadata["dt_lower"], "dt_lower", 1e-300), None))
    surrogate = Surrogate(encoding, router, config, statistics)
    state = {k: v for k, v in flat.items() if not k.startswith(("router", "mean", "std", "out_std"))}
    missing = surrogate.load_state_dict(state, strict=False).missing_keys
    given = {"mean", "std", "out_std"}
    return surrogate, [k for k in missing if k not in given and not k.startswith(("encoding.", "router."))]
