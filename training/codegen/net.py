"""A trained net as C: weights, statistics, routing, domain and calibration, for bindings/kernel/predict.h."""

import numpy as np

from ..systems.system import ABSENT_DECADES, FRACTION_FLOOR, MAJOR_FRACTION

#: DENSE_PANEL of bindings/kernel/dense.h
PANEL = 16


def write_net(system, net):
    """Source texts of ``net.h`` and ``weights.c`` from a net that `NetData.check` has let pass.

    Parameters
    ----------
    system : System
        Parameters that the net does not take must have their default values; cells with others are outside.
    net : NetData
    """
    arrays, config = net.arrays, net.metadata["net"]
    domain, calibration = net.metadata["domain"], net.metadata["calibration"]
    variables = system.variables
    weights = _layers(arrays)
    edges = [np.append(arrays[f"router/edges{k}"], 0.0) for k in range(_count(arrays, "router/edges"))]  # C: none empty
    starts = np.cumsum([0, *map(len, edges)])
    bins = [arrays[f"router/edges{k}"].shape[1] + 1 for k in range(len(edges))]
    n_experts, n_in = arrays["mean"].shape
    inputs = net.metadata.get("inputs") or {}
    columns = [[p.name for p in system.parameters].index(name) for name in inputs]
    routes = calibration.get("routes") or ()
    defines = {
        "NET_IN": n_in,
        "NET_OUT": len(variables),
        "NET_WIDTH": int(config["width"]),
        "NET_DEPTH": int(config["depth"]),
        "NET_LINEAR": int(bool(config["linear"])),
        "NET_EXPERTS": n_experts,
        "NET_GAUGE_WIDTH": arrays["gauge/weights/0"].shape[2],
        "NET_GAUGE_DEPTH": _count(arrays, "gauge/weights") - 2,
        "NET_JUDGE_WIDTH": arrays["judge/weights/0"].shape[2],
        "NET_JUDGE_DEPTH": _count(arrays, "judge/weights") - 2,
        "NET_STRIDE": weights.shape[1],
        "NET_LEVELS": len(edges),
        "NET_CUTS": len(domain["cut_value"]),
        "NET_INPUTS": len(inputs),
        "NET_DT": n_in - 1 - len(inputs),
        "NET_ABSENT_DECADES": repr(ABSENT_DECADES),
        "NET_ROUTES": len(routes),
        "NET_HOPELESS": repr(float(min(calibration.get("hopeless", 1e30), 1e30))),
        "NET_HAS_TOTAL": int(any(v.scale == "total" for v in variables)),
        "NET_FRACTION_FLOOR": repr(FRACTION_FLOOR),
        "NET_MAJOR_FRACTION": repr(MAJOR_FRACTION),
        "NET_DT_LOWER": repr(float(net.metadata["dt_lower"])),
        "NET_CALIBRATION_NODES": len(calibration["nodes"]),
        "NET_CALIBRATION_LOWER": repr(float(calibration["lower"])),
        "NET_CALIBRATION_WIDTH": repr(float(calibration["width"])),
        "NET_CHEAP": repr(float(calibration["cheap"])),
        "NET_CHANGE": repr(float(calibration.get("change", 0.0))),
    }
    lines = ["/* Generated; do not edit. */", *(f"#define {k} {v}" for k, v in defines.items())]
    lines += ["extern const float surr_net_weights[];"]
    lines += [
        _array("unsigned char", "net_is_log[N_STATE]", np.array([v.floor >= 0 for v in variables], int)),
        _array("double", "net_route[NET_LEVELS][NET_IN]", arrays["router/rows"][: len(edges)]),
        _array("int", "net_bins[NET_LEVELS]", np.array(bins)),
        _array("int", "net_first_edge[NET_LEVELS]", starts[:-1]),
        _array("double", f"net_edges[{starts[-1]}]", np.concatenate(edges)),
        _array("double", "net_mean[NET_EXPERTS][NET_IN]", arrays["mean"]),
        _array("double", "net_inverse_std[NET_EXPERTS][NET_IN]", 1 / arrays["std"]),
        _array("double", "net_lower[NET_IN]", domain["lower"]),
        _array("double", "net_upper[NET_IN]", domain["upper"]),
        _array("double", "net_least[N_STATE]", np.resize(domain["least"], len(variables))),
        _array("int64_t", "net_cut_feature[NET_CUTS + 1]", np.append(domain["cut_feature"], 0).astype(int)),
        _array("double", "net_cut_value[NET_CUTS + 1]", np.append(domain["cut_value"], 0)),
        _array("double", "net_part_lower[NET_CUTS + 1][NET_IN]", domain["part_lower"]),
        _array("double", "net_part_upper[NET_CUTS + 1][NET_IN]", domain["part_upper"]),
        _array("unsigned char", "net_law_is_signed[N_CONSERVED + 1]", np.append(domain["law_is_signed"], 0) * 1),
        _array("double", "net_law_lower[N_CONSERVED + 1]", np.append(domain["law_lower"], 0)),
        _array("double", "net_law_upper[N_CONSERVED + 1]", np.append(domain["law_upper"], 0)),
        _array("double", "net_param[N_PARAM + 1]", np.append(system.parameter_values, 0)),
        _array(
            "unsigned char", "net_is_input[N_PARAM + 1]", np.isin(np.arange(len(system.parameters) + 1), columns) * 1
        ),
        _array("int", "net_input_column[NET_INPUTS + 1]", np.array([*columns, 0])),
        _array(
            "unsigned char",
            "net_input_is_log[NET_INPUTS + 1]",
            np.array([*(r[0] > 0 for r in inputs.values()), 0], int),
        ),
        _array(
            "double",
            "net_input_lower[NET_INPUTS + 1]",
            np.array([*(np.log10(r[0]) if r[0] > 0 else 0.0 for r in inputs.values()), 0.0]),
        ),
        _array("double", "net_stops[NET_ROUTES + 1]", np.array([*routes, 0.0], float)),
        _array("double", "net_calibration[NET_CALIBRATION_NODES]", calibration["nodes"]),
    ]
    source = [
        "/* Generated; do not edit. */",
        "extern const float surr_net_weights[] __attribute__((aligned(64)));",
        _array("float", "surr_net_weights[]", weights, static=False),
    ]
    return "\n".join(lines) + "\n", "\n".join(source) + "\n"


def _count(arrays, prefix):
    return sum(key.startswith(prefix) for key in arrays)


def _layers(arrays):
    """(n_experts, stride): the layers as dense.h wants them of gauge, judge, expert and linear part.

    The scale of the outputs is in the weights of the last layer.
    """
    layers = [layer for name in ("gauge", "judge", "experts") for layer in _stack(arrays, name)]
    layers[-1] *= arrays["out_std"].astype(np.float32)[:, None, :]
    if "slope" in arrays:
        layers.append(np.concatenate([arrays["offset"], arrays["slope"]], 1))
    return np.concatenate([_panels(layer) for layer in layers], 1).astype(np.float32)


def _stack(arrays, name):
    """Layers of stacked perceptrons, (n_experts, 1 + n_in, n_out) each, the bias first."""
    return [
        np.concatenate([arrays[f"{name}/{kind}/{k}"].astype(float) for kind in ("biases", "weights")], 1)
        for k in range(_count(arrays, f"{name}/weights"))
    ]


def _panels(layer):
    """(n_experts, n_in + 1, n_out), bias first, as (n_experts, n_panel * (n_in + 1) * PANEL)."""
    n_experts, n_rows, n_out = layer.shape
    padded = np.pad(layer, ((0, 0), (0, 0), (0, -n_out % PANEL)))
    return padded.reshape(n_experts, n_rows, -1, PANEL).transpose(0, 2, 1, 3).reshape(n_experts, -1)


def _array(ctype, name, values, static=True):
    values = np.asarray(values).astype({"float": np.float32, "double": float}.get(ctype, int), copy=False)
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
