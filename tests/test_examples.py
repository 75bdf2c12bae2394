"""The example programs; those in C and Fortran are run by ctest."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "bindings" / "examples"


def test_python_example():
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "python" / "advance.py"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert re.search("one cell: status [0124],", done.stdout) and "100000 cells" in done.stdout
