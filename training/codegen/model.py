"""The text of a model library beside its kernels: names, units, ranges, test vectors, the table of kernels."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..systems.system import System
from .c import c_string
from .python import python_functions

#: random states at which a library keeps right-hand sides, to test itself with
N_TEST = 16


def write_model(name: str, system: System, isas: Sequence[str], net: Any = None) -> str:
    """Text of model.c: names, units, ranges, test vectors and the table of kernels."""
    rhs, gross = python_functions(system, ("rhs", "gross"))
    states = system.sample(N_TEST, seed=1)
    values = system.parameter_values
    f = np.array([rhs(0.0, y, values) for y in states])
    gross = np.array([gross(0.0, y, values) for y in states])
    scale = np.where(gross > 0, gross, 1.0)  # what does not change is compared as it is
    info = {
        "name": name,
        "system": system.name,
        "system_hash": system.hash,
        "kind": "surrogate" if net else "solver",
        "variables": {v.name: v.unit for v in system.variables},
        "parameters": {p.name: p.value for p in system.parameters},
        "conserved": list(system.conserved),
        "references": list(system.references),
    }
    if net:
        info |= {key: net.metadata[key] for key in ("net", "held_out", "n_pairs", "command") if key in net.metadata}
    net_vectors = net.vectors if net else {}
    variables = [
        f"{{{c_string(v.name)}, {c_string(v.unit)}, {_c(v.lower)}, {_c(v.upper)}, SURR_ROLE_{v.role.upper()}, "
        f"{v.n_hydrogen}, {_c(v.mass)}}}"
        for v in system.variables
    ]
    parameters = [
        f"{{{c_string(p.name)}, {c_string(p.unit)}, {_c(p.value)}, {_c(p.lower)}, {_c(p.upper)}}}"
        for p in system.parameters
    ]
    kernels = ", ".join(f"&surr_kernels_{isa}" for isa in isas)
    constants = [_c(system.constants.get(k, 0.0)) for k in ("gamma", "k_boltzmann", "mass_hydrogen")]
    doubles = {
        "conserved": np.array(list(system.conserved.values())),
        "test_y": states,
        "test_param": np.tile(values, (N_TEST, 1)),
        "test_f": f,
        "test_scale": scale,
        **net_vectors,
    }
    names = ("net_y", "net_dt", "net_param", "net_end", "net_error")
    of_net = [str(len(net_vectors["net_dt"])), *names] if net_vectors else ["0"] * 6
    arrays = "\n".join(
        f"static const double {name}[] = {{{', '.join(map(_c, a.ravel())) or '0'}}};" for name, a in doubles.items()
    )
    return f"""/* Generated from the system {system.name!r}; do not edit. */
#include <math.h>
#include "model_abi.h"

static const surr_variable variables[] = {{
    {f",{chr(10)}    ".join(variables)}}};
static const surr_parameter parameters[] = {{
    {f",{chr(10)}    ".join(parameters) or "{0}"}}};
{arrays}
extern const surr_kernels {", ".join(f"surr_kernels_{isa}" for isa in isas)};
static const surr_model_desc model = {{
    SURR_MODEL_ABI, {len(variables)}, {len(parameters)}, {len(system.conserved)},
    {c_string(name)},
    {c_string(json.dumps(info, sort_keys=True))},
    variables, parameters, conserved, {", ".join(constants)}, {_c(system.dt_range[0])}, {_c(system.dt_range[1])},
    {N_TEST}, test_y, test_param, test_f, test_scale,
    {", ".join(of_net)}, {{{kernels}}}
}};
__attribute__((visibility("default"))) const surr_model_desc *surr_model_entry(void)
{{
    return &model;
}}
"""


def _c(x):
    x = float(x)
    return repr(x) if math.isfinite(x) else ("HUGE_VAL" if x > 0 else "-HUGE_VAL")
