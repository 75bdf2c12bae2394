"""``surrogate adapt``."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ..evaluation.compare import table
from ..fit.adapt import adapt
from ..nets.model_file import read_arrays, shipped_files
from ..systems import SYSTEM_OPTION


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a model further on cells that were harvested in a run of yours, and say what it gained. An interrupted run
    continues when the same command is given again."""
    parser = argparse.ArgumentParser(prog="surrogate adapt", description=main.__doc__)
    parser.add_argument("model", metavar="MODEL", help=f"model file, or one that ships: {', '.join(shipped_files())}")
    parser.add_argument("--cells", required=True, nargs="+", metavar="FILE", help="harvested cells (.h5, .npy)")
    parser.add_argument("--out", required=True, metavar="FILE", help="model file (HDF5) to write; a picture beside it")
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of training (default 10); labels and calibration take some more"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--system", **SYSTEM_OPTION)
    parser.add_argument("--kind", metavar="MODULE:NAME", help="your own architecture, if the model file names one")
    options = parser.parse_args(arguments)
    command = shlex.join(["surrogate", "adapt", *(sys.argv[2:] if arguments is None else arguments)])
    if not options.minutes > 0:
        raise ValueError(f"--minutes is {options.minutes:g}: give a positive number")
    if _is_finished(options.out, command):
        return 0
    model = shipped_files().get(options.model, options.model)
    try:
        adapted = adapt(
            model,
            options.cells,
            options.out,
            minutes=options.minutes,
            system=options.system,
            kind=options.kind,
            seed=options.seed,
            threads=options.threads,
            metadata={"command": command},
        )
    except KeyboardInterrupt:
        print("interrupted: the same command continues", file=sys.stderr)
        return 130
    print(table(adapted.before, adapted.after))
    print(f"{options.out}: next: surrogate export {options.out} --to DIR")
    return 0


def _is_finished(out, command):
    """Whether the model file is there already, made by this command; ValueError if another one has made it."""
    if not Path(out).exists():
        return False
    if read_arrays(out)[1].get("command") != command:
        raise ValueError(f"{out} is there already, made by another command: give another --out, or remove it")
    print(f"{out}: finished already, nothing is done")
    return True
