"""``surrogate calibrate``."""

import argparse
from collections.abc import Sequence

from ..fit.calibrate import calibrate_file
from ..nets.calibration import CHANGE, CHEAP, ROUTES
from ..systems import SYSTEM_OPTION


def main(arguments: Sequence[str] | None = None) -> int:
    """Decide from held-out labels which predictions of a trained model may be accepted."""
    parser = argparse.ArgumentParser(prog="surrogate calibrate", description=main.__doc__)
    parser.add_argument("model", help="model file, changed in place")
    parser.add_argument(
        "--labels",
        required=True,
        nargs="+",
        metavar="FILE",
        help="one file per population, made with --split calibrate --dts 1",
    )
    parser.add_argument(
        "--domain",
        nargs="+",
        metavar="FILE",
        default=(),
        help="labels of the training (--split train), to find the domain anew",
    )
    parser.add_argument("--coverage", type=float, default=0.99, help="share of the accepted within rtol (default 0.99)")
    parser.add_argument(
        "--cheap",
        type=float,
        default=CHEAP,
        metavar="N",
        help=f"cells of fewer attempts go to the solver (default {CHEAP:g}; 0: none)",
    )
    parser.add_argument(
        "--change",
        type=float,
        default=CHANGE,
        metavar="X",
        help=f"e-folds below which errors count relative to the change over the step (default {CHANGE:g}; 0: never)",
    )
    parser.add_argument(
        "--routes",
        type=float,
        nargs="*",
        metavar="A",
        default=ROUTES,
        help="check each prediction by ways that stop at these fractions of the time step, e.g. 0.1 0.5 (default: "
        "none, the judge alone says what to expect)",
    )
    parser.add_argument("--system", **SYSTEM_OPTION)
    parser.add_argument("--kind", metavar="MODULE:NAME", help="your own architecture, if the model file names one")
    options = parser.parse_args(arguments)
    calibrate_file(
        options.model,
        options.labels,
        options.domain,
        options.coverage,
        options.cheap,
        options.change,
        options.routes,
        options.system,
        options.kind,
    )
    return 0
