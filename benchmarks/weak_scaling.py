"""Does a step take longer where every rank adds its own cells?

    python -m benchmarks.weak_scaling                  # a few minutes

10,000 cells per rank, a tenth of all hard, all on the first half of the ranks; see `benchmarks.ranks` for what is
measured, and `benchmarks.strong_scaling` for ranks beyond the cores.
"""

from .options import finish, make_parser, start
from .ranks import sweep, with_pool


def main(arguments=None):
    """Measure, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--cells", type=int, default=10_000, help="per rank")
    parser.add_argument("--repeats", type=int, default=11)
    options = start(parser, arguments, bind=False, ranks=[1, 2], cells=200, repeats=1)
    rows = with_pool(options, lambda pool: sweep(pool, options, lambda _: options.cells))
    finish("weak_scaling", options, {"results": rows})


if __name__ == "__main__":
    main()
