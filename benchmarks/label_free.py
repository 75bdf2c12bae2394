"""How good does a net get that is trained without one label, from the equations alone, and what does it cost?

    python -m benchmarks.label_free                    # two minutes
    python -m benchmarks.label_free --only pollu       # one row; the others stay as they are recorded

Single starts (population `single` of the interstellar networks, two toys, ROBER, POLLU) for all times: log10 of the
relative error of every variable at 1000 times, at the 50/75/90/99/100 % quantiles, and the mean of |y - y_ref| in
units of the largest |y_ref|; the reference SciPy's Radau at 1e-11. `--seeds` draws of the hidden layers; the worst of
them is what the row says.
"""

import json

import torch
from surrogate.training.pinn.single import CASES, measure, solve_single

from .options import finish, make_parser, progress, start
from .timing import RESULTS

#: log10 of the relative error at 50/75/90 %, or the mean error, to be reached, and the CPU minutes for it
BARS = {
    "ism-atomic": [-4.0, -3.5, -3.0],
    "ism-molecular": [-4.0, -3.5, -3.0],
    "toy-constant": 1e-6,
    "toy-periodic": 1e-6,
}
MINUTES = 30


def run(name, seeds):
    """The worst of `seeds` draws, by the 90 % quantile."""
    runs = [measure(name, solve_single(name, seed=100 * seed)) for seed in range(seeds)]
    row = max(runs, key=lambda r: r["quantiles"][2])
    return {"single": True, "bar": BARS.get(name), "seeds": seeds, "cpu_s_all": [r["cpu_s"] for r in runs], **row}


def reaches(row):
    """Whether a row is within its bar, or None where there is none."""
    bar = row["bar"]
    if bar is None:
        return None
    is_good = all(q <= b for q, b in zip(row["quantiles"], bar)) if isinstance(bar, list) else row["mean"] <= bar
    return is_good and max(row["cpu_s_all"]) <= 60 * MINUTES


def print_table(rows):
    """What the rows of single starts say."""
    heads = "".join(f"{f'{level} %':>7}" for level in (50, 75, 90, 99, 100))
    print(f"{'single start':<16}{heads}{'mean':>9}{'windows':>9}{'CPU s':>7}")
    for name, row in rows.items():
        if row.get("single"):
            levels = "".join(f"{q:>7.2f}" for q in row["quantiles"])
            verdict = {True: "within the bar", False: "not within the bar", None: ""}[reaches(row)]
            print(f"{name:<16}{levels}{row['mean']:>9.1e}{row['windows']:>9}{row['cpu_s']:>7.1f}  {verdict}")


def draw(rows):
    """Errors of the single starts beside the published ones."""
    import matplotlib.pyplot as plt

    rows = {name: row for name, row in rows.items() if row.get("single")}
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for k, (name, row) in enumerate(rows.items()):
        axis.plot((50, 75, 90, 99, 100), row["quantiles"], "o-", color=f"C{k}", label=name)
        if isinstance(row["bar"], list):
            axis.plot((50, 75, 90), row["published"], "x:", color=f"C{k}", label=f"{name}, published")
    axis.set(xlabel="quantile [%]", ylabel="log10 relative error", title="one start, all times, no labels")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, ncols=2)
    return figure


def main(arguments=None):
    """Solve, print, draw, save; rows that are not run anew are kept."""
    parser = make_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="ROW", default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3, help="draws of the hidden layers")
    options = start(parser, arguments, bind=False, seeds=1, only=["toy-constant", "robertson"])
    torch.set_num_threads(1)
    record = RESULTS / "label_free.json"
    rows = json.loads(record.read_text())["rows"] if record.exists() and not options.quick else {}
    for name in progress(options.only):
        rows[name] = run(name, options.seeds)
    print_table(rows)
    if not options.quick:
        draw(rows).savefig(RESULTS / "label_free.png", dpi=100)
    finish("label_free", options, {"minutes": MINUTES, "rows": rows})


if __name__ == "__main__":
    main()
