"""Fixtures shared by the tests."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # benchmarks are not installed


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """``build(name, **options)`` -> (System, loaded Model), compiled once per session."""
    from surrogate.training import get_system
    from surrogate.training.export import export_model

    import surrogate

    @functools.cache
    def make(name, **options):
        system = get_system(name, **options)
        return system, surrogate.load(export_model(system, tmp_path_factory.mktemp(name)))

    return make


@pytest.fixture(scope="session")
def cc():
    """The C compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "no C compiler found: install one, or set CC"
    return compiler


@pytest.fixture(scope="session")
def toys(tmp_path_factory, cc):
    """Directory with toy.so, toy_net.so, toy_broken.so (wrong test vector), toy_abi.so; see tests/c/toy_model.c."""
    directory = tmp_path_factory.mktemp("toys")
    source = ROOT / "tests" / "c" / "toy_model.c"
    flaws = {"toy": [], "toy_net": ["-DTOY_NET"], "toy_broken": ["-DTOY_TEST_F=1.0"], "toy_abi": ["-DTOY_ABI=99"]}
    for name, flags in flaws.items():
        compile_ = [cc, "-O2", "-shared", "-fPIC", f"-I{ROOT / 'bindings' / 'src'}", *flags]
        subprocess.run([*compile_, source, "-o", directory / f"{name}.so", "-lm"], check=True)
    return directory


@pytest.fixture(scope="session")
def toy(toys):
    """The model of tests/c/toy_model.c, of which the answer is known: A -> 2 B, T relaxes to 10 K."""
    import surrogate

    return surrogate.load(toys / "toy.so")
