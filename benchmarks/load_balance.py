"""What does sharing gain where one rank owns the shock, and what does it cost where nobody does?

    python -m benchmarks.load_balance                  # a few minutes

See `benchmarks.ranks` for what is measured. Two ranks; 10 % of all cells are hard and all on the first; then none.
"""

from .options import finish, make_parser, start
from .ranks import HEADER, row, run, with_pool


def measure(pool, options):
    rows = []
    print(HEADER)
    for n_ranks in options.ranks:
        for hard in (0.1, 0.0):
            for net in (False, True):
                owners = max(1, n_ranks // 2)
                rows.append(
                    run(n_ranks, pool, cells=options.cells, hard=hard, owners=owners, repeats=options.repeats, net=net)
                )
                print(row(rows[-1]), flush=True)
    return rows


def main(arguments=None):
    """Measure, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2])
    parser.add_argument("--cells", type=int, default=20_000, help="per rank")
    parser.add_argument("--repeats", type=int, default=21)
    options = start(parser, arguments, bind=False, cells=200, repeats=1)
    rows = with_pool(options, lambda pool: measure(pool, options))
    for r in rows:
        if r["hard"] == 0:
            print(
                f"{r['ranks']} ranks, net {r['net']}, nothing hard: sharing costs "
                f"{100 * (r['world_over_off'] - 1):+.1f} % of the "
                f"chemistry, {100 * (r['cpu_world_over_off'] - 1):+.1f} % in CPU time"
            )
    finish("load_balance", options, {"results": rows})


if __name__ == "__main__":
    main()
