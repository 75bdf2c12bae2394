"""A guard against slowdowns that does not depend on the machine: instructions per attempt of the solver and per cell of
the net, counted by callgrind in the AVX2 kernels. Seconds are for `benchmarks`.
"""

import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from surrogate.model import ENGINE_DIR

SOURCE = Path(__file__).resolve().parent / "c" / "count_instructions.c"
#: a fifth above what gcc 12 makes: 13,870 and 52,330, of a net that is asked five times
LIMITS = {"solver": 16_600, "net": 63_000}

pytestmark = pytest.mark.skipif(
    not shutil.which("valgrind") or platform.machine() != "x86_64",
    reason="valgrind is not installed (Debian, Ubuntu: apt-get install valgrind), or no x86-64: instructions uncounted",
)


@pytest.fixture(scope="module")
def count(tmp_path_factory, cc):
    """``count(*arguments) -> instructions within surr_step_block, cells of the net, cells solved, attempts``."""
    directory = tmp_path_factory.mktemp("instructions")
    flags = subprocess.check_output(
        [sys.executable, "-m", "surrogate", "config", "--cflags", "--libs"], text=True, cwd=directory
    )
    subprocess.run([*shlex.split(cc), "-O2", SOURCE, *shlex.split(flags), "-o", "count"], check=True, cwd=directory)

    def run(*arguments):
        tool = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=surr_step_block"]
        command = [*tool, "--callgrind-out-file=out", "./count", *arguments]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        total = re.search(r"^(?:summary|totals): (\d+)", (directory / "out").read_text(), re.M)
        return int(total[1]), *map(int, done.stdout.split())

    return run


def test_instructions_of_an_attempt(count):
    instructions, by_net, solved, attempts = count(str(ENGINE_DIR / "models" / "ism-molecular.so"), "0", "0.1", "3e9")
    assert (by_net, solved) == (0, 256) and attempts > 1000
    each = instructions / attempts
    assert 0.3 * LIMITS["solver"] < each < LIMITS["solver"], f"{each:.0f} instructions per attempt"


def test_instructions_of_the_net(count):
    instructions, by_net, solved, _ = count(str(ENGINE_DIR / "models" / "ism-molecular.so"), "1", "0.5", "3e12")
    assert (by_net, solved) == (256, 0), "choose cells that the net takes"
    each = instructions / by_net
    assert 0.3 * LIMITS["net"] < each < LIMITS["net"], f"{each:.0f} instructions per cell"
