"""How good does a net get that is trained without one label, from the equations alone, and what does it cost?

    python -m benchmarks.label_free                    # two minutes
    python -m benchmarks.label_free --only pollu       # one row; the others stay as they are recorded
    python -m benchmarks.label_free --general ism-atomic --minutes 15 --threads 2    # an hour: three nets
    python -m benchmarks.label_free --ingredients      # half an hour

Single starts (population `single` of the interstellar networks, two toys, ROBER, POLLU) for all times: log10 of the
relative error of every variable at 1000 times, at the 50/75/90/99/100 % quantiles, and the mean of |y - y_ref| in
units of the largest |y_ref|; the reference SciPy's Radau at 1e-11. `--seeds` draws of the hidden layers; the worst of
them is what the row says.

General models (`--general`): nets for any cell of population `wide`, trained by decades with each hop of
`training/fit/decades.py`, and from labels in the same time with the same experts; on `wide` cells and on a population
that none was trained on, beside doing nothing. Ingredients (`--ingredients`): those of a published recipe for training
on the residual, each left out and each alone (`training/pinn/ingredients.py`).
"""

import json
import tempfile

import torch
from surrogate.training.nets.experts import NetConfig
from surrogate.training.pinn.ingredients import SYSTEMS, print_recipes, run_recipes
from surrogate.training.pinn.single import CASES, measure, solve_single

from .label_free_general import BARS as GENERAL_BARS
from .label_free_general import WAYS, compare_general, print_general
from .options import finish, make_parser, progress, start
from .timing import RESULTS, ROOT

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
    """Solve, print, draw, save; what is not run anew is kept."""
    parser = make_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="ROW", help="single starts (default all)")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the hidden layers")
    parser.add_argument(
        "--general", nargs="+", choices=GENERAL_BARS, default=[], metavar="SYSTEM", help="general models"
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="to train them")
    parser.add_argument("--n", type=int, default=120_000, help="starts of a general model")
    parser.add_argument("--minutes", type=float, default=15.0, help="for each of them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", default=str(ROOT / "build" / "label_free"), metavar="DIR", help="their files")
    parser.add_argument("--ingredients", action="store_true", help="the table of ingredients")
    quick = {"seeds": 1, "only": ["toy-constant", "robertson"], "ways": ["solver"], "n": 400, "minutes": 0.02}
    options = start(parser, arguments, bind=False, **quick)
    torch.set_num_threads(options.threads)
    record = RESULTS / "label_free.json"
    kept = json.loads(record.read_text()) if record.exists() and not options.quick else {}
    rows, general, ingredients = (kept.get(key, {}) for key in ("rows", "general", "ingredients"))
    others = options.general or options.ingredients
    for name in progress(options.only or ([] if others else list(CASES))):
        rows[name] = run(name, options.seeds)
    with tempfile.TemporaryDirectory() as scratch:
        net, n_test = (NetConfig(16, 1, (1, 1, 2)), 200) if options.quick else (None, 10_000)
        for name in options.general:
            where = scratch if options.quick else options.runs
            sizes = (options.ways, options.n, options.minutes, options.threads, where, net, n_test)
            general[name] = general.get(name, {}) | compare_general(name, *sizes)
    if options.ingredients:
        effort = {"iterations": 6, "width": 4} if options.quick else {}
        ingredients = run_recipes(SYSTEMS, options.seeds, progress, **effort)
    print_table(rows)
    print_general(general)
    if ingredients:
        print_recipes(ingredients)
    if not options.quick:
        draw(rows).savefig(RESULTS / "label_free.png", dpi=100)
    data = {"minutes": MINUTES, "rows": rows, "general": general, "ingredients": ingredients}
    finish("label_free", options, data)


if __name__ == "__main__":
    main()
