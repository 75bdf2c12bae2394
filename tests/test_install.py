"""What a host gets: the wheel in a clean environment, plain CMake without Python, archives without dlopen."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

HOST = r"""
#include <surrogate.h>
#include <stdio.h>
#ifdef STATIC_MODEL
struct surr_model_desc;
const struct surr_model_desc *STATIC_MODEL(void);
#endif
int main(int argc, char **argv)
{
    surr_model *model;
    double error = -1;
    char message[1024];
#ifdef STATIC_MODEL
    if (surr_model_register(STATIC_MODEL)) return 2;
#endif
    int32_t code = argc < 2 ? -1 : surr_model_open(argv[1], -1, &model);
    if (code == SURR_OK) code = surr_model_selftest(model, &error);
    surr_last_error(message, sizeof message);
    printf("%d %g %s\n", code, error, code ? message : "");
    return code != SURR_OK;
}
"""


def run(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def readme_blocks():
    """The README's blocks of shell code."""
    return re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


def readme_commands(first_word):
    """Commands in these blocks that begin with this word."""
    return [line for block in readme_blocks() for line in block.splitlines() if line.startswith(first_word + " ")]


@pytest.fixture(scope="module")
def clean_venv(tmp_path_factory):
    """The bin directory of a virtual environment that holds the wheel and what it depends on, and nothing else."""
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed")
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", ROOT, "-w", place]
    run(build, cwd=place)
    run([sys.executable, "-m", "venv", place / "venv"])
    install = [place / "venv" / "bin" / "python", "-m", "pip", "install", "-q", next(place.glob("*.whl"))]
    done = subprocess.run(install, capture_output=True, text=True, cwd=place)
    if "No matching distribution" in done.stderr or "Could not" in done.stderr:
        pytest.skip("numpy and cffi cannot be downloaded here")
    assert done.returncode == 0, done.stderr
    return place / "venv" / "bin"


@pytest.mark.slow
@pytest.mark.parametrize("language, first_word", [("c", "cc"), ("fortran", "gfortran"), ("python", "python")])
def test_readme_commands_with_the_wheel_alone(clean_venv, tmp_path, language, first_word):
    if not shutil.which(first_word) and language != "python":
        pytest.skip(f"{first_word} is not installed")
    commands = [c for c in readme_commands(first_word) if "advance" in c]
    assert commands, f"the README shows no {first_word} command"
    shutil.copytree(ROOT / "bindings" / "examples" / language, tmp_path / "here")
    environment = {"PATH": f"{clean_venv}:/usr/bin:/bin", "HOME": str(tmp_path)}
    for command in commands:
        out = run(["bash", "-ec", command], cwd=tmp_path / "here", env=environment)
    assert re.search("one cell: status [0124],", out) and "100000 cells: " in out


@pytest.mark.slow
@pytest.mark.parametrize("compiler, ranks", [("gfortran", 1), ("mpif90", 2)])
def test_readme_builds_the_hydro_code(compiler, ranks, clean_venv, tmp_path):
    if not shutil.which(compiler, path="/usr/bin"):
        pytest.skip(f"{compiler} is not installed")
    here = shutil.copytree(ROOT / "bindings" / "examples" / "hydro", tmp_path / "here")
    options = (here / "blast.nml").read_text()
    small = {"n": 32, "t_end": 1}
    (here / "blast.nml").write_text(re.sub(r"(n|t_end) = \d+", lambda m: f"{m[1]} = {small[m[1]]}", options))
    (block,) = (block for block in readme_blocks() if "hydro.f90" in block)
    wanted = ("CONFIG", "gfortran") if compiler == "gfortran" else ("CONFIG", "mpicc", "mpif90")
    script = "\n".join(line for line in block.splitlines() if line.startswith(wanted))
    environment = {"PATH": f"{clean_venv}:/usr/bin:/bin", "HOME": str(tmp_path), "OMPI_ALLOW_RUN_AS_ROOT": "1",
                   "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}  # fmt: skip
    said = run(["bash", "-ec", script.split(" && python plot.py")[0]], cwd=here, env=environment)
    assert "drift of mass" in said and f"on {ranks} ranks" in said


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """``prefix(option, ...)``: libsurrogate configured, built and installed by CMake alone."""
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed")

    def install(*options):
        place = tmp_path_factory.mktemp("cmake")
        run(["cmake", "-S", ROOT, "-B", place / "build", "-DSURR_TESTS=OFF", "-DPython_EXECUTABLE=/nowhere", *options])
        run(["cmake", "--build", place / "build"])
        run(["cmake", "--install", place / "build", "--prefix", place / "prefix"])
        return place / "prefix"

    return install


def test_plain_cmake_install(prefix, toys, tmp_path, cc):
    """Shared and static, by pkg-config and by find_package."""
    where = prefix()
    pc = next(where.rglob("surrogate.pc"))
    assert next(where.rglob("krome_shim.f90")) and next(where.rglob("surrogate.f90"))
    (tmp_path / "host.c").write_text(HOST)
    if shutil.which("pkg-config"):
        environment = os.environ | {"PKG_CONFIG_PATH": str(pc.parent)}
        flags = run(["pkg-config", "--cflags", "--libs", "surrogate"], env=environment).split()
        run([cc, "host.c", *flags, f"-Wl,-rpath,{pc.parent.parent}", "-o", "by_pkg_config"], cwd=tmp_path)
        assert run([tmp_path / "by_pkg_config", toys / "toy.so"]).startswith("0 ")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(host C)\nfind_package(surrogate 0.1 REQUIRED)\n"
        "foreach(kind surrogate static)\n  add_executable(by_${kind} host.c)\n"
        "  target_link_libraries(by_${kind} PRIVATE surrogate::${kind})\nendforeach()\n"
    )
    run(["cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={where}"])
    run(["cmake", "--build", tmp_path / "b"])
    for kind in ("surrogate", "static"):
        assert run([tmp_path / "b" / f"by_{kind}", toys / "toy.so"]).startswith("0 ")


def test_without_dlopen(prefix, toys, tmp_path, cc):
    """A program without any shared library: engine and model are archives."""
    from surrogate.training.export import export_model

    if not shutil.which("objcopy"):
        pytest.skip("objcopy is not installed")
    where = prefix("-DSURR_DLOPEN=OFF")
    (tmp_path / "host.c").write_text(HOST)
    models = [export_model(name, tmp_path, static=True) for name in ("decay-linear", "decay-quadratic")]
    assert models[0] == tmp_path / "libdecay-linear.a"
    command = [cc, "-static", "-DSTATIC_MODEL=surr_model_decay_linear", f"-I{where / 'include'}", "host.c", *models,
               next(where.rglob("libsurrogate.a")), "-lpthread", "-lm", "-o", "host"]  # fmt: skip
    run(command, cwd=tmp_path)
    assert run([tmp_path / "host", "decay-linear"]).startswith("0 ")
    done = subprocess.run([tmp_path / "host", toys / "toy.so"], capture_output=True, text=True)
    assert done.stdout.startswith("-13 ") and "surr_model_register" in done.stdout


@pytest.mark.parametrize("compiler", ["clang"])  # gcc is what ctest uses
def test_builds_without_warnings_and_passes(compiler, tmp_path):
    """The engine and its C tests under another compiler, with -Wall -Wextra -Werror."""
    if not (shutil.which("cmake") and shutil.which(compiler)):
        pytest.skip(f"cmake or {compiler} is not installed")
    options = [f"-DCMAKE_C_COMPILER={compiler}", "-DCMAKE_Fortran_COMPILER=NOTFOUND", "-DCMAKE_C_FLAGS=-Werror"]
    run(["cmake", "-S", ROOT, "-B", tmp_path, "-Wno-dev", *options])
    run(["cmake", "--build", tmp_path])
    run(["ctest", "--test-dir", tmp_path, "--output-on-failure", "-E", "fuzz"])
