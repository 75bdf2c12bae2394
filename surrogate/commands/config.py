"""``surrogate config``: flags and files for building a host code."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from surrogate import _engine
from surrogate.model import ENGINE_DIR

PACKAGE_DIR = Path(_engine.__file__).parent
#: option -> what it prints
HELP = {
    "cflags": "compiler flags",
    "libs": "linker flags",
    "static-libs": "linker flags for the static archive",
    "fortran-source": "path of the Fortran module",
    "krome-source": "path of the KROME shim",
    "mpi-source": "path of libsurrogate_mpi's one C file",
    "fortran-mpi-source": "path of its Fortran module",
    "cmake-dir": "directory for CMAKE_PREFIX_PATH or surrogate_DIR",
    "pkgconfig-dir": "directory for PKG_CONFIG_PATH",
    "models-dir": "directory of the models, for SURROGATE_MODEL_PATH",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Print what a host code is built with, on one line each: words of a command line, or bare directories."""
    parser = argparse.ArgumentParser(prog="surrogate config", description=main.__doc__)
    for name, text in HELP.items():
        parser.add_argument(f"--{name}", dest="wanted", action="append_const", const=name, default=[], help=text)
    wanted = parser.parse_args(argv).wanted
    if not wanted:
        parser.error("say what you want: " + ", ".join(f"--{name}" for name in HELP))
    lines = _flags() | _directories()
    print(*(lines[name] for name in HELP if name in wanted), sep="\n")


def _flags():
    rpath = [f"-Wl,-rpath,{ENGINE_DIR}"]
    if "," in str(ENGINE_DIR):  # at which -Wl splits
        rpath = ["-Xlinker", "-rpath", "-Xlinker", ENGINE_DIR]
    words = {
        "cflags": [f"-I{PACKAGE_DIR / 'include'}"],
        "libs": [f"-L{ENGINE_DIR}", *rpath, "-lsurrogate"],
        "static-libs": [ENGINE_DIR / "libsurrogate.a", "-lpthread", "-ldl", "-lm"],
        "fortran-source": [PACKAGE_DIR / "fortran" / "surrogate.f90"],
        "krome-source": [PACKAGE_DIR / "fortran" / "krome_shim.f90"],
        "mpi-source": [PACKAGE_DIR / "mpi_source" / "surrogate_mpi.c"],
        "fortran-mpi-source": [PACKAGE_DIR / "fortran" / "surrogate_mpi.f90"],
    }
    return {name: shlex.join(map(str, value)) for name, value in words.items()}


def _directories():
    return {
        "cmake-dir": ENGINE_DIR / "cmake" / "surrogate",
        "pkgconfig-dir": ENGINE_DIR / "pkgconfig",
        "models-dir": ENGINE_DIR / "models",
    }
