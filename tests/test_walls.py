"""Walls between the rooms: who may import whom, function-level imports counted."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: packages of Python by the name under which they are imported, and where they lie
PACKAGES = {"surrogate": ROOT / "surrogate", "surrogate.training": ROOT / "training"}


def modules_of(package):
    """Modules of a package by dotted name, packages under their own."""
    folder, modules = PACKAGES[package], {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        modules[".".join((package, *parts))] = path
    return modules


def is_for_types(node):
    """Whether a statement is ``if TYPE_CHECKING``, of which nothing is ever imported."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(name, path):
    """Dotted names that a module imports, wherever in it: (module, name in it or None)."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    waiting = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        waiting += () if is_for_types(node) else ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((module, alias.name) for alias in node.names)


def names_in(path):
    """Names that a module has of its own, or imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in node.names)


def graph_of(package):
    """Which modules of a package import which others of it."""
    modules = modules_of(package)
    graph = {}
    for name, path in modules.items():
        found = set()
        for module, item in imports_of(name, path):
            target = f"{module}.{item}" if f"{module}.{item}" in modules else module
            is_compiled = target in modules and item is not None and item not in {*names_in(modules[target])}
            if target in modules and target != name and (target != module or not is_compiled):
                found.add(target)
        graph[name] = found
    return graph


def find_circle(graph):
    """Names along a circle, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        path.append(name)
        for other in sorted(graph[name]):
            if circle := visit(other):
                return circle
        done.add(path.pop())
        return None

    return next((circle for name in sorted(graph) if (circle := visit(name))), None)


def test_circles_are_found():
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_circle(package):
    graph = graph_of(package)
    assert len(graph) > 15 and any(graph.values())
    circle = find_circle(graph)
    assert circle is None, " -> ".join(circle)


@pytest.mark.parametrize("room", ["systems", "codegen"])
def test_what_builds_the_models_needs_neither_torch_nor_the_run_time(room):
    """CMake generates the shipped models where neither is installed."""
    names = {name: path for name, path in modules_of("surrogate.training").items() if f".{room}" in name}
    assert len(names) > 5
    for name, path in names.items():
        for module, item in imports_of(name, path):
            assert module.split(".")[0] != "torch", name
            assert not module.startswith("surrogate") or module.startswith("surrogate.training"), (name, module, item)
            rooms = module.removeprefix("surrogate.training").strip(".").split(".")
            inside = module.startswith("surrogate.training")
            assert not inside or rooms[0] in ("systems", "codegen", "named", "files"), (name, module)


BLOCKED = """
import importlib, pkgutil, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "surrogate"):
            raise ImportError(f"{name} is behind a wall")

sys.meta_path.insert(0, Block())
sys.path.insert(0, sys.argv[1])
import training
for room in ("systems", "codegen"):
    package = importlib.import_module(f"training.{room}")
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(found.name)
importlib.import_module("training.commands.export")
from training.codegen import python_functions, write_mechanism
from training.codegen.library import kernel_source
system = training.get_system("ism-atomic")
python_functions(system), write_mechanism(system), kernel_source()
"""


def test_systems_and_codegen_run_without_torch_and_run_time():
    done = subprocess.run([sys.executable, "-c", BLOCKED, ROOT], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr


def test_populations_need_neither_pictures_nor_command_line_of_the_demo():
    code = (
        "import sys, surrogate.training.populations\n"
        "print(*(name for name in sys.modules if name.startswith('surrogate.demo.') or name.startswith('matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "surrogate.demo.scene" in loaded
    assert not loaded & {"surrogate.demo.pictures", "surrogate.demo.run", "surrogate.demo.__main__", "matplotlib"}


def test_commands_hold_a_command_and_no_more():
    """Each has a ``main``, imports it from nowhere, and nothing outside imports from it."""
    commands = {n: p for n, p in modules_of("surrogate.training").items() if ".commands." in n}
    assert len(commands) == 7
    for name, path in commands.items():
        assert any(
            isinstance(node, ast.FunctionDef) and node.name == "main" for node in ast.parse(path.read_text()).body
        )
    for name, targets in graph_of("surrogate.training").items():
        assert name in commands or not targets & commands.keys(), name


FORMER = {
    "export": "export_model shipped_files solver_model kernel_source CFLAGS ISA_FLAGS compiler N_TEST main",
    "calibrate": "Calibration Domain calibrate left_to_the_net load_trained as_plain from_plain label_tensors main",
    "train": "Trainer TrainConfig Pairs read_pairs fit_linear routing_rows rounded OPTIMIZERS LBFGS_BATCH main",
    "evaluate": "measure score relative_errors Measured QUANTILES accepted_share evaluate_file FLOOR main",
    "losses": "LossConfig Physics Balance residual supervised semigroup rollout robust pinball limit_gradients",
    "net_data": "NetData net_vectors accepts_nothing in_parts",
    "model_file": "load_model save_model read_arrays read_tensors write_tensors flatten state_of",
    "expressions": "Basis Lowering Parser fexp number",
    "checks": "check_system check_weights check_decision name_of real",
    "judge": "fit_judge solver_attempts ERROR_LEVEL",
    "system": "System Variable Parameter symbol",
    "label_file": "Labels load_labels",
    "plasma": "degrees_of_freedom",
    "torch_export": "Predictor load_predictor trace export_torch",
}


@pytest.mark.torch
@pytest.mark.parametrize("former", FORMER)
def test_former_modules_warn_and_hand_out_what_they_held(former):
    pytest.importorskip("torch", reason="the nets need PyTorch: pip install 'stiff-surrogate[training]'")
    names = FORMER[former].split()
    code = f"from surrogate.training.{former} import {', '.join(names)}"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and f"surrogate.training.{former} is now surrogate.training." in done.stderr
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.torch
def test_former_names_of_packages_stay():
    pytest.importorskip("torch", reason="the nets need PyTorch: pip install 'stiff-surrogate[training]'")
    from surrogate.training.labels import load_labels, make_labels
    from surrogate.training.nets import NetConfig, Router, Surrogate, sort_into_blocks
    from surrogate.training.populations import box, draw, hydro, relaxed, single, wide

    every = (load_labels, make_labels, NetConfig, Router, Surrogate, sort_into_blocks)
    assert all(map(callable, (*every, box, draw, hydro, relaxed, single, wide)))
    with pytest.raises(ImportError):
        from surrogate.training import nothing_of_this_name  # noqa: F401


def test_constants_have_one_owner_on_each_side_of_the_wall():
    """The year of the run time is that of the equations; elsewhere it is imported."""
    from surrogate.training.systems.network import YEAR

    from surrogate.demo import state

    assert state.YEAR == YEAR
    root = Path(__file__).resolve().parent.parent
    places = [p for room in ("surrogate", "training", "benchmarks") for p in (root / room).rglob("*.py")]
    owners = sorted(str(p.relative_to(root)) for p in places if re.search(r"3\.1536e7|3\.15e7|31536000", p.read_text()))
    assert owners == ["surrogate/demo/state.py", "training/systems/network.py"]
