"""What the command lines of all benchmarks share: --quick, --json, a progress bar, the record at the end."""

import argparse
import os

from .timing import pin, save


def make_parser(doc):
    """A parser with the common options and `doc`, the docstring of the script."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smallest sizes, to see it run: the numbers mean nothing")
    parser.add_argument(
        "--json",
        metavar="PATH",
        help="where the record goes (default: benchmarks/results/NAME.json; of a quick run: nowhere)",
    )
    return parser


def start(parser, arguments=None, bind=True, **quick):
    """Parse the command line, put the values in `quick` in place with --quick, bind the process to one core."""
    options = parser.parse_args(arguments)
    for name, value in quick.items() if options.quick else ():
        setattr(options, name, value)
    options.load_before = os.getloadavg()[0]  # of the last minute: what else the machine had to do
    if bind:
        pin()
    return options


def progress(items, **named):
    """`items` with a bar and an estimate, on a terminal."""
    from tqdm import tqdm

    return tqdm(items, disable=None, leave=False, **named)


def finish(name, options, data):
    """Write the record and say where."""
    if options.quick and not options.json:
        print("\nquick run: nothing written")
    else:
        print(f"\nwritten to {save(name, {'load_before': options.load_before, **data}, options.json)}")
