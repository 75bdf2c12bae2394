"""The walls between the rooms of bindings/: what may include what, and which file may call which."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

BINDINGS = Path(__file__).resolve().parent.parent / "bindings"
KERNEL, ENGINE = BINDINGS / "kernel", BINDINGS / "engine"
FLAGS = [
    "-std=c11",
    "-D_POSIX_C_SOURCE=200809L",
    '-DSURR_VERSION="0"',
    "-DSURR_API=",
    "-I",
    BINDINGS / "include",
    "-I",
    KERNEL,
]


def included(path):
    """Names in quotes that a file includes."""
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.M)


def find_circle(edges):
    """A path that comes back to where it began, or None; `edges` is a dict of sets."""

    def search(node, path):
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        for other in sorted(edges.get(node, ())):
            if circle := search(other, [*path, node]):
                return circle
        done.add(node)
        return None

    done = set()
    return next(filter(None, (search(node, []) for node in sorted(edges))), None)


def test_circles_are_found():
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}}) is None


def test_the_kernel_knows_nothing_of_the_engine():
    """Generated headers (mechanism.h, net.h) aside, it includes files of its own room alone."""
    own = {path.name for path in KERNEL.iterdir()} | {"mechanism.h", "net.h"}
    for path in KERNEL.iterdir():
        assert set(included(path)) <= own, path.name


def test_the_engine_knows_the_model_abi_alone():
    """Of the kernel; and no file of it sees more than small headers of one purpose."""
    public = {path.name for path in (BINDINGS / "include").iterdir()}
    own = {path.name for path in ENGINE.iterdir()} | public | {"model_abi.h"}
    for path in ENGINE.iterdir():
        assert set(included(path)) <= own, path.name
        assert path.suffix != ".h" or len(path.read_text().splitlines()) < 100, path.name


@pytest.mark.parametrize("room", [KERNEL, ENGINE])
def test_headers_include_each_other_in_one_direction(room):
    assert find_circle({path.name: set(included(path)) for path in room.glob("*.h")}) is None


def test_files_of_the_engine_call_each_other_in_one_direction(cc, tmp_path):
    """By the symbols that each object file defines and needs."""
    if not shutil.which("nm"):
        pytest.skip("nm is not installed")
    home, needs = {}, {}
    for source in ENGINE.glob("*.c"):
        target = tmp_path / f"{source.stem}.o"
        subprocess.run([cc, *FLAGS, "-c", source, "-o", target], check=True)
        lines = subprocess.run(["nm", target], capture_output=True, text=True, check=True).stdout.splitlines()
        symbols = [line.split()[-2:] for line in lines]
        home |= {name: source.stem for kind, name in symbols if kind in "TDBRV"}
        needs[source.stem] = {name for kind, name in symbols if kind == "U"}
    edges = {file: {home[name] for name in names if name in home} - {file} for file, names in needs.items()}
    assert len(edges) > 15 and sum(map(len, edges.values())) > 30
    assert find_circle(edges) is None


def test_only_the_transports_know_mpi():
    """In C and in Python: one file each."""
    code = [p for p in BINDINGS.rglob("*.[ch]") if "examples" not in p.parts]
    assert [p.name for p in code if re.search(r"#include <mpi\.h>", p.read_text())] == ["surrogate_mpi.c"]
    python = (BINDINGS.parent / "surrogate").rglob("*.py")
    users = [p.name for p in python if re.search(r"^\s*(from|import) mpi4py", p.read_text(), re.M)]
    assert sorted(users) == ["mpi.py", "transport.py"]


def test_codes_of_the_table_stand_nowhere_else_as_numbers():
    """Outside of the table and what is generated from it, C and Python name them."""
    pattern = re.compile(
        r"\b(?:status|state|outcome|code)\b[^\n;=]*(?:==|!=|<=|>=|(?<!<)< |(?<!>)> ) *(?:3[2-6]|-1[0-3])\b"
    )
    allowed = {"codes.py", "surrogate_codes.def"}
    root = BINDINGS.parent
    places = [
        *ENGINE.glob("*.[ch]"),
        *(root / "surrogate").rglob("*.py"),
        *(root / "tests").glob("*.py"),
        *(root / "tests" / "c").glob("*.c"),
        *(root / "benchmarks").glob("*.py"),
    ]
    found = [
        f"{os.path.relpath(p, root)}: {line.strip()}"
        for p in places
        if p.name not in allowed
        for line in p.read_text().splitlines()
        if pattern.search(line.split("#")[0] if p.suffix == ".py" else line)
    ]
    assert not found, "\n".join(found)
