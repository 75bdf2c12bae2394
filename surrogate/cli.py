"""The command line: ``surrogate`` or ``python -m surrogate``."""

import argparse
import importlib
import shlex
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

from surrogate import _engine
from surrogate.errors import ModelError
from surrogate.model import ENGINE_DIR, load, models

PACKAGE_DIR = Path(_engine.__file__).parent


def main(argv=None):
    """Run one subcommand and return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = make_parser()
    options, rest = parser.parse_known_args(arguments)
    if not options.command:
        return parser.print_help()
    if rest and options.command not in ("demo", "labels", "train", "calibrate", "evaluate", "export"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return options.run(options, rest) or 0
    except (ModelError, ValueError) as error:
        print(f"surrogate: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        extra = "demo" if options.command == "demo" else "training"
        why = f"`surrogate {options.command}` needs {error.name}, which is not installed"
        advice = f"pip install 'stiff-surrogate[{extra}]'"
        if {"-h", "--help"} & set(rest):
            print(f"usage: surrogate {options.command} [-h] ...\n\n{options.text}\n\n{why}; its options are listed after:\n"
                  f"    {advice}")  # fmt: skip
            return 0
        print(f"surrogate: {why}: {advice}", file=sys.stderr)
    return 1


def make_parser():
    """Build the parser; `options.run` is the chosen subcommand."""
    parser = argparse.ArgumentParser(prog="surrogate", description="Stiff thermo-chemistry of many cells.")
    parser.add_argument("--version", action="version", version=f"surrogate {version('stiff-surrogate')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    command = commands.add_parser("models", help="list the models that can be loaded by name")
    command.set_defaults(run=list_models)

    command = commands.add_parser("info", help="variables, parameters, ranges and provenance of a model")
    command.add_argument("model", help="name of a model, or path of a model library")
    command.set_defaults(run=print_info)

    command = commands.add_parser("config", help="flags and files for building a host code")
    command.add_argument("--cflags", action="store_true", help="compiler flags")
    command.add_argument("--libs", action="store_true", help="linker flags")
    command.add_argument("--static-libs", action="store_true", help="linker flags for the static archive")
    command.add_argument("--fortran-source", action="store_true", help="path of the Fortran module")
    command.add_argument("--krome-source", action="store_true", help="path of the KROME shim")
    command.add_argument("--mpi-source", action="store_true", help="path of libsurrogate_mpi's one C file")
    command.add_argument("--fortran-mpi-source", action="store_true", help="path of its Fortran module")
    command.add_argument("--cmake-dir", action="store_true", help="directory for CMAKE_PREFIX_PATH or surrogate_DIR")
    command.add_argument("--pkgconfig-dir", action="store_true", help="directory for PKG_CONFIG_PATH")
    command.add_argument("--models-dir", action="store_true", help="directory of the models, for SURROGATE_MODEL_PATH")
    command.set_defaults(run=print_config, parser=command)

    extra = {"demo": run_demo, "labels": run_labels, "export": run_export}
    for name, text in (
        ("demo", "advance cells and show the result"),
        ("labels", "solve sampled cells, for training"),
        ("train", "train a surrogate from labels"),
        ("calibrate", "decide from held-out labels what a model may be trusted with"),
        ("evaluate", "errors, acceptance and coverage of a model on test labels, with plots"),
        ("export", "generate and compile the model library of a system"),
    ):
        command = commands.add_parser(name, help=text, add_help=False)
        command.set_defaults(run=extra.get(name) or partial(run_training, name), text=text)
    return parser


def list_models(_options, _rest):
    """Print one line per model, and one per population of cells for which its net has answered."""
    found = models()
    if not found:
        print("no models found; make one with `surrogate export`")
    for name, model in found.items():
        lower, upper = model.dt_range
        variables = " ".join(v.name for v in model.variables)
        print(f"{name:<22} {len(model.variables):>2} variables ({variables}), dt {lower:.3g}..{upper:.3g} s")
        for population, result in model.info.get("held_out", {}).items():
            shares = ", ".join(f"{100 * share:.0f} % at {r}" for r, share in result["accepted"].items())
            print(f"  {population:<10} net's error {10 ** result['log10_error'][0]:.1e} (50 %), "
                  f"{10 ** result['log10_error'][3]:.1e} (99 %); accepted at rtol: {shares}")  # fmt: skip


def print_info(options, _rest):
    """Print all that is known about one model."""
    model = load(options.model)
    info = dict(model.info)
    print(f"{model!r}\n")
    for title, fields in (("variable", model.variables), ("parameter", model.parameters)):
        rows = [[f.name, f.unit, *("" if x is None else f"{x:.3g}" for x in (f.lower, f.upper, f.value))] for f in fields]
        print_table([title, "unit", "lower", "upper", "value"], rows, n_left=2)
        info.pop(f"{title}s", None)
    held_out = info.pop("held_out", {})
    rtols = list(next(iter(held_out.values()))["accepted"]) if held_out else []
    rows = [[name, f"{100 * of['cheap']:.1f} %", *(f"{100 * of['accepted'][r]:.1f} %" for r in rtols),
             *(f"{10**x:.1e}" for x in of["log10_error"])] for name, of in held_out.items()]  # fmt: skip
    print_table(["held-out cells", "quick", *(f"net at {r}" for r in rtols),
                 *(f"error {q}" for q in ("50 %", "75 %", "90 %", "99 %", "99.9 %")), "largest"], rows)  # fmt: skip
    print(f"time step [s]: {model.dt_range[0]:.3g} .. {model.dt_range[1]:.3g}")
    print(f"self-test error: {model.selftest():.2g}")
    for key, value in info.items():
        if isinstance(value, dict):
            value = [f"{k} {'x'.join(map(str, v)) if isinstance(v, list) else v}" for k, v in value.items()]
        print(f"{key}:{_listed(value) if isinstance(value, list) else f' {value}'}")


def _listed(words):
    """A few in one line, many on one each."""
    return "".join(f"\n  {word}" for word in words) if len(words) > 5 else " " + "; ".join(words)


def print_table(head, rows, n_left=1):
    """Print rows of words in columns as wide as they need, the first `n_left` of them flush left; nothing if no rows."""
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    for row in (head, *rows):
        print("  ".join(f"{x:<{w}}" if k < n_left else f"{x:>{w}}" for k, (x, w) in enumerate(zip(row, widths))).rstrip())
    print()


def print_config(options, _rest):
    """Print what was asked for, on one line each: flags and sources as words of a command line, directories bare."""
    rpath = [f"-Wl,-rpath,{ENGINE_DIR}"]
    if "," in str(ENGINE_DIR):  # at which -Wl splits
        rpath = ["-Xlinker", "-rpath", "-Xlinker", ENGINE_DIR]
    words = {
        "cflags": [f"-I{PACKAGE_DIR / 'include'}"],
        "libs": [f"-L{ENGINE_DIR}", *rpath, "-lsurrogate"],
        "static_libs": [ENGINE_DIR / "libsurrogate.a", "-lpthread", "-ldl", "-lm"],
        "fortran_source": [PACKAGE_DIR / "fortran" / "surrogate.f90"],
        "krome_source": [PACKAGE_DIR / "fortran" / "krome_shim.f90"],
        "mpi_source": [PACKAGE_DIR / "mpi_source" / "surrogate_mpi.c"],
        "fortran_mpi_source": [PACKAGE_DIR / "fortran" / "surrogate_mpi.f90"],
    }
    directories = {
        "cmake_dir": ENGINE_DIR / "cmake" / "surrogate",
        "pkgconfig_dir": ENGINE_DIR / "pkgconfig",
        "models_dir": ENGINE_DIR / "models",
    }
    lines = {key: shlex.join(map(str, value)) for key, value in words.items()} | directories
    wanted = [line for key, line in lines.items() if getattr(options, key)]
    if not wanted:
        options.parser.error("say what you want: " + ", ".join(f"--{key.replace('_', '-')}" for key in lines))
    print(*wanted, sep="\n")


def run_demo(_options, rest):
    """Hand over to the demo."""
    from surrogate import demo

    return demo.main(rest)


def run_labels(_options, rest):
    """Hand over to the label maker, which needs the extra ``training``."""
    from surrogate.training import labels

    return labels.main(rest)


def run_training(name, _options, rest):
    """Hand over to the module of that name, which needs the extra ``training``."""
    return importlib.import_module(f"surrogate.training.{name}").main(rest)


def run_export(_options, rest):
    """Hand over to the code generator, which needs the extra ``training``."""
    from surrogate.training import export

    return export.main(rest)
