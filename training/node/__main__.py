"""Command line: ``python -m surrogate.training.node table|train|currents|inverse|export``."""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from .currents import TRAINED, check_currents, fit_currents
from .data import DT, make_window, solve_truth
from .inverse import infer_conductances, summarise_estimates
from .learned import learned_system, load_net, save_net
from .table import AFTER, OURS, VARIANTS, print_table, reaches, run, run_all, summarise

NAMES = (*VARIANTS, *OURS, AFTER)


def bar(jobs):
    """Progress bar over the runs, on a terminal."""
    from tqdm import tqdm

    return tqdm(jobs, disable=None, leave=False)


def run_table(options):
    """Train all variants, or those named, and print them beside the published ones; takes up where it stopped."""
    torch.set_num_threads(1)
    rows = run_all(
        options.only or NAMES,
        lambda name: range(options.seeds if name == "ours" else options.other_seeds),
        options.to,
        options.epochs,
        options.end,
        progress=bar,
    )
    print_table(summarise(rows))


def run_train(options):
    """Train one variant and write the net."""
    torch.set_num_threads(1)
    truth = solve_truth(np.arange(round(options.end / DT)) * DT)
    row, net, theta = run(options.variant, options.seed, truth, options.epochs, report=_show())
    save_net(options.to, net, theta, seed=options.seed, current_low=10.0, current_high=10.0)
    for title, m in row["tests"].items():
        print(f"{title} ms: RMSE v {m['rmse'][0]} mV, phase {m['phase']} ms, F1 {m['f1']}")
    print(f"{options.to}: {row['cpu_s']:.0f} CPU s, {'within' if reaches(row) else 'not within'} the bar")


def run_currents(options):
    """Train one net for currents from 6.5 to 20 uA/cm^2, test it at and between those trained for, write it."""
    torch.set_num_threads(1)
    net, theta, _, seconds = fit_currents(seed=options.seed, report=_show())
    for current, m in check_currents(net, theta, min(options.end, 100.0)).items():
        kind = " (trained)" if m["trained"] else ""
        print(f"I = {current:4.1f}{kind:<10} RMSE v {m['rmse'][0]} mV, phase {m['phase']} ms, F1 {m['f1']}")
    save_net(options.to, net, theta, seed=options.seed, current_low=min(TRAINED), current_high=max(TRAINED))
    print(f"{options.to}: {seconds:.0f} CPU s")


def run_inverse(options):
    """Conductances from noisy windows: from each, with the spread that it predicts, and over all."""
    found = [infer_conductances(make_window(seed), options.guess) for seed in range(options.seeds)]
    for seed, e in enumerate(found):
        print(
            f"noise {seed}: "
            + ", ".join(f"{n} {g:.3f} +- {s:.3f}" for n, g, s in zip(("Na", "K", "leak"), e.g, e.spread))
        )
    summary = summarise_estimates(found)
    for name, true, mean, spread, predicted, inside in zip(("Na", "K", "leak"), *summary.values()):
        print(
            f"{name}: true {true}, mean {mean:.3f}, spread {spread:.3f}, predicted {predicted:.3f}, "
            f"{100 * inside:.0f} % within two predicted spreads"
        )


def _show():
    return (lambda i, value: print(f"\r{i:>6} {value:.2e}", end="\r", file=sys.stderr)) if sys.stderr.isatty() else None


def run_export(options):
    """Compile a net's vector field: a model library that the solver integrates in C."""
    from ..codegen.library import export_model

    net, theta, attributes = load_net(options.file)
    system = learned_system(
        net, theta, (attributes["current_low"], attributes["current_high"]), Path(options.file).stem
    )
    print(export_model(system, options.to))


def main(arguments=None):
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m surrogate.training.node", description=__doc__)
    parser.add_argument("--epochs", type=int, default=2000, help="of Adam, for the published variants (default 2000)")
    parser.add_argument("--end", type=float, default=1000.0, help="of the test [ms]")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("table", help=run_table.__doc__)
    command.add_argument("--only", nargs="+", choices=NAMES, metavar="VARIANT", help=", ".join(NAMES))
    command.add_argument("--seeds", type=int, default=10, help="initialisations of ours")
    command.add_argument("--other-seeds", type=int, default=1, help="of the others")
    command.add_argument("--to", default="build/node", metavar="DIR", help="finished runs (default build/node)")
    command.set_defaults(run=run_table)
    command = commands.add_parser("train", help=run_train.__doc__)
    command.add_argument("--variant", choices=NAMES, default="ours", metavar="VARIANT")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--to", required=True, metavar="FILE.h5")
    command.set_defaults(run=run_train)
    command = commands.add_parser("currents", help=run_currents.__doc__)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--to", required=True, metavar="FILE.h5")
    command.set_defaults(run=run_currents)
    command = commands.add_parser("inverse", help=run_inverse.__doc__)
    command.add_argument("--seeds", type=int, default=40, help="draws of the noise")
    command.add_argument(
        "--guess", type=float, nargs=3, default=(60.0, 60.0, 0.5), metavar="G", help="conductances to start from"
    )
    command.set_defaults(run=run_inverse)
    command = commands.add_parser("export", help=run_export.__doc__)
    command.add_argument("file", metavar="FILE.h5")
    command.add_argument("--to", required=True, metavar="DIR")
    command.set_defaults(run=run_export)
    options = parser.parse_args(arguments)
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
