"""Every method on every problem from several initialisations: each run is a file, so that it can be taken up again."""

import json
import math
from pathlib import Path

import numpy as np

from .bayesian import LEVELS, measure_coverage
from .kernels import kernel_spectra
from .methods import METHODS, Effort
from .operators import FAMILIES, compare_operators
from .problems import make_problem
from .training import train
from .unknown_term import recover_rate

#: whose kernels are drawn
KERNELS = ("vanilla", "Jacobian-normalised")


def run_all(methods, problems, seeds, directory, effort=None, progress=None):
    """What `train` says of each, those that are done (with the same effort) read from `directory`.

    Parameters
    ----------
    methods, problems : sequence of str
    seeds : iterable of int
    directory : path
        Holds PROBLEM-METHOD-SEED.json.
    progress : callable, optional
        Wraps the list of runs, e.g. in a progress bar.

    Returns
    -------
    list of dict
    """
    effort, rows = effort or Effort(), []
    jobs = [(problem, method, seed) for seed in seeds for problem in problems for method in methods]
    for problem, method, seed in (progress or list)(jobs):
        path = Path(directory) / f"{problem}-{method.replace(',', '').replace(' ', '-')}-{seed}.json"
        settings = {**vars(effort), **{k: v for k, v in vars(METHODS[method]).items() if k != "promise"}}
        row = cached(path, settings, lambda: run(problem, method, seed, effort))  # noqa: B023 - called at once
        rows.append({"problem": problem, "method": method, "seed": seed, **row})
    return rows


def cached(path, settings, compute):
    """What `compute` returns, a dict for JSON: from the file where that is of the same settings, else it is written."""
    path = Path(path)
    stored = json.loads(path.read_text()) if path.exists() else {}
    if stored.get("settings") != settings:
        stored = {"settings": settings, "result": compute()}
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".part")  # whole or not at all
        scratch.write_text(json.dumps(stored, indent=1) + "\n")
        scratch.replace(path)
    return stored["result"]


def run(problem, method, seed, effort):
    """`train` by names; numbers that are too large are part of the result: None."""
    with np.errstate(all="ignore"):
        result = train(make_problem(problem), METHODS[method], effort, seed)
    return {k: v if math.isfinite(v) else None for k, v in result.items()}


def summarise(rows):
    """Per method and problem: median error and the range, CPU time; dict for JSON."""
    table = {}
    for row in rows:
        table.setdefault(row["method"], {}).setdefault(row["problem"], []).append(row)
    return {m: {p: _summary(runs) for p, runs in cells.items()} for m, cells in table.items()}


def _summary(runs):
    errors = sorted(math.inf if r["error"] is None else r["error"] for r in runs)
    low, middle, high = (e if math.isfinite(e) else None for e in (errors[0], errors[len(errors) // 2], errors[-1]))
    return {"error": middle, "best": low, "worst": high, "cpu_s": float(np.mean([r["cpu_s"] for r in runs]))}


def print_table(summary):
    """Median errors, and the mean CPU time of a run."""
    problems = list(dict.fromkeys(p for cells in summary.values() for p in cells))
    print(f"{'mean error, median of seeds':<28}" + "".join(f"{p:>16}" for p in problems) + f"{'CPU s':>8}")
    for method, cells in summary.items():
        texts = (_text(cells[p]["error"]) if p in cells else "" for p in problems)
        seconds = np.mean([c["cpu_s"] for c in cells.values()])
        print(f"{method:<28}" + "".join(f"{t:>16}" for t in texts) + f"{seconds:>8.1f}")


def _text(value):
    return "diverged" if value is None else f"{value:.1e}"


def run_studies(directory, effort=None, draws=200, labels=400, iterations=1500, progress=None):
    """What is no row of the table: operators, a posterior, a term that is learned, kernels; dict for JSON."""
    directory, effort = Path(directory), effort or Effort()
    sizes = {"draws": draws, "labels": labels, "iterations": iterations}
    jobs = {
        **{
            f"operators-{name}": lambda name=name: compare_operators(name, n=labels, iterations=iterations)
            for name in FAMILIES
        },
        **{
            f"posterior-{name}": lambda name=name: measure_coverage(name, draws)
            for name in ("decay-quadratic", "freeze-out")
        },
        **{f"term-{noise}": lambda noise=noise: _recover(noise, max(draws // 10, 2)) for noise in (0.001, 0.01, 0.05)},
        **{f"kernels-{m}": lambda m=m: kernel_spectra("decay-linear", m, effort) for m in KERNELS},
    }
    out = {}
    for name in (progress or list)(list(jobs)):
        study, _, case = name.partition("-")
        out.setdefault(study, {})[case] = cached(directory / f"{name}.json", {**vars(effort), **sizes}, jobs[name])
    return out


def _recover(noise, draws):
    runs = [recover_rate(noise, seed=seed) for seed in range(draws)]
    rates = np.array([r["rate"] for r in runs])
    return {
        "rate": float(rates.mean()),
        "scatter": float(rates.std()),
        "true": runs[0]["true"],
        "term": float(np.median([r["term"] for r in runs])),
        "draws": draws,
        "cpu_s": float(np.mean([r["cpu_s"] for r in runs])),
    }


def print_studies(studies):
    """The same in words."""
    print("\noperators, from labels: mean error, CPU s of training, us for one time of one start, and for each of 64")
    for family, kinds in studies["operators"].items():
        for kind, r in kinds.items():
            print(f"{family:<16}{kind:<20}{r['error']:>9.1e}{r['cpu_s']:>8.1f}{r['us_time']:>9.2f}{r['us_grid']:>9.2f}")
    print("\nC and its posterior: true, mean of estimates, their scatter, predicted; truth within intervals of", LEVELS)
    for name, r in studies["posterior"].items():
        numbers = "".join(f"{r[k]:>10.4f}" for k in ("true", "mean", "scatter", "predicted"))
        print(f"{name:<16}{numbers}   {' '.join(f'{v:.3f}' for v in r['coverage'].values())}{r['cpu_s']:>8.1f} CPU s")
    print("\na term learned from 40 noisy states: noise, rate (0.5), scatter, error of the term, CPU s")
    for noise, r in studies["term"].items():
        print(f"{noise:<8}{r['rate']:>9.4f}{r['scatter']:>9.4f}{r['term']:>9.1e}{r['cpu_s']:>7.1f}")
