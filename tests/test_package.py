"""The package as its users' tools see it: errors, types, what is imported when, and names that have moved."""

import ast
import importlib
import inspect
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from surrogate._engine import lib

import surrogate
from surrogate import Status, cli, errors

PACKAGE = ROOT / "surrogate"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def modules_loaded_by(statement):
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_run_time_needs_numpy_and_cffi_alone():
    assert {"numpy", "surrogate"} < (loaded := modules_loaded_by("import surrogate"))
    assert not loaded & (cli.EXTRAS | {"argparse", "subprocess"})


def test_the_initial_gas_needs_no_pictures_and_no_command_line():
    loaded = modules_loaded_by("from surrogate.demo import make_gas")
    assert not loaded & (cli.EXTRAS | {"argparse", "subprocess"})


# ---- circles ---------------------------------------------------------------------------------------------------------


def imports_of(path):
    """Modules of this package that a file imports, in functions, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "") in MODULES:
            parts = [f"{node.module}.{alias.name}" for alias in node.names if alias.name != "_engine"]
            yield from (part if part in MODULES else node.module for part in parts)


def circle_from(start, graph):
    """A way from a module back to itself, or None."""
    ways = [[start]]
    seen = set()
    while ways:
        way = ways.pop()
        for name in graph[way[-1]]:
            if name == start:
                return [*way, name]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return None


def test_no_import_goes_in_a_circle():
    graph = {name: {*imports_of(path)} - {name} for name, path in MODULES.items()}
    assert graph["surrogate.one_line"] and graph["surrogate.demo.run"]
    circles = [circle for name in graph if (circle := circle_from(name, graph))]
    assert not circles, " -> ".join(circles[0])


# ---- errors ----------------------------------------------------------------------------------------------------------


def test_errors_have_one_base():
    kinds = (surrogate.ModelError, surrogate.CellsError, surrogate.RanksError)
    assert all(issubclass(kind, surrogate.SurrogateError) for kind in kinds)
    assert not any(issubclass(a, b) for a in kinds for b in kinds if a is not b)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ARG", ValueError),
        ("FIELD", ValueError),
        ("UNITS", ValueError),
        ("NOMEM", MemoryError),
        ("MPI", surrogate.RanksError),
        ("FORMAT", surrogate.ModelError),
    ],
)
def test_codes_of_the_engine_become_exceptions(code, kind):
    with pytest.raises(kind) as caught:
        errors.check(getattr(lib, f"SURR_E_{code}"))
    assert type(caught.value) is kind


def test_errors_travel_between_processes():
    error = surrogate.CellsError("3 of 4 cells", np.array([33, 34, 33, 4], dtype=np.int8))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and again.status.tolist() == [
        Status.BAD_INPUT,
        Status.FAILED,
        Status.BAD_INPUT,
        Status.SOLVER,
    ]


# ---- types -----------------------------------------------------------------------------------------------------------


def public_functions():
    for name in surrogate.__all__:
        thing = getattr(surrogate, name)
        if inspect.isclass(thing):
            members = inspect.getmembers(thing, inspect.isfunction)
            yield from ((f"{name}.{m}", f) for m, f in members if not m.startswith("_"))
        else:
            yield name, thing


#: mpi4py and PyTorch are not imported for the sake of their types
UNTYPED = {"comm", "device"}


@pytest.mark.parametrize(("name", "function"), [*public_functions()])
def test_public_functions_say_their_types(name, function):
    signature = inspect.signature(function)
    bare = {p.name for p in signature.parameters.values() if p.annotation is p.empty} - {"self"} - UNTYPED
    assert not bare
    assert signature.return_annotation is not signature.empty or name == "Model.torch"


def test_type_checkers_are_told():
    assert (PACKAGE / "py.typed").exists()


# ---- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_module(name):
    command = cli.COMMANDS[name]
    if command.extra == "training":
        pytest.importorskip("torch", reason="training needs PyTorch: pip install 'stiff-surrogate[training]'")
    assert callable(importlib.import_module(command.module).main)
    assert (
        command.help
        in subprocess.run(
            [sys.executable, "-m", "surrogate"], capture_output=True, text=True, env={"COLUMNS": "300"}
        ).stdout
    )


def test_packages_of_the_extras_are_known():
    """The command line tells what an extra brings from what a user's own code lacks."""
    text = (ROOT / "pyproject.toml").read_text()
    named = set()
    for extra in {command.extra for command in cli.COMMANDS.values()} - {""} | {*cli.OWN_EXTRAS.values()}:
        block = re.search(rf"^{extra} = \[\n(.*?)^\]", text, re.S | re.M)[1]
        named |= {re.match(r"[a-zA-Z0-9]+", line.strip(' "'))[0] for line in block.splitlines()}
    assert {"yaml" if name == "pyyaml" else name for name in named} - {"openmpi"} == cli.EXTRAS | {*cli.OWN_EXTRAS}


# ---- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")], ids=lambda page: f"{page.relative_to(ROOT)}"
)
def test_links_lead_somewhere(page):
    """To files that are there, and to headings that they have."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        path = page.parent / path if path else page
        assert path.exists(), f"{page.name} leads to {target}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
            assert heading in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles], target


def test_the_first_page_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


# ---- old names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "what"), [("hydro", "Gas"), ("hydro", "nuclei"), ("relic", "relic_density")])
def test_old_names_warn(name, what):
    sys.modules.pop(f"surrogate.{name}", None)
    with pytest.warns(DeprecationWarning, match=f"surrogate.{name} is surrogate"):
        assert callable(getattr(importlib.import_module(f"surrogate.{name}"), what))
