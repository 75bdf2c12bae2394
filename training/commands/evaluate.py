"""``surrogate evaluate``."""

import argparse
from collections.abc import Sequence

from ..evaluation.report import report
from ..systems import SYSTEM_OPTION


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a calibrated model on test labels: tables on the terminal, pictures beside the model."""
    parser = argparse.ArgumentParser(prog="surrogate evaluate", description=main.__doc__)
    parser.add_argument("model", help="model file")
    parser.add_argument("--labels", required=True, nargs="+", metavar="FILE", help="made with --split test --dts 1")
    parser.add_argument("--plots", metavar="DIR", help="where pictures go (default: beside the model)")
    parser.add_argument("--system", **SYSTEM_OPTION)
    parser.add_argument("--kind", metavar="MODULE:NAME", help="your own architecture, if the model file names one")
    options = parser.parse_args(arguments)
    report(options.model, options.labels, options.plots, options.system, options.kind)
    return 0
