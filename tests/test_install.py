"""What a user gets: an sdist installed by pip in a clean environment, plain CMake, archives without dlopen."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import pytest
from conftest import ROOT

import surrogate

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


#: what a stranger reads, in this order
PAGES = [ROOT / "README.md", ROOT / "bindings" / "README.md"]


def readme_blocks(language="sh"):
    """The pages' blocks of code in this language."""
    return [block for page in PAGES for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)]


def readme_commands(first_word):
    """Commands in its blocks of shell code that begin with this word."""
    return [line for block in readme_blocks() for line in block.splitlines() if line.startswith(first_word + " ")]


def files_in(directory):
    return {path.relative_to(directory): path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The sources as an sdist has them, in a path with spaces, a comma and a letter that is not ASCII."""
    place = tmp_path_factory.mktemp("sdist") / "fern, in den Wäldern"
    place.mkdir()
    make = "import sys, scikit_build_core.build as backend; print(backend.build_sdist(sys.argv[1]))"
    run([sys.executable, "-c", make, place], cwd=ROOT)
    run(["tar", "xzf", next(place.glob("*.tar.gz"))], cwd=place)
    return next(path for path in place.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def clean_venv(sources):
    """The bin directory of a virtual environment, beside the sources: they are installed as the README says, pip brings
    what it takes to build them, and the environment holds nothing but what they depend on."""
    if not shutil.which("cc"):
        pytest.fail("no C compiler")
    bin_ = sources.parent / "venv" / "bin"
    run([sys.executable, "-m", "venv", bin_.parent])
    (install,) = readme_commands("pip")
    scratch = sources.parent / "tmp"  # pip builds here
    scratch.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch)}
    before = files_in(sources)
    run(["bash", "-ec", install], cwd=sources, env=environment | {"PATH": f"{bin_}:/usr/local/bin:/usr/bin:/bin"})
    assert files_in(sources) == before, "the sources may be read-only"
    listed = run([bin_ / "pip", "list", "--format=freeze", "--disable-pip-version-check"])
    names = {line.split("==")[0] for line in listed.split()} - {"pip", "setuptools", "wheel"}
    assert names == {"stiff-surrogate", "numpy", "cffi", "pycparser"}
    assert next(bin_.parent.glob("lib/*/site-packages/surrogate/py.typed")), "type checkers are told"
    return bin_


@pytest.fixture(scope="module")
def plain_bin(clean_venv):
    """The same environment by a path without spaces."""
    link = clean_venv.parent.parent.parent / "plain"
    link.symlink_to(clean_venv.parent)
    return link / "bin"


def environment_of(bin_, home):
    return {"PATH": f"{bin_}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home)}


@pytest.mark.slow
@pytest.mark.parametrize("language, first_word", [("c", "cc"), ("fortran", "gfortran"), ("python", "python")])
def test_readme_commands_with_the_package_alone(clean_venv, plain_bin, tmp_path, language, first_word):
    """As they stand, and with `eval` in front, which the README advises where a path has spaces."""
    if language == "fortran" and not shutil.which("gfortran"):
        pytest.skip("gfortran is not installed")
    commands = [c for c in readme_commands(first_word) if "advance" in c]
    assert commands, f"the README shows no {first_word} command"
    shutil.copytree(ROOT / "bindings" / "examples" / language, tmp_path / "here")
    for command in commands:
        for bin_, words in ((plain_bin, command), (clean_venv, f"eval {command}")):
            out = run(["bash", "-ec", words], cwd=tmp_path / "here", env=environment_of(bin_, tmp_path))
            assert re.search("one cell: status [0124],", out) and "100000 cells: " in out


@pytest.mark.slow
def test_readme_python_with_the_package_alone(clean_venv, tmp_path):
    blocks = [block for block in readme_blocks("python") if "comm=" not in block]
    assert len(blocks) > 1
    out = run(
        [clean_venv / "python", "-W", "error", "-c", "".join(blocks)],
        cwd=tmp_path,
        env=environment_of(clean_venv, tmp_path),
    )
    assert "100000 cells of ism-molecular at rtol 0.1, " in out


@pytest.mark.mpi
def test_readme_python_with_all_extras(tmp_path):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'stiff-surrogate[mpi]'")
    script = "\n".join(readme_blocks("python"))
    environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    assert "imbalance " in run([sys.executable, "-c", script], cwd=tmp_path, env=environment)


@pytest.mark.slow
def test_licence_comes_with_the_package(sources, clean_venv):
    """The text, and its name in the metadata and for those who cite."""
    text = (ROOT / "LICENSE").read_text()
    (metadata,) = clean_venv.parent.glob("lib/*/site-packages/stiff_surrogate-*.dist-info")
    assert text.startswith("BSD 3-Clause") and (metadata / "licenses" / "LICENSE").read_text() == text
    assert "\nLicense-Expression: BSD-3-Clause\n" in (metadata / "METADATA").read_text()
    citation = (sources / "CITATION.cff").read_text()
    assert re.search("^license: BSD-3-Clause$", citation, re.M)
    assert re.search("^version: (.*)$", citation, re.M)[1] == surrogate.__version__
    assert (sources / "LICENSE").read_text() == text


@pytest.mark.slow
def test_command_line_with_the_package_alone(clean_venv, tmp_path):
    """What needs more says what it needs."""
    environment = environment_of(clean_venv, tmp_path)

    def command(*arguments):
        return subprocess.run(
            [clean_venv / "surrogate", *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment
        )

    assert command("models").stdout.count("accepted at rtol") > 5
    for name in ("train", "labels", "calibrate", "evaluate", "export"):
        done = command(name, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"surrogate {name}: ") and not done.stderr
        assert "[training]" in done.stdout
        done = command(name, "x")
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "(sympy)" in done.stderr
    code = "import surrogate; surrogate.load('ism-atomic').torch()"
    done = subprocess.run([clean_venv / "python", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and "stiff-surrogate[training]" in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.torch
def test_shipped_nets_in_torch_from_the_package(clean_venv, tmp_path):
    """The model file of a shipped model is installed, too. PyTorch and the like are lent by this environment."""
    pytest.importorskip("torch", reason="training needs PyTorch: pip install 'stiff-surrogate[training]'")
    script = textwrap.dedent("""
        import sys
        import surrogate
        sys.path += sys.argv[1:]
        for name in surrogate.models():
            model = surrogate.load(name)
            assert "/venv/" in str(model.path), model.path
            print("net of", model.torch().__class__.__name__, name)
    """)
    lent = [path for path in sys.path if path.endswith("site-packages")]
    out = run([clean_venv / "python", "-c", script, *lent], cwd=tmp_path, env=environment_of(clean_venv, tmp_path))
    assert out.count("net of") > 4


@pytest.mark.slow
@pytest.mark.parametrize("compiler, ranks", [("gfortran", 1), ("mpif90", 2)])
def test_readme_builds_the_hydro_code(compiler, ranks, plain_bin, tmp_path):
    if not shutil.which(compiler, path="/usr/bin"):
        pytest.skip(f"{compiler} is not installed")
    here = shutil.copytree(ROOT / "bindings" / "examples" / "hydro", tmp_path / "here")
    options = (here / "blast.nml").read_text()
    small = {"n": 32, "t_end": 1}
    (here / "blast.nml").write_text(re.sub(r"(n|t_end) = \d+", lambda m: f"{m[1]} = {small[m[1]]}", options))
    (block,) = (block for block in readme_blocks() if "hydro.f90" in block)
    wanted = ("CONFIG", "gfortran") if compiler == "gfortran" else ("CONFIG", "mpicc", "mpif90")
    script = "\n".join(line for line in block.splitlines() if line.startswith(wanted))
    environment = {
        "PATH": f"{plain_bin}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    said = run(["bash", "-ec", script.split(" && python plot.py")[0]], cwd=here, env=environment)
    assert "drift of mass" in said and f"on {ranks} ranks" in said


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """``prefix(option, ...)``: libsurrogate configured, built and installed by CMake alone."""
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed")

    def install(*options):
        place = tmp_path_factory.mktemp("cmake")
        standard = ["-DSURR_TESTS=OFF", "-DSURR_MPI=OFF", "-DPython_EXECUTABLE=/nowhere"]
        run(["cmake", "-S", ROOT, "-B", place / "build", *standard, *options])
        run(["cmake", "--build", place / "build"])
        run(["cmake", "--install", place / "build", "--prefix", place / "prefix"])
        return place / "prefix"

    return install


@pytest.fixture(scope="module")
def prefix_with_model(prefix):
    return prefix("-DSURR_MODELS=decay-linear", f"-DPython_EXECUTABLE={sys.executable}")


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


@pytest.mark.parametrize("way", ["by name, shared", "by name, archive", "linked in"])
def test_plain_cmake_installs_models(way, prefix_with_model, tmp_path):
    """Found by name from a shared library and from an archive, with nothing set; or itself an archive in the host."""
    from surrogate.training.codegen.library import export_model

    where = prefix_with_model
    target, defined = "surrogate::static", ""
    if way == "linked in":
        target = f'"{export_model("decay-linear", tmp_path, static=True)}" {target}'
        defined = "STATIC_MODEL=surr_model_decay_linear"
    elif way == "by name, shared":
        target = "surrogate::surrogate"
    (tmp_path / "host.c").write_text(HOST)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(host C)\nfind_package(surrogate REQUIRED)\n"
        f"add_executable(host host.c)\ntarget_link_libraries(host PRIVATE {target})\n"
        f"target_compile_definitions(host PRIVATE {defined})\n"
    )
    run(["cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={where}"])
    run(["cmake", "--build", tmp_path / "b"])
    environment = {k: v for k, v in os.environ.items() if k != "SURROGATE_MODEL_PATH"}
    assert run([tmp_path / "b" / "host", "decay-linear"], env=environment, cwd=tmp_path).startswith("0 ")


def test_cmake_says_that_there_is_no_compiler(tmp_path):
    done = subprocess.run(
        ["cmake", "-S", ROOT, "-B", tmp_path / "b"],
        capture_output=True,
        text=True,
        env=os.environ | {"CC": "/nowhere/cc"},
    )
    assert done.returncode and 'No C compiler is found ($CC is "/nowhere/cc")' in done.stderr


def test_cmake_says_what_generating_models_needs(tmp_path):
    (tmp_path / "sympy.py").write_text("raise ImportError('none here')\n")
    options = ["-DSURR_TESTS=OFF", "-DSURR_MPI=OFF", "-DSURR_MODELS=decay-linear"]
    options.append(f"-DPython_EXECUTABLE={sys.executable}")
    done = subprocess.run(
        ["cmake", "-S", ROOT, "-B", tmp_path / "b", *options],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode and "ImportError: none here" in done.stderr and "-DPython_EXECUTABLE" in done.stderr


def test_without_dlopen(prefix, toys, tmp_path, cc):
    """A program without any shared library: engine and model are archives."""
    from surrogate.training.codegen.library import export_model

    if not shutil.which("objcopy"):
        pytest.skip("objcopy is not installed")
    where = prefix("-DSURR_DLOPEN=OFF")
    (tmp_path / "host.c").write_text(HOST)
    models = [export_model(name, tmp_path, static=True) for name in ("decay-linear", "decay-quadratic")]
    assert models[0] == tmp_path / "libdecay-linear.a"
    command = [
        cc,
        "-static",
        "-DSTATIC_MODEL=surr_model_decay_linear",
        f"-I{where / 'include'}",
        "host.c",
        *models,
        next(where.rglob("libsurrogate.a")),
        "-lpthread",
        "-lm",
        "-o",
        "host",
    ]
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
