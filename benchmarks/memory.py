"""How much memory and disk does a step take, beside PyTorch and ONNX Runtime?

    python -m benchmarks.memory

Each in a fresh process: import, load, advance 4096 `wide` cells at rtol 0.1, of which the net takes most, then the peak
of the resident memory [MB]. Disk: what must be installed beside Python [MB]. `TorchScript` runs what `surrogate export`
writes of the same net; `ONNX Runtime` a perceptron of the same width without anything around it. Ours from C: the
program links the library and no Python.
"""

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from surrogate.training import get_system
from surrogate.training.populations import draw

from .cases import SEED
from .options import finish, make_parser, progress, start
from .timing import ROOT, ZOO

PEAK = """
def peak():
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
"""
CELLS = """
import sys
import numpy as np
rows = np.fromfile("cells.f64").reshape(4096, -1)
cells, dt = np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, -1])
"""
PROGRAMS = {
    "Python and NumPy": CELLS,
    "ours, from Python": CELLS + "import surrogate\nsurrogate.load('ism-molecular').stepper(rtol=0.1).step(cells, dt)",
    "TorchScript": CELLS + "import torch\ntorch.set_num_threads(1)\nwith torch.inference_mode():\n"
    "    torch.jit.load(sys.argv[1])(torch.from_numpy(cells), torch.from_numpy(dt))",
    "ONNX Runtime": CELLS + "import onnxruntime\nsession = onnxruntime.InferenceSession(sys.argv[2])\n"
    "session.run(None, {'x': np.ones((4096, 12), np.float32)})",
}
HOST = r"""
#include <stdio.h>
#include <string.h>
#include <surrogate.h>
static double q[4096][11]; /* and the time step */
int main(void)
{
    static const char *const names[10] = {"e-", "H-", "H", "H+", "He", "He+", "He++", "H2", "H2+", "T"};
    surr_model *model;
    surr_plan *plan;
    surr_work *work;
    int64_t stat[SURR_NSTAT];
    int32_t slot;
    if (surr_model_open("ism-molecular", -1, &model) || surr_plan_create(model, &plan)) return 1;
    for (int k = 0; k < 10; k++)
        surr_plan_field(plan, names[k], -1, k < 9 ? SURR_Q_NUMBER_DENSITY : SURR_Q_TEMPERATURE, 1.0,
                        SURR_F_COMPACT, &slot);
    surr_plan_set_d(plan, "rtol", -1, 0.1);
    surr_plan_field(plan, "dt", -1, SURR_Q_DT, 1.0, SURR_F_COMPACT, &slot);
    if (surr_plan_commit(plan) || surr_work_create(plan, 4096, &work)) return 2;
    FILE *cells = fopen("cells.f64", "rb");
    if (!cells || fread(q, sizeof q, 1, cells) != 1) return 3;
    if (surr_step_block(plan, work, 4096, 1.0, q[0], 11, 1, NULL, NULL, stat) < 0) return 4;
    if (stat[SURR_STAT_NET] < 2048) return 4;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "VmHWM", 5)) fputs(line + 6, stdout);
    return 0;
}
"""


def size_mb(*paths):
    """Space of files and folders."""
    files = (file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    return sum(file.stat().st_size for file in files) / 2**20


def package(name):
    """Folder of an installed package and, where it has one, that of its bundled libraries; [] if it is missing."""
    found = find_spec(name)
    folder = Path(found.origin).parent if found else None
    return [path for path in (folder, folder.with_name(f"{name}.libs")) if path.exists()] if folder else []


def peak_of_host(directory):
    """Peak of a C program that links the library."""
    config = subprocess.run(
        [sys.executable, "-m", "surrogate", "config", "--cflags", "--libs"],
        check=True,
        capture_output=True,
        text=True,
        cwd=directory,
    ).stdout.split()
    (directory / "host.c").write_text(HOST)
    subprocess.run(["cc", "host.c", *config, "-o", "host"], check=True, cwd=directory)
    return (
        int(subprocess.run(["./host"], check=True, capture_output=True, text=True, cwd=directory).stdout.split()[0])
        / 1024
    )


def main(arguments=None):
    """Measure, print, save."""
    options = start(make_parser(__doc__), arguments)
    from surrogate.model import ENGINE_DIR

    from . import frameworks

    results, left_out = {}, {}
    engine = [*ENGINE_DIR.glob("libsurrogate*"), ENGINE_DIR / "models" / "ism-molecular.so"]
    ours = [*engine, *ENGINE_DIR.parent.glob("_engine*"), *(ROOT / "surrogate").glob("*.py")]
    disk = {
        "Python and NumPy": package("numpy"),
        "ours, from Python": [*package("numpy"), *package("cffi"), *ours],
        "TorchScript": [*package("numpy"), *package("torch")],
        "ONNX Runtime": [*package("numpy"), *package("onnxruntime")],
    }
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        np.column_stack(draw("wide", get_system("ism-molecular"), 4096, SEED)).tofile(directory / "cells.f64")
        subprocess.run(
            [
                sys.executable,
                "-m",
                "surrogate",
                "export",
                str(ZOO / "ism-molecular.h5"),
                "--to",
                str(directory),
                "--torch-only",
            ],
            check=True,
            capture_output=True,
            cwd=directory,
        )
        (directory / "net.onnx").write_bytes(
            frameworks.onnx_bytes(frameworks.random_weights(96)) if package("onnx") else b""
        )
        results["ours, from C"] = {"peak_mb": peak_of_host(directory), "disk_mb": size_mb(*engine)}
        for name, program in progress(PROGRAMS.items()):
            run = subprocess.run(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-c",
                    PEAK + program + "\nprint(peak())",
                    directory / "ism-molecular.pt",
                    directory / "net.onnx",
                ],
                capture_output=True,
                text=True,
                cwd=directory,
            )
            if run.returncode:
                left_out[name] = run.stderr.strip().splitlines()[-1]
            else:
                results[name] = {"peak_mb": json.loads(run.stdout), "disk_mb": size_mb(*disk[name])}
    print(f"{'':<20}{'peak MB':>10}{'disk MB':>10}")
    for name, row in results.items():
        print(f"{name:<20}{row['peak_mb']:>10.1f}{row['disk_mb']:>10.1f}")
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    finish("memory", options, {"results": results, "left_out": left_out})


if __name__ == "__main__":
    main()
