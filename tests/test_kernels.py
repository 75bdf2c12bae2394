"""Generated kernels under the address and undefined-behaviour sanitizers, clean with all warnings as errors."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from surrogate.training import get_system
from surrogate.training.codegen.library import CFLAGS, ISA_FLAGS, export_model, kernel_source

CC = shlex.split(os.environ.get("CC", "cc"))
DRIVER = Path(__file__).parent / "c" / "test_kernels.c"


@pytest.mark.parametrize("name", ["ism-molecular", "pollu"])
def test_kernels_are_clean_under_sanitizers(name, tmp_path):
    export_model(get_system(name), tmp_path, keep_source=True)
    source = tmp_path / f"{name}.src"
    flags = [*CFLAGS, "-Werror", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += [f"-I{source}", f"-I{kernel_source()}"]
    objects = []
    for isa, march in ISA_FLAGS.items():
        objects.append(str(tmp_path / f"{isa}.o"))
        subprocess.run(
            [
                *CC,
                *flags,
                *march,
                f"-DSURR_KERNELS=surr_kernels_{isa}",
                "-c",
                str(kernel_source() / "kernel.c"),
                "-o",
                objects[-1],
            ],
            check=True,
        )
    program = tmp_path / "drive"
    subprocess.run([*CC, *flags, str(DRIVER), str(source / "model.c"), *objects, "-o", str(program), "-lm"], check=True)
    result = subprocess.run([str(program)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
