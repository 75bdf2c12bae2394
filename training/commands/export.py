"""``surrogate export``. CMake runs it for the models of the package: without PyTorch, before the package is there."""

import argparse
import shlex
import sys
from collections.abc import Sequence

from ..codegen.library import export_model
from ..nets.checks import check_decision
from ..nets.model_file import shipped_files
from ..nets.net_data import ACCEPTS_NOTHING, NetData, accepts_nothing
from ..systems import SYSTEM_HELP, SYSTEM_OPTION, get_system, system_of


def main(arguments: Sequence[str] | None = None) -> None:
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
    parser.add_argument("--kind", metavar="MODULE:NAME", help="your own architecture, if a model file names one")
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

        system, predictor = load_predictor(what, options.system, options.kind)
        print(*export_torch(predictor, system, options.to, name), sep="\n")
