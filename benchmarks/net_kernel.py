"""How close to the multiply-add peak of one core does the evaluation of a net come?

    python -m benchmarks.net_kernel                       # gcc, all instruction sets this CPU runs, 10 s each
    python -m benchmarks.net_kernel --cc clang --isa v4

Nets 12 -> W -> 20 with three residual SiLU layers of width W between a linear layer in and one out; float, one core.
The peak is that of independent multiply-adds on vectors of the same width, measured in the same process in turns with
the nets; v2 has no FMA and multiplies, then adds. All numbers are medians, `best` is the highest rate seen. Floating
point operations are those of the matrices alone: the activations, 3 W of them, and outputs that fill up vectors are
overhead. The last columns: microseconds for 32 cells of one net, and for two cells of each of 16 nets, whose weights no
longer fit into the second-level cache.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from .timing import pin, save

ROOT = Path(__file__).resolve().parent.parent
FLAGS = "-O3 -std=gnu11 -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra".split()
ISAS = {
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    "v3": ["-march=x86-64-v3"],
    "v2": ["-march=x86-64-v2"],
    "native": ["-march=native"],
}
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
        source = [f"-I{ROOT / 'bindings' / 'src'}", ROOT / "benchmarks" / "net_kernel.c", "-o", program]
        subprocess.run([cc, *FLAGS, *ISAS[isa], *source], check=True)
        result = subprocess.run([program, str(repeats)], check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def print_table(isa, cc, result):
    """What was measured, in the width of a terminal."""
    print(f"\n{isa}, {cc}: vectors of {result['lanes']} floats")
    print(f"{'width':>6}{'peak':>8}{'net':>8}{'best':>8}{'of peak':>9}{'us/cell':>9}{'32 cells':>10}{'16 experts':>12}")
    for r in result["nets"]:
        print(f"{r['width']:>6}{r['peak']:>8.1f}{r['gflops']:>8.1f}{r['best']:>8.1f}{r['share']:>9.1%}{r['us_cell']:>9.4f}"
              f"{r['us_32']:>10.2f}{r['us_32_experts']:>12.2f}")  # fmt: skip


def main():
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cc", nargs="+", default=["gcc"], help="compilers")
    parser.add_argument("--isa", nargs="+", choices=ISAS, default=runnable())
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    pin()
    results = []
    for cc in options.cc:
        for isa in options.isa:
            result = measure(cc, isa, options.repeats)
            print_table(isa, cc, result)
            results.append({"cc": cc, "isa": isa, **result})
    print(f"\nGFLOP/s; written to {save('net_kernel', {'results': results})}")


if __name__ == "__main__":
    main()
