"""The command line: ``surrogate`` or ``python -m surrogate``. One table of commands, one line for every error."""

import argparse
import importlib
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

from surrogate.errors import SurrogateError


class Command(NamedTuple):
    """A command: the module whose ``main(argv)`` it is, imported when it is called, and the extra that brings it."""

    module: str
    help: str
    extra: str = ""


COMMANDS = {
    "models": Command("surrogate.commands.models", "list the models that can be loaded by name"),
    "info": Command("surrogate.commands.info", "variables, parameters, ranges and provenance of a model"),
    "config": Command("surrogate.commands.config", "flags and files for building a host code"),
    "demo": Command("surrogate.demo", "advance cells and show the result", "demo"),
    "import": Command(
        "surrogate.training.commands.import_network",
        "make a system of a network that you have: Cantera, KROME, ...",
        "training",
    ),
    "labels": Command("surrogate.training.commands.labels", "solve sampled cells, for training", "training"),
    "train": Command("surrogate.training.commands.train", "train a surrogate from labels", "training"),
    "calibrate": Command(
        "surrogate.training.commands.calibrate",
        "decide from held-out labels what a model may be trusted with",
        "training",
    ),
    "adapt": Command(
        "surrogate.training.commands.adapt", "train a model further on cells harvested in a run of your own", "training"
    ),
    "evaluate": Command(
        "surrogate.training.commands.evaluate",
        "errors, acceptance and coverage of a model on test labels, with plots",
        "training",
    ),
    "export": Command(
        "surrogate.training.commands.export", "generate and compile the model library of a system", "training"
    ),
}
#: what the extras bring, by the names under which it is imported; all else that is missing is the user's own
EXTRAS = {"torch", "sympy", "scipy", "yaml", "h5py", "numba", "tqdm", "matplotlib"}
#: packages that an extra of their own brings, whatever the command
OWN_EXTRAS = {"mpi4py": "mpi", "cantera": "cantera", "pynucastro": "nuclear"}
#: errors whose text says all that the user needs
PLAIN = (SurrogateError, ValueError, TypeError, MemoryError, ImportError, ArithmeticError, SyntaxError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status. Whatever goes wrong is one line on the error stream."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or arguments[0] not in COMMANDS:
        parser = make_parser()
        if arguments:
            parser.parse_args(arguments)
        parser.print_help()
        return 0
    name, *rest = arguments
    try:
        return importlib.import_module(COMMANDS[name].module).main(rest) or 0
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stdout = None
    except Exception as error:
        if os.environ.get("SURROGATE_TRACEBACK"):
            raise
        if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in {*EXTRAS, *OWN_EXTRAS}:
            return say_what_is_missing(name, str(error.name), bool({"-h", "--help"} & {*rest}))
        say(text_of(error))
    return 1


def make_parser() -> argparse.ArgumentParser:
    """The parser of what is no command: it knows their names, and shows what they do."""
    parser = argparse.ArgumentParser(
        prog="surrogate",
        description="Stiff thermo-chemistry of many cells.",
        epilog="`surrogate COMMAND --help` shows the options of a command. With SURROGATE_TRACEBACK=1 set, an error is "
        "shown with the place where it was raised.",
    )
    parser.add_argument("--version", action="version", version=f"surrogate {version('stiff-surrogate')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.help)
    return parser


def say_what_is_missing(name: str, package: str, is_help: bool) -> int:
    """Which extra brings a package that is not installed here. Asked for help, that is all there is to show."""
    command = COMMANDS[name]
    extra = OWN_EXTRAS.get(package.split(".")[0], command.extra)
    needs = f"needs what is not installed here ({package}): pip install 'stiff-surrogate[{extra}]'"
    if is_help:
        print(f"surrogate {name}: {command.help}. It {needs}, and then shows its options")
        return 0
    say(f"`{name}` {needs}")
    return 1


def text_of(error: Exception) -> str:
    """What a user needs to know of an error."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, subprocess.CalledProcessError):
        command = error.cmd if isinstance(error.cmd, str) else str(error.cmd[0])
        return f"{command} failed: exit status {error.returncode}"
    text = str(error).strip()
    if isinstance(error, RuntimeError) and text:  # a compiler's, or PyTorch's, whose first line says it all
        return text.split("\n")[0]
    if isinstance(error, (*PLAIN, OSError)) and text:
        return text
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__} in {place.filename}:{place.lineno}: {text}. "
        "Set SURROGATE_TRACEBACK=1 to see how it came about"
    )


def say(text: object) -> None:
    """One line on the error stream, however many the text has."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    print(f"surrogate: {' '.join(lines)}", file=sys.stderr)
