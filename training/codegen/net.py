"""A trained net as C: weights, statistics, routing, domain and calibration, for bindings/src/predict.h."""

import numpy as np

from ..encoding import FRACTION_FLOOR

#: outputs of a layer are padded to a multiple of this, DENSE_PADDED in bindings/src/dense.h
LANES = 16


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
        "NET_DEPTH": config.depth, "NET_BASE": 0, "NET_EXPERTS": config.n_experts, "NET_STRIDE": weights.shape[1],
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
    ]  # fmt: skip
    source = ["/* Generated; do not edit. */", "extern const float surr_net_weights[] __attribute__((aligned(64)));",
              _array("float", "surr_net_weights[]", weights, static=False)]  # fmt: skip
    return "\n".join(lines) + "\n", "\n".join(source) + "\n"


def _layers(surrogate):
    """(n_experts, stride): per layer the bias, then the weights as [n_in][n_out], outputs padded as in dense.h.

    The scale of the outputs is in the weights of the last layer.
    """
    layers = [(w.detach().double().numpy(), b.detach().double().numpy())
              for w, b in zip(surrogate.experts.weights, surrogate.experts.biases)]  # fmt: skip
    scale = surrogate.out_std.float().double().numpy()[:, None]
    scale = np.concatenate([scale, np.ones_like(scale[..., :1])], 2)  # the predicted error has none
    layers[-1] = tuple(x * scale for x in layers[-1])
    rows = []
    for w, b in layers:
        padding = -w.shape[2] % LANES
        rows.append(np.pad(np.concatenate([b, w], 1), ((0, 0), (0, 0), (0, padding))).reshape(len(w), -1))
    return np.concatenate(rows, 1).astype(np.float32)


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
