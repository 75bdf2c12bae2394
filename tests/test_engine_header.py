"""One contract, several languages: header, Fortran module, library and package say the same."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from surrogate._engine import ffi, lib

import surrogate
from surrogate import codes

BINDINGS = Path(__file__).resolve().parent.parent / "bindings"
HEADER = (BINDINGS / "include" / "surrogate.h").read_text()
FORTRAN = (BINDINGS / "fortran" / "surrogate.f90").read_text()
BALANCE_HEADER = (BINDINGS / "include" / "surrogate_balance.h").read_text()
MPI_HEADER = (BINDINGS / "include" / "surrogate_mpi.h").read_text()
MPI_FORTRAN = (BINDINGS / "fortran" / "surrogate_mpi.f90").read_text()


def test_versions_agree():
    text = ffi.new("char[32]")
    assert lib.surr_version(text, 32) == 0
    assert ffi.string(text).decode() == surrogate.__version__
    assert lib.surr_abi_check(lib.SURR_ABI_MAJOR, lib.SURR_ABI_MINOR) == 0


def generator():
    """bindings/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", BINDINGS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_generated_is_up_to_date():
    for path, text in generator().outputs().items():
        assert path.read_text() == text, f"{path.name} is not what bindings/generate.py writes: make generate"


def test_codes_are_the_same_in_all_languages():
    """The table, as C compiles it, as Python and as Fortran see it."""
    rows = {name: value for kind in generator().codes().values() for name, (value, *_) in kind.items()}
    assert len(rows) > 60 and all(getattr(lib, name) == value for name, value in rows.items())
    in_fortran = {name: int(value) for name, value in re.findall(r"\b(SURR_[A-Z0-9_]+) = (-?\d+)", FORTRAN)}
    assert in_fortran == rows | {name: getattr(lib, name) for name in ("SURR_ABI_MAJOR", "SURR_ABI_MINOR")}
    for prefix, kind in (("SURR_CELL_", codes.Status), ("SURR_", codes.ReturnCode), ("SURR_Q_", codes.Quantity)):
        assert all(rows[prefix + member.name] == member for member in kind)
    for status, words in codes.STATUS_WORDS.items():
        text = ffi.new("char[32]")
        assert lib.surr_status_name(status, text, 32) == 0 and ffi.string(text).decode() == words


def c_functions(header):
    """Arguments by name of the function."""
    return dict(re.findall(r"SURR_API int32_t (surr_\w+)\((.*?)\);", header, re.S))


def fortran_functions(source):
    """Arguments and body by name of the function."""
    pattern = r"function (surr_\w+)\(([^)]*)\)[ &\n]*bind\(c\) result\(code\)(.*?)end function"
    return {name: (arguments, body) for name, arguments, body in re.findall(pattern, source, re.S)}


C_FUNCTIONS, MPI_FUNCTIONS = c_functions(HEADER), c_functions(MPI_HEADER)

# What a C argument may be in Fortran; where C allows NULL, a type(c_ptr) by value.
POINTER = {"type(c_ptr), value"}
SAME_IN_FORTRAN = {
    "int32_t": {"integer(c_int32_t), value"},
    "int64_t": {"integer(c_int64_t), value"},
    "double": {"real(c_double), value"},
    "const char *": {"character(kind=c_char), intent(in)"},
    "char *": {"character(kind=c_char), intent(out)"} | POINTER,
    "const double *": {"real(c_double), intent(in)"} | POINTER,
    "double *": {"real(c_double), intent(out)", "real(c_double), intent(inout)"} | POINTER,
    "int32_t *": {"integer(c_int32_t), intent(out)"},
    "int64_t *": {"integer(c_int64_t), intent(out)"} | POINTER,
    "const int64_t *": {"integer(c_int64_t), intent(in)"},
    "uint8_t *": POINTER,
    "void *": POINTER,
    "const void *": POINTER,
    "void *const *": {"type(c_ptr), intent(in)"},
    "handle": POINTER,
    "handle out": {"type(c_ptr), intent(out)"},
    "function": {"type(c_funptr), value"},
}


def c_arguments(text):
    """Types of the arguments of a C declaration, as keys of SAME_IN_FORTRAN."""
    text = re.sub(r"[\w ]*\**\(\*\w+\)\([^()]*\)", "function pointer", " ".join(text.split()))
    text = text.replace("const struct surr_model_desc *function", "function")
    types = [re.sub(r"\w+$", "", argument.strip()).strip() for argument in text.split(",")]
    return [re.sub(r"^(const )?surr_\w+ \*(\*?)$", lambda m: "handle out" if m[2] else "handle", t) for t in types]


def fortran_arguments(arguments, body):
    """Declarations of the arguments of a Fortran function, in order."""
    declared = {}
    for what, names in re.findall(r"^ *(\w.*?) :: (.*)$", body, re.M):
        declared |= {re.sub(r"\(\*\)", "", name).strip(): what for name in names.split(", ")}
    return [declared[name.strip()] for name in arguments.replace("&", "").split(",")]


@pytest.mark.parametrize("in_c, source, n_least", [(C_FUNCTIONS, FORTRAN, 30), (MPI_FUNCTIONS, MPI_FORTRAN, 5)])
def test_fortran_functions_are_those_of_the_header(in_c, source, n_least):
    """Same names, and every argument of the same type, passed in the same way."""
    in_fortran = fortran_functions(source)
    assert len(in_c) > n_least
    assert set(in_fortran) == set(in_c)
    for name, text in in_c.items():
        ours, theirs = fortran_arguments(*in_fortran[name]), c_arguments(text)
        assert len(ours) == len(theirs), name
        for position, (here, there) in enumerate(zip(ours, theirs)):
            assert here in SAME_IN_FORTRAN[there], f"argument {position} of {name}: {there} in C, {here} in Fortran"


def test_every_function_is_called_from_both_languages():
    """What is not called is not tested."""
    tests = BINDINGS.parent / "tests"
    in_c = "".join(path.read_text() for path in (tests / "c").glob("*.[ch]"))
    in_fortran = "".join(path.read_text() for path in (tests / "fortran").glob("*.f90"))
    in_fortran += FORTRAN[FORTRAN.index("\ncontains") :]
    for name in C_FUNCTIONS | MPI_FUNCTIONS:
        assert f"{name}(" in in_c and f"{name}(" in in_fortran, name


def test_every_return_code_is_reached():
    """Some test in C expects each code."""
    in_c = "".join(path.read_text() for path in (BINDINGS.parent / "tests" / "c").glob("*.c"))
    for code in (name for name in generator().codes()["SURR_RETURN_CODE"] if name.startswith("SURR_E_")):
        assert re.search(rf"[,=?] {code}\b", in_c), code


@pytest.mark.parametrize("language", ["c -std=c99", "c -std=c11", "c++ -std=c++11", "c++ -std=c++17"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_header_is_clean(compiler, language, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    kind, standard = language.split()
    source = tmp_path / "host.txt"
    source.write_text(
        "".join(f'#include "{name}"\n' * 2 for name in ("surrogate.h", "surrogate_balance.h", "surrogate_mpi.h"))
        + "int main(void) { return surr_abi_check(1, 0); }\n"
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
    assert exported == set(c_functions(HEADER + BALANCE_HEADER))
