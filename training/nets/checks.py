"""What model files may hold: nets of the sizes that they say they have, decisions that can be made, plain numbers."""

import math

import numpy as np

from ..systems.checks import array, real, whole

#: experts are counted in bytes; the others are far from anything that trains
MOST_EXPERTS, MOST_WIDTH, MOST_DEPTH, MOST_NODES, MOST_VECTORS, MOST_PARTS = 256, 4096, 64, 100_000, 10_000, 4096


def check_sizes(config, n_experts, n_numbers):
    """Raise ValueError unless a net of this configuration has `n_experts` and can hold `n_numbers`.

    Any architecture has a matrix of the width for each expert, so that a few words cannot ask for much memory.

    Returns
    -------
    width, depth : int
    regions : list of int
    """
    width, depth = whole(config["width"], "width", 1, MOST_WIDTH), whole(config["depth"], "depth", 0, MOST_DEPTH)
    regions = [whole(n, "regions", 1, MOST_EXPERTS) for n in config["regions"]]
    if not 1 <= len(regions) <= 3 or math.prod(regions) * width * max(depth * width, 1) > n_numbers:
        raise ValueError(f"width {width}, depth {depth} and regions {regions} are more than the file holds")
    if math.prod(regions) != n_experts:
        raise ValueError(f"regions are {regions}, and there are {n_experts} experts")
    return width, depth, regions


def check_weights(system, arrays, config):
    """Raise ValueError unless the arrays, by their path in a model file, are those of a residual net of `system`.

    All sizes that code is compiled with are compared with those of the arrays.
    """
    width, depth, regions = check_sizes(config, len(arrays["mean"]), sum(map(np.size, arrays.values())))
    n_experts, n_vars = whole(math.prod(regions), "the number of experts", 1, MOST_EXPERTS), len(system.variables)
    n_in = n_vars + any(v.scale == "total" for v in system.variables) + 1
    shapes = {
        "mean": (n_experts, n_in),
        "std": (n_experts, n_in),
        "out_std": (n_experts, n_vars),
        "router/rows": (None, n_in),
    }
    if config["linear"]:
        shapes |= {"slope": (n_experts, n_in, n_vars), "offset": (n_experts, 1, n_vars)}
    for level, n in enumerate(regions):
        if n > 1 or f"router/edges{level}" in arrays:  # what is not divided may be left out
            shapes[f"router/edges{level}"] = (math.prod(regions[:level]), n - 1)
    sizes = {"experts": [n_in, *[width] * (depth + 1), n_vars]}
    for judge in ("gauge", "judge"):
        first = array(arrays[f"{judge}/weights/0"], f"{judge}/weights/0", (n_experts, n_in, None))
        n_hidden = whole(
            sum(key.startswith(f"{judge}/weights/") for key in arrays) - 1, f"layers of the {judge}", 1, MOST_DEPTH
        )
        sizes[judge] = [n_in, *[whole(first.shape[2], f"width of the {judge}", 1, MOST_WIDTH)] * n_hidden, 1]
    for part, widths in sizes.items():
        for k, (i, o) in enumerate(zip(widths, widths[1:])):
            shapes |= {f"{part}/weights/{k}": (n_experts, i, o), f"{part}/biases/{k}": (n_experts, 1, o)}
    for key, shape in shapes.items():
        array(arrays[key], key, shape)
    if missing_or_odd := set(arrays) ^ set(shapes):
        raise ValueError(f"the net lacks, or should not have, {sorted(missing_or_odd)[0]}")
    if not (np.asarray(arrays["std"]) > 0).all():
        raise ValueError("std of the net must be positive")


def check_decision(system, metadata):
    """Raise ValueError unless domain, calibration and scores of a model file are such for `system`."""
    domain, calibration = metadata["domain"], metadata["calibration"]
    n_in = len(system.variables) + any(v.scale == "total" for v in system.variables) + 1
    real(metadata["dt_lower"], "dt_lower", 1e-300)
    _check_scores(metadata.get("held_out", {}))
    for key in ("lower", "upper"):
        array(domain[key], f"domain {key}", (n_in,))
    n_parts = whole(len(domain["part_lower"]), "the number of parts of the domain", 1, MOST_PARTS)
    if n_parts & (n_parts - 1):
        raise ValueError(f"the domain has {n_parts} parts: a power of two is wanted")
    for key, shape in (("cut_value", (n_parts - 1,)), ("part_lower", (n_parts, n_in)), ("part_upper", (n_parts, n_in))):
        array(domain[key], f"domain {key}", shape)
    array(domain["least"], "domain least", (1 if len(domain["least"]) == 1 else len(system.variables),))
    array(domain["cut_feature"], "domain cut_feature", (n_parts - 1,))
    for feature in domain["cut_feature"]:
        whole(feature, "domain cut_feature", 0, n_in - 1)
    for key in ("law_is_signed", "law_lower", "law_upper"):
        array(domain[key], f"domain {key}", (len(system.restored_laws),))
    array(calibration["nodes"], "calibration nodes", (None,))
    whole(len(calibration["nodes"]), "the number of calibration nodes", 2, MOST_NODES)
    real(calibration["lower"], "calibration lower")
    real(calibration["width"], "calibration width", 1e-9)
    for key in ("cheap", "change"):
        real(calibration.get(key, 0.0), f"calibration {key}", 0.0)


def check_vectors(system, vectors):
    """Raise ValueError unless the predictions to test a compiled model with have the shapes of `system`."""
    if not vectors:
        return
    n = whole(len(vectors["net_dt"]), "the number of test vectors", 0, MOST_VECTORS)
    n_vars = len(system.variables)
    shapes = {
        "net_y": (n, n_vars),
        "net_dt": (n,),
        "net_param": (n, len(system.parameters)),
        "net_end": (n, n_vars),
        "net_error": (n,),
    }
    if set(vectors) != set(shapes):
        raise ValueError(f"the test vectors of a net are {', '.join(shapes)}, not {', '.join(map(repr, vectors))}")
    for key, shape in shapes.items():
        array(vectors[key], key, shape)


def _check_scores(held_out):
    for population, result in held_out.items():
        array(result["log10_error"], f"log10_error on {population!r:.50}", (None,), finite=False)
        for r, share in result["accepted"].items():
            real(float(r), "a tolerance", 0.0), real(share, "the share accepted", 0.0, 1.0)
