"""How much faster do more ranks get through the same cells?

    python -m benchmarks.strong_scaling                # a few minutes

A tenth of 40,000 cells is hard, all on the first half of the ranks; see `benchmarks.ranks` for what is measured. Ranks
beyond the cores of the machine share them: there the efficiency (against the same ranks without any messages) still
tells what sharing costs, the time does not.
"""

import os

from .options import finish, make_parser, start
from .ranks import sweep, with_pool


def main(arguments=None):
    """Measure, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--cells", type=int, default=40_000, help="of all ranks")
    parser.add_argument("--repeats", type=int, default=11)
    options = start(parser, arguments, bind=False, ranks=[1, 2], cells=400, repeats=1)
    rows = with_pool(options, lambda pool: sweep(pool, options, lambda n: options.cells // n))
    one = next((r["seconds"]["world"] for r in rows if r["ranks"] == 1), None)
    for r in rows if one else ():
        faster = one / r["seconds"]["world"]
        print(f"{r['ranks']} ranks on {min(r['ranks'], os.cpu_count())} cores: {faster:.2f} times as fast")
    finish("strong_scaling", options, {"results": rows})


if __name__ == "__main__":
    main()
