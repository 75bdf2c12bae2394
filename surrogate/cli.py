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
#: commands with a parser of their own, and what they do
HELP = {
    "demo": "advance cells and show the result",
    "labels": "solve sampled cells, for training",
    "train": "train a surrogate from labels",
    "calibrate": "decide from held-out labels what a model may be trusted with",
    "evaluate": "errors, acceptance and coverage of a model on test labels, with plots",
    "export": "generate and compile the model library of a system",
}


def main(argv=None):
    """Run one subcommand and return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = make_parser()
    if not arguments:
        parser.print_help()
        return 0
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in HELP:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return options.run(options, rest) or 0
    except ModuleNotFoundError as error:
        extra = "mpi" if error.name == "mpi4py" else "demo" if options.command == "demo" else "training"
        needs = f"needs what is not installed here ({error.name}): pip install 'stiff-surrogate[{extra}]'"
        if {"-h", "--help"} & set(rest):
            print(f"surrogate {options.command}: {HELP[options.command]}. It {needs}, and then shows its options")
            return 0
        say(f"`{options.command}` {needs}")
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stdout = None
    except RuntimeError as error:  # a compiler's, whose first line says it all
        say(str(error).split("\n")[0])
    except (ModelError, ValueError, TypeError, MemoryError) as error:
        say(error)
    except OSError as error:
        say(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else error)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 1


def say(text):
    """One line on the error stream, however many the text has."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    print(f"surrogate: {' '.join(lines)}", file=sys.stderr)


def make_parser():
    """Build the parser; `options.run` is the chosen subcommand."""
    parser = argparse.ArgumentParser(prog="surrogate", description="Stiff thermo-chemistry of many cells.")
    parser.add_argument("--version", action="version", version=f"surrogate {version('stiff-surrogate')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

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

    for name, text in HELP.items():
        command = commands.add_parser(name, help=text, add_help=False)
        command.set_defaults(run=partial(hand_over, name))
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
            print(
                f"  {population:<10} net's error {10 ** result['log10_error'][0]:.1e} (50 %), "
                f"{10 ** result['log10_error'][3]:.1e} (99 %); accepted at rtol: {shares}"
            )


def print_info(options, _rest):
    """Print all that is known about one model."""
    model = load(options.model)
    for title, fields in (("variable", model.variables), ("parameter", model.parameters)):
        if fields:
            print(f"{title:<12} {'unit':<16} {'lower':>10} {'upper':>10} {'value':>10}")
        for f in fields:
            value = "" if f.value is None else f"{f.value:.3g}"
            print(f"{f.name:<12} {f.unit:<16} {f.lower:>10.3g} {f.upper:>10.3g} {value:>10}")
    print(f"time step [s] {model.dt_range[0]:.3g} .. {model.dt_range[1]:.3g}")
    print(f"self-test error {model.selftest():.2g}")
    for key, value in model.info.items():
        if key not in ("variables", "parameters"):  # above
            print("\n".join(table_of(key, value)))


def table_of(key, value):
    """Lines that show a piece of information: a word, a list, or a table of what belongs together."""
    if isinstance(value, dict) and value and all(isinstance(row, dict) for row in value.values()):
        rows = {
            name: {k: cell for k, cell in row.items() if not isinstance(cell, dict)}
            | {f"{k} {j}": x for k, cell in row.items() if isinstance(cell, dict) for j, x in cell.items()}
            for name, row in value.items()
        }
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        cells = [[key, *names], *([name, *(text_of(row.get(k, "")) for k in names)] for name, row in rows.items())]
        widths = [max(map(len, column)) for column in zip(*cells)]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    if isinstance(value, dict):
        return [f"{key}: " + ", ".join(f"{k} {text_of(x)}" for k, x in value.items())]
    if isinstance(value, list) and len(value) > 1:
        return [f"{key}:", *(f"  {text_of(x)}" for x in value)]
    return [f"{key}: {text_of(value)}"]


def text_of(value):
    """Numbers short, lists without brackets."""
    if isinstance(value, list):
        return " ".join(map(text_of, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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


def hand_over(name, _options, rest):
    """Run the module of that name, which needs the extra ``training``, or the demo."""
    module = "surrogate.demo" if name == "demo" else f"surrogate.training.commands.{name}"
    return importlib.import_module(module).main(rest)
