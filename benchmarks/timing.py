"""Measuring and recording, shared by all benchmarks."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
#: the model files that ship
ZOO = ROOT / "training" / "zoo"


def pin(core=0):
    """Bind this process to one core; no-op where the system cannot."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})


def median_seconds(function, repeats=7):
    """Median process time of `function` after one warm-up call."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def machine():
    """CPU model, operating system and versions, for the record."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}


def compiler():
    """The C compiler and the flags with which model libraries are compiled here, for the record."""
    from surrogate.training.codegen.library import CFLAGS, ISA_FLAGS
    from surrogate.training.codegen.library import compiler as find

    cc = find()
    banner = subprocess.run([*cc, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
    return {"cc": banner, "flags": " ".join(CFLAGS), "isa": {isa: " ".join(flags) for isa, flags in ISA_FLAGS.items()}}


def commit():
    """Short hash of the checkout, with a + where it has changes other than results; None outside a checkout."""

    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changes = git("status", "--porcelain", "-uno", "--", ":/", ":!*.json", ":!*.png", ":!*.md")
    return (git("rev-parse", "--short", "HEAD") + ("+" if changes else "")) or None


def save(name, data, path=None):
    """Write a record, by default results/NAME.json, with machine, compiler, commit and command; returns its path."""
    path = Path(path or RESULTS / f"{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]])
    record = {"machine": machine(), "compiler": compiler(), "commit": commit(), "command": command, **data}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n")
    temporary.replace(path)
    return path
