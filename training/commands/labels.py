"""``surrogate labels``."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from surrogate.report import UNTOUCHED

from ..labels import make_labels
from ..populations import POPULATION_HELP, SPLITS
from ..systems import SYSTEM_HELP


def _range(text):
    name, _, ends = text.partition("=")
    zero = (0.0,) if ends.startswith("0,") else ()
    low, _, high = ends.removeprefix("0,").partition(":")
    return name, (*zero, float(low), float(high))


def main(arguments: Sequence[str] | None = None) -> int:
    """Make labels for training. An interrupted run continues when the same command is given again."""
    parser = argparse.ArgumentParser(prog="surrogate labels", description=main.__doc__)
    parser.add_argument("system", metavar="SYSTEM", help=SYSTEM_HELP)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--population", help=POPULATION_HELP)
    source.add_argument(
        "--cells",
        nargs="+",
        metavar="FILE",
        help="cells of your own: .h5, .npy, .npz or .csv with columns named as variables, dt and parameters of SYSTEM",
    )
    parser.add_argument("--n", type=int, help="trajectories (default with --cells: one for each of the split)")
    parser.add_argument("--dts", type=int, default=1, help="labels per trajectory (default 1)")
    parser.add_argument("--rtol", type=float, help="relative error of the library's solver, e.g. 1e-4")
    parser.add_argument("--atol-frac", type=float, help="absolute error, of the total density (default 1e-10 rtol)")
    parser.add_argument(
        "--max-step", type=float, help="longest step of the library's solver, in the system's unit of time"
    )
    parser.add_argument("--split", required=True, choices=SPLITS)
    parser.add_argument("--seed", required=True, type=int, help="number of the set within its split")
    parser.add_argument("--out", required=True, metavar="FILE", help="HDF5 file to write or to continue")
    parser.add_argument("--model", help="model library that holds the solver (default: the one named like SYSTEM)")
    parser.add_argument("--advance", metavar="MODULE:FUNCTION", help="your own solver: advance(cells, dt) -> cells")
    parser.add_argument(
        "--dt-range",
        type=float,
        nargs=2,
        metavar=("SHORTEST", "LONGEST"),
        help="time steps, where the cells bring none",
    )
    parser.add_argument(
        "--param",
        type=_range,
        action="append",
        default=[],
        metavar="NAME=[0,]LOWER:UPPER",
        help="vary a parameter, with 0, also let it be absent; may be repeated",
    )
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--mpi", action="store_true", help="under mpiexec: all ranks compute, rank 0 writes")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    if options.advance:
        sys.path.append(os.getcwd())  # where it may live
    try:
        labels = make_labels(
            options.system,
            options.out,
            population=options.population,
            cells=options.cells,
            n=options.n,
            split=options.split,
            seed=options.seed,
            dts=options.dts,
            rtol=options.rtol,
            atol_frac=options.atol_frac,
            max_step=options.max_step,
            model=options.model,
            advance=options.advance,
            dt_range=options.dt_range and tuple(options.dt_range),
            param_ranges=dict(options.param),
            processes=options.processes,
            mpi=options.mpi,
            progress=not options.quiet,
        )
    except KeyboardInterrupt:
        saved = Path(options.out).exists()
        text = "the same command continues" if saved else "nothing was saved yet, the same command begins anew"
        print(f"interrupted: {text}", file=sys.stderr)
        return 130
    except OSError as error:
        if error.filename in (options.cells or ()):
            raise
        raise ValueError(f"{options.out}: {error.strerror or error} ({error.filename or options.out})") from error
    if labels is not None:
        n_failed = int((labels.status >= UNTOUCHED).sum())
        print(f"{options.out}: {labels.status.size} labels of {labels.meta['system']}, {n_failed} failed")
    return 0
