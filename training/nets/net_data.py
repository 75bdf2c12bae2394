"""A trained and calibrated net as plain arrays: what generating C needs, without PyTorch."""

import copy
from dataclasses import asdict, dataclass

import numpy as np

from ..systems.checks import check_decision, check_vectors, check_weights

#: predictions that a model library keeps, to test itself with
N_VECTORS = 16

ACCEPTS_NOTHING = (
    "this net accepts nothing: at no tolerance up to 0.1 did its errors prove sure enough, and the solver takes every "
    "cell. Train longer, on more labels or on a smaller domain"
)


def accepts_nothing(metadata):
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
        Predictions for `surr_model_selftest`, see `net_vectors`.
    """

    arrays: dict
    metadata: dict
    vectors: dict

    @classmethod
    def of(cls, system, surrogate, domain, calibration):
        """From a `Surrogate` with its `Domain` and `Calibration`."""
        from .model_file import state_of

        metadata = {
            "net": asdict(surrogate.config),
            "dt_lower": surrogate.encoding.dt_lower,
            "domain": asdict(domain),
            "calibration": asdict(calibration),
        }
        arrays = {k: v.numpy() for k, v in state_of(surrogate).items()}
        return cls(arrays, metadata, net_vectors(system, surrogate, domain, calibration))

    @classmethod
    def read(cls, path):
        """From a calibrated model file.

        Raises
        ------
        ValueError
            If it is not calibrated, or no model file.
        """
        from .model_file import flatten, read_arrays

        nested, metadata = read_arrays(path)
        if "calibration" not in metadata:
            raise ValueError(f"{path} is not calibrated: run `surrogate calibrate` on it first")
        vectors = nested.pop("vectors", {})
        return cls(dict(flatten(nested)), metadata | {"domain": in_parts(metadata["domain"])}, vectors)

    def check(self, system):
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


def net_vectors(system, surrogate, domain, calibration, cells=None, n=N_VECTORS):
    """Predictions in double precision for `surr_model_selftest`, of at most `n` cells.

    `cells` are states and time steps to choose from, tensors; if not given, random ones.

    Cells of the domain whose outcome single precision cannot turn: well inside a step of the calibration, predicted
    alike by both precisions, not close to what counts as beyond repair.

    Returns
    -------
    dict of str to ndarray
        ``net_y``, ``net_dt``, ``net_param``, ``net_end``, ``net_error``, a row per cell.
    """
    import torch

    from ..populations.registry import box, check_population, wide

    if cells is None:
        try:
            check_population("wide", system)
            drawn = wide(system, 100 * n, seed=3)
        except ValueError:
            drawn = box(system, 100 * n, 3, (surrogate.encoding.dt_lower, 10.0 ** domain.upper[-1]))
        cells = (torch.from_numpy(x) for x in drawn)
    state, dt = cells
    exact = copy.deepcopy(surrogate).double()
    with torch.no_grad():
        end, predicted = exact(state, dt)
        single, _ = surrogate(state, dt)
        exact.encoding.laws = exact.encoding.laws[:0]
        bare, _ = exact(state, dt)
    place = (torch.log10(predicted) - calibration.lower) / calibration.width
    good = torch.from_numpy(domain.holds(surrogate.encoding, state, dt)) & ((place - place.round()).abs() > 0.01)
    good &= ((single / end - 1).abs() < 1e-5).all(1) & ((end / bare - 1).abs() < 0.4).all(1)
    chosen = good.nonzero()[:n, 0]
    return {
        "net_y": state[chosen].numpy(),
        "net_dt": dt[chosen].numpy(),
        "net_param": np.tile(system.parameter_values, (len(chosen), 1)),
        "net_end": end[chosen].numpy(),
        "net_error": calibration(predicted[chosen].numpy()),
    }
