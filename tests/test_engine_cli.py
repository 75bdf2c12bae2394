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
    head, *rows = re.search(r"^held_out .*\n(?:(?:wide|relaxed|hydro) .*\n)+", out, re.M)[0].splitlines()
    assert len(rows) == 3
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
    assert run().stdout == run("--help").stdout and run().returncode == 0
    assert run("--version").stdout == f"surrogate {surrogate.__version__}\n"
    assert run("config").returncode == 2
    assert run("models", "--what").returncode == 2


def test_config_prints_directories_and_words(monkeypatch, capsys):
    """Directories bare, for "$(...)"; flags and files as words of a command line, for eval."""
    monkeypatch.setattr(cli, "ENGINE_DIR", Path("/fremde Wälder/lib"))
    cli.main(["config", "--models-dir", "--pkgconfig-dir", "--libs"])
    libs, pkgconfig, models = capsys.readouterr().out.splitlines()
    assert models == "/fremde Wälder/lib/models" and pkgconfig == "/fremde Wälder/lib/pkgconfig"
    assert shlex.split(libs)[0] == "-L/fremde Wälder/lib" and len(shlex.split(libs)) == 3


def test_config_directories_hold_what_they_say():
    models, pkgconfig, cmake = (Path(run("config", f"--{k}-dir").stdout.strip()) for k in ("models", "pkgconfig", "cmake"))
    assert (models / "ism-molecular.so").exists() and (pkgconfig / "surrogate.pc").exists()
    assert (cmake / "surrogate-config.cmake").exists()


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
    directory = cli.ENGINE_DIR / "pkgconfig"
    flags = subprocess.run(
        [tool, "--cflags", "--libs", directory / "surrogate.pc"], capture_output=True, text=True, check=True
    ).stdout.split()
    return [*flags, f"-Wl,-rpath,{cli.ENGINE_DIR}"]


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
