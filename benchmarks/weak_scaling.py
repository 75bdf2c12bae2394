"""Does a step take longer where every rank adds its own cells?

    python -m benchmarks.weak_scaling                  # a few minutes

10,000 cells per rank, a tenth of all hard, all on the first half of the ranks; see `benchmarks.ranks` for what is
measured, and `benchmarks.strong_scaling` for ranks beyond the cores.
"""

import argparse

from .ranks import HEADER, row, run, with_pool
from .timing import save


def measure(pool, options):
    rows = []
    print(HEADER)
    for n_ranks in options.ranks:
        rows.append(run(n_ranks, pool, cells=options.cells, hard=0.1, owners=max(1, n_ranks // 2),
                        repeats=options.repeats, net=False))  # fmt: skip
        print(row(rows[-1]), flush=True)
    return rows


def main():
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--cells", type=int, default=10_000, help="per rank")
    parser.add_argument("--repeats", type=int, default=11)
    options = parser.parse_args()
    rows = with_pool(lambda pool: measure(pool, options))
    print(f"written to {save('weak_scaling', {'results': rows})}")


if __name__ == "__main__":
    main()
