"""Draw results/*.json into results/*.png: ``python -m benchmarks.figures``, part of ``make tables``."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter

from .errors import P99
from .readme_tables import read
from .timing import RESULTS


def pareto(record):
    """Incurred 99 % error against cost, a panel per population."""
    cases = record["populations"]
    figure, axes = plt.subplots(1, len(cases), figsize=(1.5 + 3.6 * len(cases), 4.2), layout="constrained", sharey=True)
    for axis, (name, case) in zip(axes, cases.items()):
        axis.set_prop_cycle(color=plt.get_cmap("tab20").colors)
        for solver in dict.fromkeys(r["solver"] for r in case["rows"]):
            points = [(r["us"], r["errors"][P99]) for r in case["rows"] if r["solver"] == solver]
            bold = {"lw": 2.5, "color": "k"} if solver == "step" else {}
            axis.plot(*zip(*points), "o-", ms=4, label=solver, **bold)
        axis.axhline(max(case["reference_noise"][P99], 1e-12), color="0.6", ls=":", lw=1)
        axis.set(xscale="log", yscale="log", xlabel="cost [us/cell]", title=name)
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error at the 99 % quantile")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


def surrogate_accuracy(record):
    """Error maps of the two general models, and their error over the time step."""
    temperature, density = (np.array(edges) for edges in record["map_edges"])
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.8), layout="constrained")
    for k, name in enumerate(("ism-molecular", "ism-atomic")):
        model = record["models"][name]
        values = np.array([[np.nan if x is None else x for x in line] for line in model["map"]])
        image = axes[k].pcolormesh(density, temperature, values, vmin=-3.5, vmax=-0.5, cmap="viridis")
        axes[k].set(title=f"{name}, worst variable", xlabel="log10 n [cm$^{-3}$]", ylabel="log10 T [K]")
        figure.colorbar(image, ax=axes[k], label="log10 error")
        years = [row["years"] for row in model["sweep"]]
        for key, style in (("net", "C0o-"), ("nothing", "k--"), ("noise", "k:")):
            for i, alpha in ((0, 0.4), (1, 1.0)):
                values = [max(row[key][i], -12) for row in model["sweep"]]
                axes[2 + k].plot(years, values, style, alpha=alpha, label=f"{key}, {('50', '99')[i]} %")
        axes[2 + k].set(xscale="log", xlabel="dt [yr]", ylabel="log10 error", title=f"{name}, wide cells")
    figure.legend(*axes[3].get_legend_handles_labels(), loc="outside right center", fontsize=7)
    return figure


def cost_variance(record):
    """Distributions of the cost of a cell."""
    figure, axes = plt.subplots(1, len(record["populations"]), figsize=(15, 3.2), layout="constrained", sharey=True)
    edges = 10.0 ** np.array(record["edges"])
    for axis, (name, case) in zip(axes, record["populations"].items()):
        for solver, row in case["costs"].items():
            axis.stairs(np.array(row["histogram"]) / case["cells"] + 1e-6, edges, label=solver)
        axis.set(xscale="log", yscale="log", ylim=(1e-4, 1), title=name, xlabel="cost of a cell [us]")
    axes[0].set_ylabel("share of cells per bin")
    axes[0].legend(fontsize=8)
    return figure


def rollout_drift(record):
    """99 % error over the number of steps."""
    figure, axes = plt.subplots(1, len(record["results"]), figsize=(14, 3.4), layout="constrained", sharey=True)
    for axis, case in zip(axes, record["results"]):
        for name, rows in case["rows"].items():
            axis.plot([r["steps"] for r in rows], [min(r["errors"][1], 1e3) for r in rows], "o-", ms=4, label=name)
        axis.set(xscale="log", yscale="log", xlabel="steps", title=f"{case['population']}, {case['years']:g} yr each")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error at the 99 % quantile")
    axes[0].legend(fontsize=8)
    return figure


def calibration(record):
    """Share beyond the tolerance against the share accepted."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained", sharey=True)
    for axis, name in zip(axes, ("wide", "relaxed", "hydro")):
        for k, (rtol, values) in enumerate(record[name]["risk"].items()):
            axis.plot(record["shares"], np.maximum(values, 1e-5), color=f"C{k}", label=f"rtol {rtol}")
        axis.axhline(0.01, color="0.5", lw=1, ls="--")
        axis.set(yscale="log", ylim=(1e-4, 1), title=name, xlabel="share of cells, by predicted error")
    axes[0].set_ylabel("share beyond rtol")
    axes[0].legend(fontsize=8)
    return figure


WAYS = {"off": "as the cells lie", "world": "shared", "alone": "fair parts, no messages"}


def draw_steps(axis, record, title):
    """Time of a step over the ranks."""
    rows = record["results"]
    for way, label in WAYS.items():
        axis.plot([r["ranks"] for r in rows], [1e3 * r["seconds"][way] for r in rows], "o-", ms=4, label=label)
    axis.axvline(record["machine"]["cores"], color="0.6", ls=":", label=f"{record['machine']['cores']} cores")
    axis.set(ylim=(0, None), ylabel="step [ms]", title=title)


def draw_compared(axis, pairs):
    """Efficiency of simulated and of real ranks."""
    simulated, measured = ([pair[kind] for pair in pairs] for kind in ("simulated", "measured"))
    ranks = [r["ranks"] for r in measured]
    for k, (way, label) in enumerate(list(WAYS.items())[:2]):
        axis.plot(ranks, [r["efficiency"][way] for r in simulated], f"C{k}-", label=f"{label}, simulated")
        axis.plot(ranks, [r["cpu_efficiency"][way] for r in measured], f"C{k}o", label="real, in CPU time")
        axis.plot(ranks, [1 / r["imbalance"][k] for r in measured], f"C{k}x", label="real, in work")
    axis.set(ylim=(0, 1.05), ylabel="efficiency", title="simulated and real ranks")


def draw_simulated(axis, results):
    """Efficiency of many ranks, a plan for every step."""
    for k, scene in enumerate(dict.fromkeys(tuple(r["scene"]) for r in results)):
        rows = [r for r in results if tuple(r["scene"]) == scene and r["interval"] == 1]
        hard, share = (f"{100 * x:g} %" for x in scene)
        for way, style in (("off", ":"), ("world", "-")):
            label = f"{hard} hard on {share}, {WAYS[way]}"
            values = [r["efficiency"][way] for r in rows]
            axis.plot([r["ranks"] for r in rows], values, f"C{k}o{style}", ms=4, label=label)
    axis.set(ylim=(0, 1.05), title="simulated")


def scaling(strong, weak, simulation):
    """Measured: time of a step; simulated beside measured; simulated on many ranks."""
    figure, axes = plt.subplots(1, 4, figsize=(16, 3.8), layout="constrained")
    draw_steps(axes[0], strong, "strong scaling")
    draw_steps(axes[1], weak, "weak scaling")
    draw_compared(axes[2], simulation["compared"])
    draw_simulated(axes[3], simulation["results"])
    for axis in axes:
        axis.set(xscale="log", xlabel="ranks")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    for axis in axes[:3]:
        axis.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        axis.minorticks_off()
    return figure


#: file -> function, and the records that it takes
FIGURES = {
    "solver_cost": (pareto, "solver_cost"),
    "accuracy_vs_cost": (pareto, "accuracy_vs_cost"),
    "surrogate_accuracy": (surrogate_accuracy, "surrogate_accuracy"),
    "cost_variance": (cost_variance, "cost_variance"),
    "rollout_drift": (rollout_drift, "rollout_drift"),
    "calibration": (calibration, "calibration"),
    "scaling": (scaling, "strong_scaling", "weak_scaling", "balance_simulation"),
}


def main():
    """Draw all."""
    for name, (draw, *records) in FIGURES.items():
        figure = draw(*map(read, records))
        figure.savefig(RESULTS / f"{name}.png", dpi=90)
        plt.close(figure)


if __name__ == "__main__":
    main()
