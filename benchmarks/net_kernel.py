"""How close to the multiply-add peak of one core does the evaluation of a net come?

    python -m benchmarks.net_kernel                       # gcc, all instruction sets this CPU runs, 10 s each
    python -m benchmarks.net_kernel --cc clang --isa v4

Nets 12 -> W -> 20 with three residual SiLU layers of width W between a linear layer in and one out; float, one core.
The peak is that of independent multiply-adds on vectors of the same width, measured in the same process in turns with
the nets; v2 has no FMA and multiplies, then adds. All numbers are medians, `best` is the highest rate seen. Floating
point operations are those of the matrices alone: the activations, 3 W of them, and outputs that fill up vectors are
overhead. The last columns: microseconds for 32 cells of one net, and for two cells of each of 16 nets, whose weights no
longer fit into the second-level cache.

Second table: the net of width 96 on 1 to 4096 cells, one process and thread, in turns with TorchScript (frozen,
optimised for inference) and ONNX Runtime, CPU time; these are called from Python, at a few microseconds per call, ours
from a loop in C. What a call through the whole library costs from either side: per_call_overhead.
"""

import ctypes
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from . import frameworks
from .options import finish, make_parser, progress, start
from .timing import ROOT

FLAGS = "-O3 -std=gnu11 -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra".split()
ISAS = {
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    "v3": ["-march=x86-64-v3"],
    "v2": ["-march=x86-64-v2"],
    "native": ["-march=native"],
}
WIDTH, CELLS = 96, (1, 32, 256, 4096)
NEEDS = {"v4": "avx512dq", "v3": "fma", "v2": "sse4_2"}  # as in /proc/cpuinfo


def runnable():
    """The instruction sets of this CPU; the compiler's choice on other machines."""
    info = Path("/proc/cpuinfo")
    words = set(info.read_text().split()) if info.exists() else set()
    return [isa for isa, feature in NEEDS.items() if feature in words] or ["native"]


def measure(cc, isa, repeats):
    """Build and run net_kernel.c; lanes and one row per width."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "net_kernel"
        source = [f"-I{ROOT / 'bindings' / 'kernel'}", ROOT / "benchmarks" / "net_kernel.c", "-o", program]
        subprocess.run([cc, *FLAGS, *ISAS[isa], *source], check=True)
        result = subprocess.run([program, str(repeats)], check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def compare(cc, isa, repeats):
    """Medians of microseconds per call, ours and those of the frameworks, with medians of their ratios to ours."""
    weights, calls, left_out = frameworks.random_weights(WIDTH), {}, {}
    for name in ("torchscript", "onnxruntime"):
        try:
            calls[name] = getattr(frameworks, name)(weights)
        except ImportError as error:
            left_out[name] = str(error)
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory) / "net_kernel.so"
        source = [f"-I{ROOT / 'bindings' / 'kernel'}", ROOT / "benchmarks" / "net_kernel.c", "-o", library]
        subprocess.run([cc, *FLAGS, *ISAS[isa], "-fPIC", "-shared", *source], check=True)
        ours = ctypes.CDLL(str(library))
    ours.net_run.restype = ctypes.c_double
    ours.net_fill()
    rows = []
    for n in CELLS:
        x = np.random.default_rng(1).random((n, frameworks.N_IN), np.float32)
        times = {name: [] for name in ("ours", *calls)}
        n_calls = max(2048 // n, 1)
        for _ in progress(range(repeats + 2), desc=f"{n} cells"):
            times["ours"].append(1e6 * ours.net_run(WIDTH, n, 8 * n_calls))
            for name, call in calls.items():
                begin = time.process_time()
                for _ in range(n_calls):
                    call(x)
                times[name].append(1e6 * (time.process_time() - begin) / n_calls)
        us = {name: np.array(t[2:]) for name, t in times.items()}
        rows.append(
            {
                "cells": n,
                "us": {name: float(np.median(t)) for name, t in us.items()},
                "ratio": {name: float(np.median(us[name] / us["ours"])) for name in calls},
            }
        )
    return {"width": WIDTH, "isa": isa, "cc": cc, "rows": rows, "left_out": left_out}


def print_comparison(result):
    """The second table."""
    print(f"\nwidth {result['width']}, {result['isa']}, us per call (over ours)")
    for row in result["rows"]:
        print(
            f"{row['cells']:>6} cells"
            + "".join(
                f"   {name} {us:.2f}" + (f" ({row['ratio'][name]:.1f})" if name in row["ratio"] else "")
                for name, us in row["us"].items()
            )
        )
    for name, reason in result["left_out"].items():
        print(f"left out: {name}: {reason}")


def print_table(isa, cc, result):
    """What was measured, in the width of a terminal."""
    print(f"\n{isa}, {cc}: vectors of {result['lanes']} floats")
    print(f"{'width':>6}{'peak':>8}{'net':>8}{'best':>8}{'of peak':>9}{'us/cell':>9}{'32 cells':>10}{'16 experts':>12}")
    for r in result["nets"]:
        print(
            f"{r['width']:>6}{r['peak']:>8.1f}{r['gflops']:>8.1f}{r['best']:>8.1f}{r['share']:>9.1%}{r['us_cell']:>9.4f}"
            f"{r['us_32']:>10.2f}{r['us_32_experts']:>12.2f}"
        )


def main(arguments=None):
    """Measure, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--cc", nargs="+", default=["gcc"], help="compilers")
    parser.add_argument("--isa", nargs="+", choices=ISAS, default=runnable())
    parser.add_argument("--repeats", type=int, default=200)
    options = start(parser, arguments)
    repeats, isas = (2, options.isa[:1]) if options.quick else (options.repeats, options.isa)
    results = []
    for cc in options.cc:
        for isa in isas:
            result = measure(cc, isa, repeats)
            print_table(isa, cc, result)
            results.append({"cc": cc, "isa": isa, **result})
    comparison = compare(options.cc[0], isas[0], min(repeats, 40))
    print_comparison(comparison)
    finish("net_kernel", options, {"results": results, "frameworks": comparison})


if __name__ == "__main__":
    main()
