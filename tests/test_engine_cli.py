"""The command line, and building a host with nothing but what it prints."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import surrogate
from surrogate import cli
from surrogate.commands import config
from surrogate.commands.info import table_of
from surrogate.model import ENGINE_DIR

HOST = r"""
#include <surrogate.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    surr_model *model;
    double error;
    char version[32];
    if (argc < 2 || surr_model_open(argv[1], -1, &model) || surr_model_selftest(model, &error)) return 1;
    surr_version(version, sizeof version);
    printf("%s %g\n", version, error);
    return surr_model_close(model);
}
"""


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "surrogate", *map(str, arguments)], capture_output=True, text=True)


def test_info(toys, capsys):
    assert cli.main(["info", str(toys / "toy.so")]) == 0
    out = capsys.readouterr().out
    assert "cooling" in out and "s^-1" in out and "self-test error" in out


def test_info_of_a_net_is_tables(capsys):
    assert cli.main(["info", "ism-molecular"]) == 0
    out = capsys.readouterr().out
    assert "{" not in out and "[" not in out.replace("time step [s]", "")
    head, *rows = re.search(
        r"^held_out .*\n(?:(?:wide|relaxed|hydro|mixed).*\n|.*, (?:varied|default|absent) .*\n)+", out, re.M
    )[0].splitlines()
    assert len(rows) > 3
    assert {len(re.split("  +", line)) for line in (head, *rows)} == {len(re.split("  +", head))}


def test_models_lists_the_model_path(toys, monkeypatch, tmp_path, capsys):
    shutil.copy(toys / "toy.so", tmp_path / "mine.so")
    monkeypatch.setenv("SURROGATE_MODEL_PATH", str(tmp_path))
    assert cli.main(["models"]) == 0
    assert "mine" in capsys.readouterr().out


def test_missing_model_is_an_error_message_not_a_traceback():
    done = run("info", "no-such-model")
    assert done.returncode == 1 and "no-such-model" in done.stderr and "Traceback" not in done.stderr


def test_help_and_wrong_arguments():
    assert "export" in run("--help").stdout
    bare = run()
    assert bare.returncode == 0 and bare.stdout == run("--help").stdout
    assert run("--version").stdout == f"surrogate {surrogate.__version__}\n"
    assert run("config").returncode == 2
    assert run("models", "--what").returncode == 2


def test_config_prints_directories_and_words(monkeypatch, capsys):
    """Directories bare, for "$(...)"; flags and files as words of a command line, for eval."""
    monkeypatch.setattr(config, "ENGINE_DIR", Path("/fremde Wälder/lib"))
    cli.main(["config", "--models-dir", "--pkgconfig-dir", "--libs"])
    libs, pkgconfig, models = capsys.readouterr().out.splitlines()
    assert models == "/fremde Wälder/lib/models" and pkgconfig == "/fremde Wälder/lib/pkgconfig"
    assert shlex.split(libs)[0] == "-L/fremde Wälder/lib" and len(shlex.split(libs)) == 3


def test_config_directories_hold_what_they_say():
    models, pkgconfig, cmake = (
        Path(run("config", f"--{k}-dir").stdout.strip()) for k in ("models", "pkgconfig", "cmake")
    )
    assert (models / "ism-molecular.so").exists() and (pkgconfig / "surrogate.pc").exists()
    assert (cmake / "surrogate-config.cmake").exists()


#: what a user can get wrong, and what the one line about it says
ERRORS = {
    "no compiler": ("export robertson --to . --cc /nonexistent", "/nonexistent cannot be run"),
    "bad compiler": ("export robertson --to . --cc false", "false failed: exit status 1"),
    "compiler's error": ("export robertson --to . --cflags=-fnonsense", "failed: .*-fnonsense"),
    "no system": ("export ism --to .", "no system 'ism'"),
    "directory that is a file": ("export robertson --to text.so", "text.so: File exists"),
    "library without path": ("info dh.so", r"\./dh\.so"),
    "model file": ("info net.h5", "surrogate export net.h5"),
    "text": ("info ./text.so", "text.so is not a loadable library"),
    "no model": ("evaluate none.h5 --labels none.h5", "none.h5 does not exist"),
    "other HDF5": ("evaluate other.h5 --labels none.h5", "other.h5 is an HDF5 file, but no model"),
    "no HDF5": ("calibrate text.so --labels none.h5", "text.so is not a model file"),
    "no labels": ("train robertson --labels none.h5 --check none.h5 --out net.h5", "none.h5: there is no such file"),
    "other labels": ("train robertson --labels other.h5 --check none.h5 --out net.h5", "an HDF5 file, but not one of"),
    "no directory": ("train robertson --labels none.h5 --check none.h5 --out no/net.h5", "no is no directory"),
    "no directory for labels": (
        "labels decay-linear --population box --dt-range 1 2 --n 1 --split train --seed 0 "
        "--advance user_solver:none --out no/a.h5 --processes 1",
        "user_solver",
    ),
    "no solver": (
        "labels own:go --population box --dt-range 1 2 --n 1 --split train --seed 0 --rtol 1e-3 --out a.h5",
        "surrogate export own:go --to DIR` makes DIR/mine.so, to be given as --model DIR/mine.so",
    ),
    "system whose code fails": ("export own:broken --to .", r"NameError in .*own.py:3: .*SURROGATE_TRACEBACK=1"),
    "system that cannot be read": ("export bad:go --to .", r"bad.py, line 1"),
    "system that lacks a module": ("export lacks:go --to .", "No module named 'nothing_here'"),
    "solver whose code fails": (
        "labels robertson --population box --dt-range 1 2 --n 1 --split train --seed 0 --advance own:crash "
        "--out a.h5 --processes 1 --quiet",
        "KeyError in .*own.py:4: 'x'",
    ),
    "no cells": ("demo --side 0", "--side is 0: give 1 or more"),
    "no density": ("demo --density nan", "--density is nan: give a positive number"),
    "large number": ("demo --threads 99999999999999999999", "takes more than 64 bits"),
    "no snapshot": ("demo --restart --chemistry solver --out .", "solver.h5"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_of_a_user_is_one_line(name, tmp_path, monkeypatch, capsys):
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.so").write_text("text")
    (tmp_path / "own.py").write_text(
        "from surrogate.training.systems import System, Variable\ngo = lambda: System('mine', (Variable('x'),), (0,))\n"
        "broken = lambda: undefined_name\ncrash = lambda cells, dt: {}['x']\n"
    )
    (tmp_path / "bad.py").write_text("def go(:\n")
    (tmp_path / "lacks.py").write_text("import nothing_here\n")
    (tmp_path / "solver.h5").write_text("no snapshot")
    with h5py.File("other.h5", "w") as file:
        file["x"] = 1.0
    arguments, message = ERRORS[name]
    assert cli.main(arguments.split()) == 1
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and err.startswith("surrogate: ") and re.search(message, err), err
    for module in ("own", "bad", "lacks"):
        sys.modules.pop(module, None)


def test_an_error_is_shown_with_its_place_if_asked_for(monkeypatch):
    monkeypatch.setenv("SURROGATE_TRACEBACK", "1")
    with pytest.raises(surrogate.ModelError):
        cli.main(["info", "no-such-model"])


def test_a_program_that_fails_is_one_line(monkeypatch, capsys):
    def fail(_name):
        raise subprocess.CalledProcessError(3, ["ffmpeg", "-i"])

    monkeypatch.setattr(cli.importlib, "import_module", fail)
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == "surrogate: ffmpeg failed: exit status 3\n"


@pytest.mark.parametrize("command", [name for name, command in cli.COMMANDS.items() if command.extra])
def test_commands_whose_packages_are_missing_say_what_to_install(command, monkeypatch, capsys):
    def missing(name):
        raise ModuleNotFoundError("No module named 'sympy'", name="sympy")

    monkeypatch.setattr(cli.importlib, "import_module", missing)
    extra = "demo" if command == "demo" else "training"
    assert cli.main([command, "x"]) == 1
    err = capsys.readouterr().err
    assert f"pip install 'stiff-surrogate[{extra}]'" in err and "sympy" in err and err.count("\n") == 1
    assert cli.main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert cli.COMMANDS[command].help in out and f"stiff-surrogate[{extra}]" in out


def test_an_interrupt_is_one_line(monkeypatch, capsys):
    def interrupt(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.importlib, "import_module", interrupt)
    assert cli.main(["evaluate", "x"]) == 130
    assert capsys.readouterr().err == "surrogate: interrupted\n"


def test_information_is_a_table():
    value = {
        "wide": {"log10_error": [-2.12345, -1.0], "accepted": {"0.1": 0.5, "0.01": 0.25}},
        "relaxed, b": {"log10_error": [-3.0], "cheap": 0.75},
    }
    assert table_of("held_out", value) == [
        "held_out    log10_error  accepted 0.1  accepted 0.01  cheap",
        "wide        -2.123 -1    0.5           0.25",
        "relaxed, b  -3                                        0.75",
    ]
    assert table_of("net", {"width": 96, "regions": [4, 4, 2]}) == ["net: width 96, regions 4 4 2"]
    assert table_of("n", 3) == ["n: 3"] and table_of("x", ["a", "b"]) == ["x:", "  a", "  b"]


@pytest.mark.parametrize("way", ["config", "pkg-config", "cmake"])
def test_host_builds_against_the_installed_package(way, tmp_path, toys, cc):
    (tmp_path / "host.c").write_text(HOST)
    program = tmp_path / "host"
    if way == "cmake":
        build_with_cmake(tmp_path)
    else:
        flags = run("config", "--cflags", "--libs").stdout.split() if way == "config" else pkg_config()
        subprocess.run([cc, tmp_path / "host.c", *flags, "-o", program], check=True)
    done = subprocess.run([program, toys / "toy.so"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == surrogate.__version__


def pkg_config():
    tool = shutil.which("pkg-config") or shutil.which("pkgconf")
    if not tool:
        pytest.skip("pkg-config is not installed")
    directory = ENGINE_DIR / "pkgconfig"
    flags = subprocess.run(
        [tool, "--cflags", "--libs", directory / "surrogate.pc"], capture_output=True, text=True, check=True
    ).stdout.split()
    return [*flags, f"-Wl,-rpath,{ENGINE_DIR}"]


def build_with_cmake(directory):
    tool = shutil.which("cmake")
    if not tool:
        pytest.skip("cmake is not installed")
    (directory / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(host C)\nfind_package(surrogate REQUIRED)\n"
        'if(NOT EXISTS ${surrogate_FORTRAN_SOURCE})\n  message(FATAL_ERROR "no Fortran source")\nendif()\n'
        "add_executable(host host.c)\ntarget_link_libraries(host PRIVATE surrogate::surrogate)\n"
        "set_target_properties(host PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_SOURCE_DIR})\n"
    )
    config = run("config", "--cmake-dir").stdout.strip()
    for arguments in (
        ["-S", directory, "-B", directory / "b", f"-Dsurrogate_DIR={config}"],
        ["--build", directory / "b"],
    ):
        subprocess.run([tool, *arguments], check=True, capture_output=True)


@pytest.mark.fortran
def test_fortran_host_builds_from_the_shipped_source(tmp_path, toys):
    compiler = shutil.which("gfortran")
    if not compiler:
        pytest.skip("gfortran is not installed")
    (tmp_path / "host.f90").write_text(
        "program host\n  use surrogate, only: surr_version_text\n  implicit none\n"
        "  print '(a)', trim(surr_version_text())\nend program\n"
    )
    source = run("config", "--fortran-source").stdout.strip()
    libs = run("config", "--libs").stdout.split()
    subprocess.run(
        [compiler, "-std=f2003", "-Wall", "-Werror", source, "host.f90", *libs, "-o", "host"], cwd=tmp_path, check=True
    )
    done = subprocess.run([tmp_path / "host"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == surrogate.__version__
