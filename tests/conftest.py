"""Fixtures shared by the tests."""

import functools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # benchmarks are not installed

VECTOR_FLAGS = (
    "-std=gnu11 -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra -Werror -shared -fPIC"
).split()
V4 = ("-march=x86-64-v4", "-mprefer-vector-width=512")
#: name -> lanes, x86 flags, CPU features they need (as in /proc/cpuinfo)
VECTORS = {
    "1-v2": (1, ("-march=x86-64-v2",), {"sse4_2"}),
    "1-v4": (1, V4, {"avx512f", "avx512dq", "avx512vl"}),
    "2-v2": (2, ("-march=x86-64-v2",), {"sse4_2"}),
    "4-v3": (4, ("-march=x86-64-v3",), {"avx2", "fma"}),
    "8-v4": (8, V4, {"avx512f", "avx512dq", "avx512vl"}),
}


def pytest_addoption(parser):
    parser.addoption("--mutants", type=int, default=60, help="damaged copies of each kind of file to load (default 60)")


@pytest.fixture
def mutants(request):
    """``mutants(content)``: damaged copies of a file, the same in every run; more of them with ``--mutants N``."""

    def damage(content):
        rng = np.random.default_rng(0)
        for i in range(request.config.getoption("--mutants")):
            data, at = bytearray(content), int(rng.integers(len(content)))
            if i % 4 == 0:
                del data[at:]
            elif i % 4 == 1:
                data[at] ^= 1 << int(rng.integers(8))
            elif i % 4 == 2:
                data[at : at + 512] = bytes(len(data[at : at + 512]))
            else:
                data[at % 4096 % len(content)] ^= 1 << int(rng.integers(8))
            yield bytes(data)

    return damage


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """``build(name, **options)`` -> (System, loaded Model), compiled once per session."""
    from surrogate.training import get_system
    from surrogate.training.codegen.library import export_model

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
        compile_ = [cc, "-O2", "-shared", "-fPIC", f"-I{ROOT / 'bindings' / 'kernel'}", *flags]
        subprocess.run([*compile_, source, "-o", directory / f"{name}.so", "-lm"], check=True)
    return directory


@pytest.fixture(scope="session")
def toy(toys):
    """The model of tests/c/toy_model.c, of which the answer is known: A -> 2 B, T relaxes to 10 K."""
    import surrogate

    return surrogate.load(toys / "toy.so")


@pytest.fixture(scope="session")
def compile_lanes(cc, tmp_path_factory):
    """``compile_lanes(name, lanes, flags) -> path``: tests/c/NAME.c as a shared library, these flags after ours."""

    def compile_(name, lanes, flags=()):
        library = tmp_path_factory.mktemp(name) / f"{name}.so"
        source = [f"-I{ROOT / 'bindings' / 'kernel'}", ROOT / "tests" / "c" / f"{name}.c"]
        subprocess.run([cc, *VECTOR_FLAGS, *flags, f"-DSURR_LANES={lanes}", *source, "-o", library], check=True)
        return library

    return compile_


@pytest.fixture(scope="module", params=VECTORS)
def compile_vector(request, compile_lanes):
    """``compile_vector(name) -> (path, lanes)``: as `compile_lanes`, for every vector width that this CPU can run."""
    lanes, flags, needs = VECTORS[request.param]
    if platform.machine() != "x86_64":
        if not request.param.startswith(("1-v2", "2-v2")):
            pytest.skip(f"{request.param} is for x86-64, this is {platform.machine()}")
        flags = ()
    else:
        info = Path("/proc/cpuinfo")
        if missing := needs - set(info.read_text().split() if info.exists() else ()):
            pytest.skip(f"this CPU cannot run {request.param}: no {', '.join(sorted(missing))}")
    return lambda name: (compile_lanes(name, lanes, flags), lanes)
