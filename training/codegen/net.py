"""A trained net as C: weights, statistics, routing, domain and calibration, for bindings/src/predict.h."""

import copy

import numpy as np
import torch

from ..encoding import FRACTION_FLOOR
from ..populations import box, check_population, wide

#: DENSE_PANEL of bindings/src/dense.h
PANEL = 16


def write_net(surrogate, domain, calibration, parameter_values):
    """Source texts of ``net.h`` and ``weights.c``.

    Parameters
    ----------
    surrogate : Surrogate
    domain : Domain
    calibration : Calibration
    parameter_values : array_like of shape (n_params,)
        The parameters that the labels were made with; cells with others are outside.
    """
    n = {k: v.numpy() for k, v in surrogate.state_dict().items()}
    encoding, config, router = surrogate.encoding, surrogate.config, surrogate.router
    first, second = router.first.numpy(), router.second.numpy()
    weights = _layers(surrogate)
    defines = {
        "NET_IN": encoding.n_features, "NET_OUT": n["out_std"].shape[1] + 1, "NET_WIDTH": config.width,
        "NET_DEPTH": config.depth, "NET_BASE": config.base, "NET_EXPERTS": config.n_experts,
        "NET_STRIDE": weights.shape[1],
        "NET_REGIONS_1": config.regions[0], "NET_REGIONS_2": config.regions[1],
        "NET_HAS_TOTAL": int(encoding.has_total),
        "NET_FRACTION_FLOOR": repr(FRACTION_FLOOR), "NET_DT_LOWER": repr(encoding.dt_lower),
        "NET_CALIBRATION_NODES": len(calibration.nodes), "NET_CALIBRATION_LOWER": repr(calibration.lower),
        "NET_CALIBRATION_WIDTH": repr(calibration.width),
    }  # fmt: skip
    inner1, inner2 = max(len(first), 1), max(second.shape[1], 1)
    edges2 = second if second.size else np.zeros((len(second), 1))
    lines = ["/* Generated; do not edit. */", *(f"#define {k} {v}" for k, v in defines.items())]
    lines += ["extern const float surr_net_weights[];"]
    lines += [
        _array("unsigned char", "net_is_log[N_STATE]", np.array(encoding.is_log, int)),
        _array("double", "net_route[2][NET_IN]", router.rows.numpy()),
        _array("double", f"net_edges_1[{inner1}]", np.resize(np.append(first, 0.0), inner1)),
        _array("double", f"net_edges_2[{len(second)}][{inner2}]", edges2),
        _array("double", "net_mean[NET_EXPERTS][NET_IN]", n["mean"]),
        _array("double", "net_inverse_std[NET_EXPERTS][NET_IN]", 1 / n["std"]),
        _array("double", "net_lower[NET_IN]", domain.lower), _array("double", "net_upper[NET_IN]", domain.upper),
        _array("unsigned char", "net_law_is_signed[N_CONSERVED + 1]", np.append(domain.law_is_signed, 0).astype(int)),
        _array("double", "net_law_lower[N_CONSERVED + 1]", np.append(domain.law_lower, 0)),
        _array("double", "net_law_upper[N_CONSERVED + 1]", np.append(domain.law_upper, 0)),
        _array("double", "net_param[N_PARAM + 1]", np.append(parameter_values, 0)),
        _array("double", "net_calibration[NET_CALIBRATION_NODES]", calibration.nodes),
        _array("double", "net_pays_from[NET_EXPERTS]", _pays_from(calibration, config.n_experts)),
    ]  # fmt: skip
    source = ["/* Generated; do not edit. */", "extern const float surr_net_weights[] __attribute__((aligned(64)));",
              _array("float", "surr_net_weights[]", weights, static=False)]  # fmt: skip
    return "\n".join(lines) + "\n", "\n".join(source) + "\n"


def net_vectors(system, surrogate, domain, calibration, n):
    """Predictions in double precision for `surr_model_selftest`, of at most `n` cells.

    Cells of the domain whose outcome single precision cannot turn: well inside a step of the calibration, predicted
    alike by both precisions, not close to what counts as beyond repair.

    Returns
    -------
    dict of str to ndarray
        ``net_y``, ``net_dt``, ``net_param``, ``net_end``, ``net_error``, a row per cell.
    """
    dt_range = surrogate.encoding.dt_lower, 10.0 ** domain.upper[-1]
    try:
        check_population("wide", system)
        state, dt = wide(system, 100 * n, seed=3)
    except ValueError:
        state, dt = box(system, 100 * n, 3, dt_range)
    state, dt = torch.from_numpy(state), torch.from_numpy(dt)
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
        "net_y": state[chosen].numpy(), "net_dt": dt[chosen].numpy(),
        "net_param": np.tile(system.parameter_values, (len(chosen), 1)), "net_end": end[chosen].numpy(),
        "net_error": calibration(predicted[chosen].numpy()),
    }  # fmt: skip


def _pays_from(calibration, n_experts):
    if calibration.pays_from is None:
        return np.zeros(n_experts)
    return np.minimum(calibration.pays_from, 1e300)  # C has no literal for infinity


def _layers(surrogate):
    """(n_experts, stride): the layers of every expert as dense.h wants them, those of the perceptron, then the base.

    The scale of the outputs is in the weights of the last layer.
    """
    layers = [torch.cat([b, w], 1).double() for w, b in zip(surrogate.experts.weights, surrogate.experts.biases)]
    n_vars = surrogate.out_std.shape[1]
    layers[-1][:, :, :n_vars] *= surrogate.out_std.float().double().unsqueeze(1)
    if surrogate.base is not None:
        layers.append(torch.nn.functional.pad(surrogate.base.double(), (0, 1)))  # nothing for the predicted error
    return np.concatenate([_panels(layer.detach().numpy()) for layer in layers], 1).astype(np.float32)


def _panels(layer):
    """(n_experts, n_in + 1, n_out), bias first, as (n_experts, n_panel * (n_in + 1) * PANEL)."""
    n_experts, n_rows, n_out = layer.shape
    padded = np.pad(layer, ((0, 0), (0, 0), (0, -n_out % PANEL)))
    return padded.reshape(n_experts, n_rows, -1, PANEL).transpose(0, 2, 1, 3).reshape(n_experts, -1)


def _array(ctype, name, values, static=True):
    values = np.asarray(values)
    suffix = "f" if ctype == "float" else ""
    flat = [f"{x!s}{suffix}" if ctype == "float" else repr(x.item()) for x in values.ravel()]
    if ctype == "float":
        flat = [t if "." in t or "e" in t else t.replace("f", ".0f") for t in flat]
    if values.ndim == 2:
        width = values.shape[1]
        body = ",\n    ".join("{" + ", ".join(flat[i : i + width]) + "}" for i in range(0, len(flat), width))
        if name.endswith("[]"):
            body = ",\n    ".join(", ".join(flat[i : i + width]) for i in range(0, len(flat), width))
    else:
        body = ", ".join(flat)
    return f"{'static ' if static else ''}const {ctype} {name} = {{\n    {body}}};"
