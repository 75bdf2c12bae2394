"""What does training cost, how fast does the error fall, and after how many cell-steps has it paid for itself?

    python -m benchmarks.training_cost          # seconds; reads the model files and the record of accuracy_vs_cost
    python -m benchmarks.training_cost --curve 0.5 1 2 4    # and trains that many minutes each, from scratch

Core-hours on which a shipped model was trained (from its file), with those of its labels (measured: our solver at 1e-4
on a thousand `wide` cells, every pair of states at the price of a label: too much rather than too little). A cell-step
saves what the other solver costs at the step's own 99 % error less what the step costs; the break-even is their ratio.
`never`: the other is cheaper there. The curve: nets of the default size on one thread, 400,000 labels of `wide` cells,
each with a learning rate schedule of its own length; CPU time of the experts' training and of the judges' after it.
"""

import functools
import json
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from surrogate.training import get_system
from surrogate.training.nets.model_file import read_arrays
from surrogate.training.populations import wide

import surrogate

from .cases import SEED
from .options import finish, make_parser, progress, start
from .surrogate_accuracy import MODELS
from .timing import RESULTS, ZOO, median_seconds

OTHERS = ("ours", "lsodes-21", "lsodes-krome")


@functools.cache
def label_seconds(name, n):
    """Cost of one label of a network [core-s]."""
    model, system = surrogate.load(name), get_system(name)
    cells, dt = wide(system, n, SEED)
    stepper = model.stepper(rtol=1e-4, net=False)
    return median_seconds(lambda: stepper.step(cells.copy(), dt), 3) / n


def training(path, n):
    """Record of one model file."""
    _, metadata = read_arrays(path)
    recipe, history = metadata["train"], metadata.get("history", [])
    threads = re.search(r"--threads (\d+)", metadata["command"])  # of the experts; the recipe is that of the judges
    seconds = 60.0 * recipe["minutes"] * (int(threads[1]) if threads else recipe["threads"])
    labels = metadata["n_pairs"] * label_seconds(metadata["system"], n)
    return {
        "training_s": seconds,
        "labels_s": labels,
        "n_labels": metadata["n_pairs"],
        "history": [{"minutes": h["minutes"], "iteration": h["iteration"], "log10": h["quantiles"]} for h in history],
    }


def break_even(seconds, record):
    """Cell-steps after which `seconds` are saved, by population, tolerance of the step and other solver."""
    result = {}
    for population in ("wide", "relaxed"):
        case = record["populations"][population]
        for row in (r for r in case["rows"] if r["solver"] == "step" and r["rtol"] in (1e-1, 1e-2)):
            ratios = case["speedups"][f"{row['rtol']:g}"]
            for other in (o for o in OTHERS if ratios.get(o)):
                saving = 1e-6 * row["us"] * (ratios[other] - 1)
                result.setdefault(f"{population} {row['rtol']:g}", {})[other] = seconds / saving if saving > 0 else None
    return result


def learning_curve(name, minutes):
    """Errors after training from scratch for each of several times; rows as in the record."""
    rows = []
    with tempfile.TemporaryDirectory() as directory:

        def run(*words):
            command = [sys.executable, "-m", "surrogate", *map(str, words)]
            subprocess.run(command, check=True, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        common = ("labels", name, "--population", "wide", "--seed", 9)
        run(*common, "--n", 100_000, "--dts", 4, "--rtol", "1e-4", "--split", "train", "--out", "train.h5")
        run(*common, "--n", 10_000, "--rtol", "1e-6", "--split", "calibrate", "--out", "check.h5")
        for m in progress(minutes, desc="training"):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run(
                "train",
                name,
                "--labels",
                "train.h5",
                "--check",
                "check.h5",
                "--minutes",
                m,
                "--threads",
                1,
                "--out",
                f"{m}.h5",
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            last = read_arrays(Path(directory) / f"{m}.h5")[1]["history"][-1]
            rows.append(
                {
                    "minutes": m,
                    "cpu_minutes": (after.ru_utime - before.ru_utime) / 60,
                    "iteration": last["iteration"],
                    "log10": last["quantiles"],
                }
            )
    return rows


def main(arguments=None):
    """Read, measure, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--curve", nargs="+", type=float, default=[], metavar="MINUTES", help="train from scratch, too")
    options = start(parser, arguments)
    source = RESULTS / "accuracy_vs_cost.json"
    if not source.exists():
        raise SystemExit(f"{source} is missing: run `python -m benchmarks.accuracy_vs_cost` first")
    record, results = json.loads(source.read_text()), {}
    for path in (ZOO / f"{name}.h5" for name in MODELS):
        row = results[path.stem] = training(path, 64 if options.quick else 1024)
        hours = (row["training_s"] / 3600, row["labels_s"] / 3600)
        print(f"{path.stem:<22} training {hours[0]:.2f} core-h, {row['n_labels']} labels {hours[1]:.2f} core-h")
        if not row["history"]:
            print("  no history in the file: it was trained before they were kept")
        for h in row["history"][:: max(len(row["history"]) // 6, 1)]:
            print(
                f"  {h['minutes']:7.1f} min {h['iteration']:8d} it.   " + " ".join(f"{q:6.2f}" for q in h["log10"][:4])
            )
    name = record["model"]
    total = results[name]["training_s"] + results[name]["labels_s"]
    paid = break_even(total, record)
    print(f"\ncell-steps until {name} has paid for its {total / 3600:.2f} core-h")
    for case, others in paid.items():
        print(
            f"  {case:<14}"
            + "".join(f"{other} {'never' if x is None else format(x, '.1e'):<12}" for other, x in others.items())
        )
    curve = learning_curve(name, options.curve) if options.curve else []
    for r in curve:
        print(
            f"{r['minutes']:g} min ({r['cpu_minutes']:.1f} of CPU time), {r['iteration']} iterations: {r['log10'][:4]}"
        )
    finish(
        "training_cost",
        options,
        {"models": results, "break_even": {name: paid}, "curve": {name: curve}, "source_commit": record["commit"]},
    )


if __name__ == "__main__":
    main()
