"""A trained and calibrated net as plain arrays: what generating C needs, without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np

from ..systems.system import System
from .checks import check_decision, check_vectors, check_weights
from .model_file import flatten, read_arrays, state_of

ACCEPTS_NOTHING = (
    "this net accepts nothing: at no tolerance up to 0.1 did its errors prove sure enough, and the solver takes every "
    "cell. Train longer, on more labels or on a smaller domain"
)


def accepts_nothing(metadata: Mapping[str, Any]) -> bool:
    """Whether the metadata of a calibrated model file say that nothing is left to its net."""
    shares = [share for result in metadata.get("held_out", {}).values() for share in result["accepted"].values()]
    return min(metadata["calibration"]["nodes"]) > 0 or (bool(shares) and not any(shares))


def in_parts(domain):
    """A domain of a model file in plain lists; one from before there were parts is a single box."""
    if not isinstance(domain, dict) or not {"lower", "upper"} <= set(domain):
        raise ValueError(f"the domain is {domain!r:.100}: that of a trained net is wanted")
    box = {"cut_feature": [], "cut_value": [], "part_lower": [domain["lower"]], "part_upper": [domain["upper"]]}
    return {"least": [0.0], **box, **domain}


@dataclass(frozen=True, eq=False)
class NetData:
    """A net for code generation.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Weights, statistics and routing, by their path in a model file ("experts/weights/0").
    metadata : dict
        With ``net``, ``dt_lower``, ``domain`` and ``calibration``, as in a model file.
    vectors : dict of str to ndarray
        Predictions for `surr_model_selftest`, see `vectors.net_vectors`.
    """

    arrays: dict[str, np.ndarray]
    metadata: dict[str, Any]
    vectors: dict[str, np.ndarray]

    @classmethod
    def of(cls, system: System, surrogate, domain, calibration) -> NetData:
        """From a `Surrogate` with its `Domain` and `Calibration`."""
        from .vectors import net_vectors

        metadata = {
            "net": asdict(surrogate.config),
            "dt_lower": surrogate.encoding.dt_lower,
            "domain": asdict(domain),
            "calibration": asdict(calibration),
        }
        arrays = {k: v.numpy() for k, v in state_of(surrogate).items()}
        return cls(arrays, metadata, net_vectors(system, surrogate, domain, calibration))

    @classmethod
    def read(cls, path: str | PathLike) -> NetData:
        """From a calibrated model file.

        Raises
        ------
        ValueError
            If it is not calibrated, or no model file.
        """
        nested, metadata = read_arrays(path)
        if "calibration" not in metadata:
            raise ValueError(f"{path} is not calibrated: run `surrogate calibrate` on it first")
        vectors = nested.pop("vectors", {})
        return cls(dict(flatten(nested)), metadata | {"domain": in_parts(metadata["domain"])}, vectors)

    def check(self, system: System) -> None:
        """Raise ValueError unless this is a net of `system` for which there are C kernels."""
        try:
            kind = self.metadata["net"]["kind"]
            if kind != "residual":
                raise ValueError(
                    f"the net is of kind {kind!r}, for which there are no C kernels: train one of kind "
                    "'residual', or export this one with --torch-only"
                )
            check_weights(system, self.arrays, self.metadata["net"])
            check_decision(system, self.metadata)
            check_vectors(system, self.vectors)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(
                f"what should be a net of {system.name} is none: {type(error).__name__} {error}"
            ) from error
