"""Put the tables between their markers in README.md and benchmarks/README.md, from results/*.json: ``make tables``.

A table is a function of this module, named as in the marker ``<!-- table: NAME -->``; it takes the record of the
script that it is named after (or begins with) and returns Markdown.
"""

import json
import re

from .errors import P99
from .timing import RESULTS, ROOT

PAGES = (ROOT / "README.md", ROOT / "benchmarks" / "README.md")
OUR_RTOLS = (1e-1, 1e-2, 1e-4, 1e-6)
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)


def read(name):
    """The record of a script."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def table(head, rows):
    """Markdown of a table whose first column is text."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def origin(record):
    """Where the numbers come from, one line."""
    load = f", load before {record['load_before']:.1f}" if "load_before" in record else ""
    return f"{record['machine']['cpu']}, commit {record['commit']}, `{record['command']}`{load}.\n\n"


def number(x, form=".1f"):
    """A number, or a dash for none."""
    return "-" if x is None else format(x, form)


def left_out(record):
    """What could not be had, and why."""
    return "".join(f"\n\nLeft out: {name} ({reason})." for name, reason in record.get("left_out", {}).items())


def solver_cost():
    """Cost and error of our solver and its opponents."""
    ours, their_rtols = ("ours", "ours (AVX2)", "ours (SSE4)"), (1e-3, 1e-4, 1e-6)
    record = read("solver_cost")
    head, rows = ["solver", "rtol"], []
    for name in record["populations"]:
        head += [f"{name} [us]", "99 %", "over ours"]
    for line in zip(*(case["rows"] for case in record["populations"].values())):
        solver, rtol = line[0]["solver"], line[0]["rtol"]
        if rtol not in (OUR_RTOLS if solver in ours else () if "ours" in solver else their_rtols):
            continue
        cells = [solver, f"{rtol:.0e}"]
        for row in line:
            us = f"{row['us']:.1f}" + (f" ({row['failed']} failed)" if row["failed"] else "")
            cells += [us, f"{row['errors'][P99]:.1e}", number(row["ratio"]) if row["ratio"] else ""]
        rows.append(cells)
    return origin(record) + table(head, rows) + left_out(record)


#: what the whole step is compared with, and what a column says of it
OTHERS = {
    "ours": "over our solver",
    "lsodes-21": "over LSODES",
    "cvode-dense": "over CVODE",
    "lsodes-krome": "over KROME's LSODES",
    "published way": "the published way",
}


def accuracy_rows(record, populations, others, with_aims=True):
    """Rows of the whole step: cost, error, share of the net, and how much more the others cost at that error."""
    for name in populations:
        case = record["populations"][name]
        for step in (r for r in case["rows"] if r["solver"] == "step" and r["rtol"] in (1e-1, 1e-2)):
            faster = case["speedups"][f"{step['rtol']:g}"]
            aims = case["aims"] if with_aims and step["rtol"] == 1e-2 else {}
            texts = [number(faster.get(o)) + (f" (aim {aims[o]})" if o in aims else "") for o in others]
            costs = [f"{step['us']:.2f}", f"{step['errors'][P99]:.1e}", f"{100 * step['shares'].get('net', 0):.1f} %"]
            yield [name, f"{step['rtol']:g}", *costs, *texts]


def accuracy_vs_cost():
    """The whole step against all others at equal error."""
    record = read("accuracy_vs_cost")
    head = ["cells", "rtol", "step [us]", "99 % error", "net", *OTHERS.values()]
    rows = accuracy_rows(record, record["populations"], OTHERS)
    published = ", ".join(map(str, record["published"]))
    return (
        origin(record)
        + table(head, rows)
        + f"\n\nPublished, over KROME, for four models: {published}."
        + left_out(record)
    )


def accuracy_vs_cost_short():
    """The same for the three populations, without the published way."""
    record, others = read("accuracy_vs_cost"), [name for name in OTHERS if name != "published way"]
    head = ["cells", "rtol", "step [us]", "99 % error", "by the net", *(OTHERS[name] for name in others)]
    return origin(record) + table(head, accuracy_rows(record, ("wide", "relaxed", "hydro"), others, False))


def aims():
    """What was aimed at, and what came out."""
    solvers, steps, kernel = read("solver_cost"), read("accuracy_vs_cost"), read("net_kernel")
    rows = []

    def row(what, aim, value, unit="x"):
        text = "not measured" if value is None else f"{value:.0f} {unit}" if value >= 20 else f"{value:.1f} {unit}"
        rows.append([what, f"{aim} {unit}", text, "" if value is None else "met" if value >= aim else "**missed**"])

    for mode, name in (("lsodes-21", "LSODES"), ("cvode-dense", "CVODE")):
        for r in solvers["populations"]["wide"]["rows"]:
            if r["solver"] == mode:
                row(f"our solver over {name} on `wide`, at the error of its rtol {r['rtol']:g}", 10, r["ratio"])
    for population, case in steps["populations"].items():
        for other, aim in case["aims"].items():
            name = {"ours": "our solver", "lsodes-krome": "KROME's LSODES"}[other]
            row(f"step at 1e-2 over {name} on `{population}`, equal error", aim, case["speedups"]["0.01"].get(other))
    best = next(r for r in kernel["results"] if r["isa"] == kernel["frameworks"]["isa"])
    for net in best["nets"]:
        if net["width"] in (64, 96, 128):
            row(f"net of width {net['width']}, share of the multiply-add peak", 85, 100 * net["share"], "%")
    for r in kernel["frameworks"]["rows"]:
        for name, ratio in r["ratio"].items():
            if r["cells"] in (32, 4096):
                row(f"net over {name} at {r['cells']} cells", 3 if r["cells"] == 32 else 1.5, ratio)
    return table(["aim", "at least", "measured", ""], rows)


def surrogate_accuracy():
    """Table 2 of the paper beside ours."""
    record, rows = read("surrogate_accuracy"), []
    for name, model in record["models"].items():
        rows.append([f"`{name}`", "published", *(f"{q:.2f}" for q in model["published"]), "", "", ""])
        for population, row in model["populations"].items():
            rows.append(
                [
                    "",
                    population,
                    *(f"{q:.2f}" for q in row["log10"][:4]),
                    f"{row['nothing'][P99]:.1f}",
                    f"{row['noise'][P99]:.1f}",
                ]
            )
    head = ["model", "cells", "50 %", "75 %", "90 %", "99 %", "doing nothing, 99 %", "noise, 99 %"]
    return origin(record) + table(head, rows)


def surrogate_accuracy_sweep():
    """One time step for all `wide` cells."""
    record = read("surrogate_accuracy")
    rows = []
    for name in ("ism-molecular", "ism-atomic"):
        for row in record["models"][name]["sweep"]:
            rows.append(
                [
                    f"`{name}`",
                    f"{row['years']:g}",
                    *(f"{a:.2f} / {b:.2f}" for a, b in (row["net"], row["nothing"], row["noise"])),
                ]
            )
    return origin(record) + table(
        ["model", "dt [yr]", "net alone, 50 / 99 %", "doing nothing", "noise of the reference"], rows
    )


def cost_variance():
    """Spread of costs over cells."""
    record, rows = read("cost_variance"), []
    for name, case in record["populations"].items():
        for solver, row in case["costs"].items():
            _, middle, high, most = row["quantiles"]
            rows.append(
                [
                    name,
                    solver,
                    *(f"{x:.1f}" for x in (row["mean"], middle, high, most, row["spread"])),
                    f"{row['variation']:.2f}",
                    f"{row['block']:.2f}",
                ]
            )
    head = ["cells", "solver", "mean [us]", "50 %", "99 %", "99.9 %", "spread", "variation", "block"]
    return origin(record) + table(head, rows)


def cost_variance_status():
    """What a cell costs by what happened to it."""
    record, rows = read("cost_variance"), []
    for name, case in record["populations"].items():
        rows += [
            [name, status, f"{100 * row['share']:.1f} %", number(row["us"], ".2f")]
            for status, row in case["status"].items()
        ]
    return origin(record) + table(["cells", "status", "share", "us"], rows)


def rollout_drift():
    """Errors over successive steps."""
    record, rows = read("rollout_drift"), []
    marks = [r["steps"] for r in next(iter(record["results"][0]["rows"].values()))]
    for case in record["results"]:
        for name, row in case["rows"].items():
            rows.append(
                [
                    case["population"],
                    f"{case['years']:g}",
                    name,
                    *(f"{r['errors'][1]:.0e}" for r in row),
                    f"{100 * row[-1]['net']:.1f} %",
                ]
            )
    return origin(record) + table(["cells", "dt [yr]", "advanced by", *map(str, marks), "net"], rows)


def hydro_drift():
    """Errors of runs of gas dynamics, with the net and without."""
    record, rows = read("hydro_drift"), []
    results = record["results"]
    for solver, net in zip(results[::2], results[1::2]):
        errors = [f"{r['errors'][k][1]:.0e}" for k in net["errors"] for r in (solver, net)]
        rows.append(
            [
                net["scene"],
                f"{net['rtol']:g}",
                *errors,
                f"{solver['us']:.2f}",
                f"{net['us']:.2f}",
                f"{100 * net['net']:.1f} %",
            ]
        )
    names = [f"{k}, {how}" for k in results[0]["errors"] for how in ("solver", "with net")]
    return origin(record) + table(["scene", "rtol", *names, "solver [us]", "with net", "net"], rows)


def calibration():
    """Acceptance and coverage."""
    record, rows = read("calibration"), []
    for name in ("wide", "relaxed", "hydro"):
        for row in record[name]["rows"]:
            within = number(row["within"] and 100 * row["within"], ".2f")
            rows.append(
                [
                    name,
                    f"{row['rtol']:g}",
                    *(f"{100 * row[k]:.1f}" for k in ("net", "quick", "outside")),
                    within,
                    f"{100 * row['step_within']:.2f}",
                ]
            )
    head = [
        "cells",
        "rtol",
        "net [%]",
        "quick to solve [%]",
        "outside [%]",
        "net's within rtol [%]",
        "all within rtol [%]",
    ]
    return origin(record) + table(head, rows)


def trust():
    """What the net takes of each population, how much of that is right, and what the step saves."""
    record, rows = read("trust"), []
    for name, cases in record["populations"].items():
        for row in cases:
            right = "" if row["within"] is None else f"{100 * row['within']:.2f} ({100 * (row['bound'] or 0):.2f})"
            rows.append(
                [
                    name,
                    f"{row['rtol']:g}",
                    f"{100 * row['hard']:.0f}",
                    f"{100 * row['outside']:.0f}",
                    f"{100 * row['taken']:.1f}",
                    right,
                    f"{row['us']:.2f}",
                    f"{row['solver_us']:.2f}",
                    number(row["faster"]),
                ]
            )
    head = [
        "cells",
        "rtol",
        "hard [%]",
        "outside [%]",
        "taken [%]",
        "within [%] (at least)",
        "step [us]",
        "solver [us]",
    ]
    return origin(record) + table([*head, "faster at equal error"], rows)


def calibration_shifted():
    """Populations unlike those of the training."""
    record, rows = read("calibration"), []
    for name, row in record["shifted"].items():
        shares = ", ".join(f"{status} {100 * share:.1f} %" for status, share in row["shares"].items())
        rows.append([name, shares, number(row["within"] and 100 * row["within"])])
    return origin(record) + table(["`wide` cells with", "status at rtol 0.1", "net's within 0.1 [%]"], rows)


def training_cost():
    """What training took, and after how many cell-steps it pays."""
    record, others = read("training_cost"), ("ours", "lsodes-21", "lsodes-krome")
    rows, paid, curve = [], [], []
    for name, row in record["models"].items():
        course = [f"{h['minutes']:.0f} min {h['log10'][0]:.2f}/{h['log10'][3]:.2f}" for h in row["history"]]
        hours = (f"{row[key] / 3600:.2f}" for key in ("training_s", "labels_s"))
        rows.append([f"`{name}`", *hours, "; ".join(course[:: max(len(course) // 4, 1)]) or "not in the file"])
    for name, cases in record["break_even"].items():
        for case, steps in cases.items():
            texts = [("never" if steps[o] is None else f"{steps[o]:.1e}") if o in steps else "-" for o in others]
            paid.append([f"{name}, {case}", *texts])
    for name, points in record["curve"].items():
        for r in points:
            logs = (f"{q:.2f}" for q in r["log10"][:4])
            curve.append([f"`{name}`", f"{r['minutes']:g}", f"{r['cpu_minutes']:.1f}", r["iteration"], *logs])
    text = table(["model", "training [core-h]", "labels [core-h]", "log10 error on the way, 50 / 99 %"], rows)
    text += "\n\nCell-steps until that is saved, at equal error:\n\n"
    text += table(["model, cells, rtol", "over our solver", "over LSODES", "over KROME's LSODES"], paid)
    if curve:
        text += "\n\nFrom scratch, on 400,000 labels of `wide` cells; log10 of the error on others:\n\n"
        text += table(["model", "minutes", "CPU minutes", "iterations", "50 %", "75 %", "90 %", "99 %"], curve)
    return origin(record) + text


def net_kernel():
    """The kernel beside frameworks."""
    record, rows = read("net_kernel"), []
    for row in record["frameworks"]["rows"]:
        names = ("torchscript", "onnxruntime")
        rows.append(
            [
                row["cells"],
                f"{row['us']['ours']:.2f}",
                *(f"{row['us'][n]:.1f} ({row['ratio'][n]:.1f}x)" if n in row["us"] else "-" for n in names),
            ]
        )
    peak = [
        [r["isa"], *(f"{100 * n['share']:.0f} %" for n in r["nets"])] for r in record["results"] if r["cc"] == "gcc"
    ]
    widths = [str(n["width"]) for n in record["results"][0]["nets"]]
    return (
        origin(record)
        + "Share of the multiply-add peak, by width:\n\n"
        + table(["", *widths], peak)
        + "\n\nMicroseconds per call, width 96:\n\n"
        + table(["cells", "ours", "TorchScript", "ONNX Runtime"], rows)
        + left_out(record["frameworks"])
    )


def per_call_overhead():
    """Cost of a call with one and with 32 cells."""
    from .per_call_overhead import WHAT

    record, rows = read("per_call_overhead"), []
    for name, text in WHAT.items():
        row = record["results"][name]
        rows.append([text, f"{row['us']['1']:.1f}", f"{row['us']['32']:.1f}", f"{row['resident_mb']:.0f}"])
    return origin(record) + table(["", "1 cell [us]", "32 cells [us]", "resident [MB]"], rows)


def routing():
    """What policies of asking the net cost."""
    record, rows = read("routing"), []
    names = list(record["results"][0]["policies"])
    for r in record["results"]:
        texts = (f"{p['us']:.2f} {p['error']:.1f} {100 * p['net']:.0f} %" for p in r["policies"].values())
        rows.append([f"{r['population']}, {r['rtol']:g}", *texts])
    return origin(record) + table(["cells, rtol", *names], rows)


def memory():
    """Resident memory and disk."""
    record = read("memory")
    rows = [[name, f"{r['peak_mb']:.0f}", f"{r['disk_mb']:.0f}"] for name, r in record["results"].items()]
    return origin(record) + table(["", "peak resident [MB]", "disk [MB]"], rows) + left_out(record)


def grackle_cost():
    """Grackle on its comparable problem."""
    record, rows = read("grackle_cost"), []
    for row in record["results"]:
        theirs = row["grackle"]
        parts = [(theirs["us"], theirs["errors"]), *((r["us"], r["errors"]) for r in row["ours"])]
        given_up = f"{100 * theirs['given_up']:.1f} %"
        texts = (f"{us:.1f} ({errors[0]:.0e}, {errors[P99]:.0e})" for us, errors in parts)
        rows.append([f"{row['years']:g}", given_up, *texts])
    head = ["dt [yr]", "given up", "Grackle [us] (50, 99 % error)", "ours at 0.1", "ours at 1e-2"]
    return origin(record) + table(head, rows)


RANKS_HEAD = ["ranks", "cells per rank", "fair [ms]", "as they lie [ms]", "shared [ms]", "efficiency, as they lie"]
RANKS_HEAD += ["shared", "in CPU time, as they lie", "shared", "imbalance", "sent [kB]"]


def ranks_row(r):
    """What the ranks of one row of `benchmarks.ranks` took."""
    ms = (f"{1e3 * r['seconds'][key]:.1f}" for key in ("alone", "off", "world"))
    efficiencies = (f"{r[kind][key]:.2f}" for kind in ("efficiency", "cpu_efficiency") for key in ("off", "world"))
    before, after = r["imbalance"]
    return [r["ranks"], r["cells_per_rank"], *ms, *efficiencies, f"{before:.2f} to {after:.2f}", f"{r['kB']:.0f}"]


def strong_scaling(name="strong_scaling"):
    """The same cells on more ranks."""
    record = read(name)
    return origin(record) + table(RANKS_HEAD, [ranks_row(r) for r in record["results"]])


def weak_scaling():
    """More cells on more ranks."""
    return strong_scaling("weak_scaling")


def load_balance():
    """With a shock on one rank, and where nothing is hard."""
    record = read("load_balance")
    names = (f"{100 * r['hard']:.0f} % hard, {'net' if r['net'] else 'solver'}" for r in record["results"])
    rows = [[name, *ranks_row(r)] for name, r in zip(names, record["results"])]
    return origin(record) + table(["cells", *RANKS_HEAD], rows)


def balance_simulation():
    """The plan on up to 1e5 ranks."""
    record, rows = read("balance_simulation"), []
    for r in record["results"]:
        (before, after), efficiency, (hard, share) = r["imbalance"], r["efficiency"], r["scene"]
        if r["ranks"] < 100:
            continue
        scene, imbalance = f"{100 * hard:g} % on {100 * share:g} %", f"{before:.1f} to {after:.2f}"
        efficiencies = (f"{efficiency[key]:.2f}" for key in ("off", "world"))
        rows.append(
            [
                scene,
                r["ranks"],
                r["interval"],
                imbalance,
                *efficiencies,
                f"{1e3 * r['seconds']['plan']:.2f}",
                r["most_messages"],
                f"{r['MB']:.0f}",
            ]
        )
    head = ["hard", "ranks", "steps per plan", "imbalance", "efficiency, as they lie", "shared", "plan [ms]"]
    return origin(record) + table([*head, "messages of a rank, at most", "sent [MB]"], rows)


def balance_compared():
    """Simulated ranks beside real ones."""
    record, rows = read("balance_simulation"), []
    for r in record["compared"]:
        simulated, measured = r["simulated"], r["measured"]
        pairs = [(x["imbalance"], x[kind]) for x, kind in ((simulated, "efficiency"), (measured, "cpu_efficiency"))]
        texts = ([f"{a:.2f} to {b:.2f}", f"{e['off']:.2f}", f"{e['world']:.2f}"] for (a, b), e in pairs)
        rows.append([measured["ranks"], *(text for three in texts for text in three)])
    head = ["ranks", "simulated: imbalance", "efficiency, as they lie", "shared"]
    return origin(record) + table([*head, "measured: imbalance", "efficiency in CPU time, as they lie", "shared"], rows)


def hodgkin_huxley():
    """Learned vector fields beside the published ones: medians over the initialisations."""
    record, rows = read("hodgkin_huxley"), []
    for name, row in record["variants"].items():
        published = row["published"] or [None] * 6
        cells = [name, *(number(published[k], ".2f") for k in (0, 1, 5))]
        for window in ("14.68-100", "100-1000"):
            cells += [number(row["windows"][window][k]["median"], ".2g") for k in ("rmse", "phase", "f1")]
        rows.append([*cells, f"{row['cpu_s']:.0f}", f"{row['reached']} of {row['runs']}"])
    measures = ["RMSE v [mV]", "phase [ms]", "F1"]
    head = [
        "",
        *(f"published: {m}" if m == measures[0] else m for m in measures),
        *(f"to {end} ms: {m}" if m == measures[0] else m for end in (100, 1000) for m in measures),
    ]
    return origin(record) + table([*head, "CPU s", "within the bar"], rows)


def label_free():
    """Single starts solved without labels."""
    record, rows = read("label_free"), []
    for name, row in record["rows"].items():
        published = row["published"]
        published = "/".join(map(str, published)) if isinstance(published, list) else number(published, "g")
        quantiles = (f"{q:.2f}" for q in row["quantiles"])
        rows.append([f"`{name}`", *quantiles, f"{row['mean']:.1e}", row["windows"], f"{row['cpu_s']:.1f}", published])
    head = ["start", *(f"{level} %" for level in (50, 75, 90, 99, 100)), "mean", "windows", "CPU s"]
    return origin(record) + table([*head, "published, 50/75/90 % or mean"], rows)


def label_free_general():
    """General models by way of training, beside doing nothing."""
    rows = []
    for name, general in read("label_free").get("general", {}).items():
        for kind in ("published", "bar"):
            rows.append([f"`{name}`", kind, *_padded(general[kind]), ""])
        for population, nothing in general["nothing"].items():
            rows.append(["", f"{population}, doing nothing", *_padded(nothing), ""])
            for way in (key for key, row in general.items() if isinstance(row, dict) and "populations" in row):
                row = general[way]["populations"][population]
                rows.append(["", f"{population}, {way}", *_padded(row["log10"]), f"{100 * row['within']:.1f} %"])
    if not rows:
        return "Not recorded yet: `python -m benchmarks.label_free --general ism-atomic ism-molecular`."
    return table(["model", "cells, training", "50 %", "75 %", "90 %", "99 %", "within 1e-2"], rows)


def _padded(quantiles):
    """Four quantiles, those that were not published left open."""
    return [f"{q:.2f}" for q in quantiles] + [""] * (4 - len(quantiles))


def label_free_ingredients():
    """A published recipe, each ingredient left out and alone."""
    ingredients = read("label_free").get("ingredients", {})
    if not ingredients:
        return "Not recorded yet: `python -m benchmarks.label_free --ingredients`."
    systems = [key for key in ingredients["all"] if key != "recipe"]
    rows = [
        [name, *(number(row[s]["error"], ".1e") for s in systems), f"{sum(row[s]['cpu_s'] for s in systems):.0f}"]
        for name, row in ingredients.items()
    ]
    return table(["recipe", *(f"`{s}`, mean error" for s in systems), "CPU s"], rows)


def pinn_methods():
    """Ways of training on the residual, systems in columns; the median of the seeds."""
    record = read("pinn_methods")
    problems = list(next(iter(record["methods"].values()))["problems"])
    rows = []
    for name, method in record["methods"].items():
        cells = [method["problems"][problem] for problem in problems]
        seconds = sum(cell["cpu_s"] for cell in cells) / len(cells)
        rows.append([name, *(number(cell["error"], ".0e") for cell in cells), f"{seconds:.1f}"])
    return origin(record) + table(["method", *(f"`{problem}`" for problem in problems), "CPU s"], rows)


def fill(text):
    """A page with all its tables made anew; ValueError for a marker without a function."""

    def replace(match):
        head, name, end = match.groups()
        if not callable(globals().get(name)):
            raise ValueError(f"no function makes the table {name!r}: write one in benchmarks/readme_tables.py")
        return f"{head}{globals()[name]()}\n{end}"

    return MARKED.sub(replace, text)


def main():
    """Rewrite the pages."""
    for page in PAGES:
        page.write_text(fill(page.read_text()))


if __name__ == "__main__":
    main()
