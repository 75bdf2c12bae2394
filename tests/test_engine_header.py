"""One contract, several languages: header, Fortran module, library and package say the same."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from surrogate._engine import ffi, lib

import surrogate

BINDINGS = Path(__file__).resolve().parent.parent / "bindings"
HEADER = (BINDINGS / "include" / "surrogate.h").read_text()
FORTRAN = (BINDINGS / "fortran" / "surrogate.f90").read_text()


def test_versions_agree():
    text = ffi.new("char[32]")
    assert lib.surr_version(text, 32) == 0
    assert ffi.string(text).decode() == surrogate.__version__
    assert lib.surr_abi_check(lib.SURR_ABI_MAJOR, lib.SURR_ABI_MINOR) == 0


def test_fortran_constants_are_those_of_the_header():
    in_header = dict(re.findall(r"\b(SURR_[A-Z0-9_]+) = (-?\d+)", HEADER))
    in_fortran = dict(re.findall(r"\b(SURR_[A-Z0-9_]+) = (-?\d+)", FORTRAN))
    assert len(in_header) > 40
    assert in_fortran == in_header


def test_fortran_functions_are_those_of_the_header():
    """Same names, and the same number of arguments."""
    declared = {
        name: len(split_arguments(arguments))
        for name, arguments in re.findall(r"SURR_API int32_t (surr_\w+)\((.*?)\);", HEADER, re.S)
    }
    bound = {
        name: arguments.count(",") + 1
        for name, arguments in re.findall(r"function (surr_\w+)\(([^)]*)\)[ &\n]*bind\(c\)", FORTRAN)
    }
    assert len(declared) > 20
    assert bound == declared


def split_arguments(text):
    """Split at commas outside parentheses."""
    return re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", text)).split(",")


@pytest.mark.parametrize("language", ["c -std=c99", "c -std=c11", "c++ -std=c++11", "c++ -std=c++17"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_header_is_clean(compiler, language, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    kind, standard = language.split()
    source = tmp_path / "host.txt"
    source.write_text(
        '#include "surrogate.h"\n#include "surrogate.h"\nint main(void) { return surr_abi_check(1, 0); }\n'
    )
    command = [
        compiler,
        "-x",
        kind,
        standard,
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "-fsyntax-only",
        f"-I{BINDINGS / 'include'}",
        source,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if kind == "c++" and "cc1plus" in done.stderr:
        pytest.skip(f"{compiler} has no C++ here")
    assert done.returncode == 0, done.stderr


def test_library_exports_the_header_and_nothing_else():
    nm = shutil.which("nm")
    if not nm:
        pytest.skip("nm is not installed")
    from surrogate.model import ENGINE_DIR

    listing = subprocess.run(
        [nm, "-D", "--defined-only", ENGINE_DIR / "libsurrogate.so"], capture_output=True, text=True, check=True
    ).stdout
    exported = {line.split()[-1] for line in listing.splitlines()}
    assert exported == set(re.findall(r"SURR_API int32_t (surr_\w+)\(", HEADER))
