"""From a system to a model library: generate C, compile it for each instruction set, link."""

import argparse
import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..files import replacing, sealed
from ..nets.net_data import ACCEPTS_NOTHING, NetData, accepts_nothing
from ..systems import SYSTEM_HELP, SYSTEM_OPTION, get_system, system_of
from ..systems.checks import check_decision, name_of
from ..systems.system import System
from .c import c_string, write_mechanism
from .net import write_net
from .python import python_functions

#: symbol suffix and compiler flags per instruction set, in the order of SURR_ISA_* in model_abi.h
ISA_FLAGS = {
    "base": ["-march=x86-64-v2"],
    "v3": ["-march=x86-64-v3"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
CFLAGS = [
    "-std=gnu11",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-Wall",
    "-Wextra",
]
N_TEST = 16
#: trained and calibrated models that are part of the package
ZOO = Path(__file__).resolve().parent.parent / "zoo"


def export_model(system, directory, cc=None, cflags=(), keep_source=False, net=None, name=None, static=False):
    """Write ``directory/NAME.so``, a library that `surrogate.load` and ``surr_model_open`` take.

    Parameters
    ----------
    system : System or str
        A system, or the name of one that ships with the library.
    directory : str or path
        Created if needed. The library appears there under its final name only once it is complete.
    cc : str, optional
        C compiler command; default ``$CC``, else ``cc``.
    cflags : sequence of str
        Further compiler flags, e.g. ``["-fsanitize=address"]``.
    keep_source : bool
        Keep the generated C in ``directory/NAME.src``.
    net : NetData or tuple of (Surrogate, Domain, Calibration), optional
        A trained surrogate of the system; without, the library holds the solver alone.
    name : str, optional
        Of the model; default that of the system.
    static : bool
        Write ``directory/libNAME.a`` instead, to be linked into a host. Its one symbol is ``surr_model_NAME`` (with
        ``_`` for what C does not allow in a name), to be handed to ``surr_model_register``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    RuntimeError
        If the compiler fails; the message holds its output.
    ValueError
        If there are no C kernels for the architecture of the net.
    """
    if not isinstance(system, System):
        system = get_system(system)
    if isinstance(net, tuple):
        net = NetData.of(system, *net)
    if net:
        net.check(system)
    name = name_of(name or system.name, "the model's name")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    cc = compiler(cc)
    with tempfile.TemporaryDirectory() as scratch:
        source = directory / f"{name}.src" if keep_source else Path(scratch)
        source.mkdir(exist_ok=True)
        isas = list(ISA_FLAGS) if platform.machine().lower() in ("x86_64", "amd64") else ["base"]
        (source / "mechanism.h").write_text(write_mechanism(system))
        (source / "model.c").write_text(_write_model(name, system, isas, net))
        include = ["-I", str(source), "-I", str(kernel_source())]
        jobs = [(source / "model.c", "model", [])]
        has_net = ["-DSURR_HAS_NET"] if net else []
        if net:
            header, weights = write_net(system, net)
            (source / "net.h").write_text(header)
            (source / "weights.c").write_text(weights)
            jobs.append((source / "weights.c", "weights", []))
        for isa in isas:
            march = ISA_FLAGS[isa] if len(isas) > 1 else []
            jobs.append((kernel_source() / "kernel.c", isa, [*march, *has_net, f"-DSURR_KERNELS=surr_kernels_{isa}"]))
        objects = [os.path.join(scratch, f"{name}.o") for _, name, _ in jobs]
        commands = [
            [*cc, *CFLAGS, *cflags, *extra, *include, "-c", str(file), "-o", target]
            for (file, _, extra), target in zip(jobs, objects)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(run, commands))
        built = os.path.join(scratch, "library")
        target = directory / (f"lib{name}.a" if static else f"{name}.so")
        if static:
            link_static(cc, objects, f"surr_model_{re.sub('[^A-Za-z0-9]', '_', name)}", built)
        else:
            run([*cc, *cflags, "-shared", *objects, "-o", built, "-lm"])
        content = Path(built).read_bytes()
        with replacing(target) as file:
            file.write_bytes(content if static else sealed(content))
            file.chmod(os.stat(built).st_mode)
    return target


def solver_model(system):
    """The solver of a system as an opened model: one that is installed if it has the same equations, else compiled now.

    Returns
    -------
    surrogate.Model
    """
    import surrogate

    try:
        model = surrogate.load(system.name)
        if model.info.get("system_hash") == system.hash:
            return model
    except surrogate.ModelError:
        pass
    with tempfile.TemporaryDirectory() as directory:
        return surrogate.load(export_model(system, directory))


def compiler(cc=None):
    """Command of the C compiler, a list: `cc`, else ``$CC``, else ``cc``."""
    return shlex.split(cc or os.environ.get("CC") or "cc")


def link_static(cc, objects, entry, archive):
    """One object with one public symbol, so that several models can be linked into one host."""
    whole = f"{archive}.o"
    run([*cc, "-r", "-nostdlib", *objects, "-o", whole])
    run(["objcopy", "--redefine-sym", f"surr_model_entry={entry}", "--localize-hidden", whole])
    run(["ar", "rcs", archive, whole])


def kernel_source():
    """Directory of kernel.c: in the checkout, or installed beside the package."""
    here = Path(__file__).resolve().parent.parent.parent
    for place in (here / "bindings" / "kernel", here / "kernel"):
        if (place / "kernel.c").exists():
            return place
    import surrogate

    return Path(surrogate.__file__).parent / "kernel"


def run(command):
    """Run a compiler; RuntimeError with its output if it fails, or says why there is none."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise RuntimeError(
            f"{command[0]} cannot be run ({error.strerror}): install a C compiler (gcc or clang) and "
            "binutils, or say which with --cc or $CC"
        ) from error
    if result.returncode:
        said = result.stderr.splitlines() or [f"exit status {result.returncode}"]
        first = next((line for line in said if "error" in line), said[0])
        raise RuntimeError(f"{command[0]} failed: {first.strip()}\n{shlex.join(command)}\n{result.stderr}")


def _write_model(name, system, isas, net):
    """Text of model.c: names, units, ranges, test vectors and the table of kernels."""
    rhs, _, gross = python_functions(system)
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


def main(arguments=None):
    """Write the model library of a shipped model, of a trained and calibrated model file, or of a system with its
    solver alone. Where there is a net, also the net alone as TorchScript (NAME.pt) and as a program of torch.export
    (NAME.pt2)."""
    shipped = shipped_files()
    parser = argparse.ArgumentParser(prog="surrogate export", description=main.__doc__)
    parser.add_argument(
        "name_or_file",
        metavar="NAME",
        help=f"a shipped model ({', '.join(shipped)}); a model file (*.h5); or a system: {SYSTEM_HELP}",
    )
    parser.add_argument("--to", required=True, metavar="DIR")
    parser.add_argument("--name", help="of the model; default that of the shipped model or of the system")
    parser.add_argument("--system", **SYSTEM_OPTION)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--torch-only", action="store_true", help="write no library: NAME.pt and NAME.pt2 alone")
    only.add_argument("--library-only", action="store_true", help="no NAME.pt and NAME.pt2; needs no PyTorch")
    only.add_argument("--solver-only", action="store_true", help="no net, though one is shipped")
    parser.add_argument("--cc", help="C compiler; default $CC or cc")
    parser.add_argument("--cflags", default="", help="further compiler flags, one string")
    parser.add_argument("--static", action="store_true", help="libNAME.a to link into a host, instead of NAME.so")
    parser.add_argument("--keep-source", action="store_true", help="keep the generated C")
    options = parser.parse_args(arguments)
    what, name = options.name_or_file, options.name
    if what in shipped and not options.solver_only:
        what, name = str(shipped[what]), name or what
    is_trained = what.endswith(".h5")
    if options.solver_only and is_trained:
        raise ValueError(f"--solver-only is for systems, and {what} is a model file: give the name of its system")
    if options.torch_only and not is_trained:
        raise ValueError(f"--torch-only is for nets, and {what} is a system: give a model file (*.h5)")
    net = NetData.read(what) if is_trained else None
    system = system_of(net.metadata, what, options.system) if net else get_system(what)
    if net and not system.has_hash(net.metadata.get("system_hash")):
        raise ValueError(f"{what} was trained for {system.name!r} as it was then: train again")
    if net:
        check_decision(system, net.metadata)
        if accepts_nothing(net.metadata):
            print(f"{what}: {ACCEPTS_NOTHING}", file=sys.stderr)
    if not options.torch_only:
        print(
            export_model(
                system,
                options.to,
                options.cc,
                shlex.split(options.cflags),
                options.keep_source,
                net,
                name,
                options.static,
            )
        )
    if net and not options.library_only:
        from ..nets.torch_export import export_torch, load_predictor

        system, predictor = load_predictor(what, options.system)
        print(*export_torch(predictor, system, options.to, name), sep="\n")


def shipped_files():
    """Model files of the models that are part of the package, by name."""
    return {path.stem: path for path in sorted(ZOO.glob("*.h5"))}


if __name__ == "__main__":
    main()
