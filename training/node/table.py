"""The published table beside ours: every variant and initialisation is a file, so that a run can be taken up again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from .data import DT, make_window, solve_truth
from .fit import Fit, fit
from .learned import save_net
from .metrics import compare
from .variants import VARIANTS, predict, train

#: ours, and what is taken away from it to see what matters
OURS = {
    "ours": Fit(),
    "ours, measured states alone": Fit(tube=Fit.tube + Fit.orbit, orbit=0, timed=0),
    "ours, orbit of the window alone": Fit(horizon=14.68, timed=0),
    "ours, points on the orbit alone": Fit(spread=(1e-9, 1e-9), timed=0),
    "ours, no memory": Fit(memory=0.0, timed=0),
    "ours, residuals not scaled": Fit(scaling="none", timed=0),
    "ours, residuals relative": Fit(scaling="relative", timed=0),
    "ours, phase not timed": Fit(timed=0),
}
#: our net, then the published loss for some epochs more
AFTER = "ours, then the published loss"
#: the windows of the test, as slices of time [ms]
TESTS = {"14.68-100": (14.68, 100.0), "100-1000": (100.0, 1000.0)}
#: RMSE of v [mV], phase error [ms] and F1 to be reached in both
BAR = (1.0, 0.05, 1.0)


def run(name, seed, truth, epochs=2000, changes=None, report=None):
    """Train one variant from one initialisation and noise, and test it; a dictionary for JSON, and the net.

    Parameters
    ----------
    name : str
        Of `VARIANTS`, `OURS` or `AFTER`.
    truth : ndarray of shape (n, 4)
        `solve_truth`, every `DT`; windows beyond its end are left out.
    epochs : int
        Of Adam.
    changes : dict, optional
        Of the configuration of ours.
    """
    t, start = np.arange(len(truth)) * DT, truth[0]
    if name in VARIANTS:
        variant = VARIANTS[name]
        window = make_window(seed, variant.noise)
        net, theta, loss, seconds = train(variant, window, seed, epochs, report=report)
    else:
        variant, window = replace(VARIANTS["full"], method="tsit5", layer_norm=False), make_window(seed)
        net, theta, history, seconds = fit(window, replace(OURS.get(name, OURS["ours"]), **changes or {}), seed, report)
        loss = history[-1]
        if name == AFTER:
            net, theta, loss, more = train(variant, window, seed, max(epochs // 4, 1), 1e-4, (net, theta), report)
            seconds += more
    z, tests = predict(variant, net, theta, start, t), {}
    for title, (first, last) in {"0-14.68": (0.0, 14.68), **TESTS}.items():
        part = slice(round(first / DT), round(last / DT))
        if part.stop <= len(truth):
            tests[title] = compare(t[part], z[part], truth[part])
    return {"name": name, "seed": seed, "epochs": epochs, "loss": loss, "cpu_s": seconds, "tests": tests}, net, theta


def run_all(names, seeds, directory, epochs=2000, end=1000.0, changes=None, progress=None):
    """Every variant from every initialisation, those that are done (with as many epochs) read from `directory`.

    Parameters
    ----------
    names, seeds : iterable
    directory : path
        Holds NAME-SEED.json and the nets, NAME-SEED.h5.
    progress : callable, optional
        Wraps the list of runs, e.g. in a progress bar.

    Returns
    -------
    list of dict
        As of `run`.
    """
    directory, truth, rows = Path(directory), None, []
    directory.mkdir(parents=True, exist_ok=True)
    jobs = [(name, seed) for name in names for seed in seeds(name)]
    for name, seed in (progress or list)(jobs):
        path = directory / f"{name.replace(',', '').replace(' ', '-')}-{seed}.json"
        row = json.loads(path.read_text()) if path.exists() else {}
        if name not in OURS and row.get("epochs") != epochs:
            row = {}
        if not row:
            truth = solve_truth(np.arange(round(end / DT)) * DT) if truth is None else truth
            row, net, theta = run(name, seed, truth, epochs, changes)
            save_net(path.with_suffix(".h5"), net, theta, seed=seed, current_low=10.0, current_high=10.0)
            scratch = path.with_suffix(".part")
            scratch.write_text(json.dumps(row, indent=1))
            scratch.replace(path)
        rows.append(row)
    return rows


def reaches(row, bar=BAR):
    """Whether a run is within the bar in every test window."""
    v, phase, f1 = bar
    return all(
        m["rmse"][0] is not None
        and m["rmse"][0] <= v
        and m["phase"] is not None
        and m["phase"] <= phase
        and m["f1"] >= f1
        for title, m in row["tests"].items()
        if title in TESTS
    )


def summarise(rows):
    """Per variant and window: medians over the initialisations, the worst, how many reach the bar; dict for JSON."""
    out = {}
    for name in dict.fromkeys(row["name"] for row in rows):
        mine = [row for row in rows if row["name"] == name]
        windows = {}
        for title in mine[0]["tests"]:
            tests = [row["tests"][title] for row in mine]
            values = {
                "rmse": [m["rmse"][0] for m in tests],
                **{k: [m[k] for m in tests] for k in ("phase", "isi", "amplitude", "amplitude_percent", "f1")},
            }
            windows[title] = {
                k: {"median": _middle(v), "worst": _middle(v, min if k == "f1" else max)} for k, v in values.items()
            }
            windows[title]["gates"] = [_middle([m["rmse"][j] for m in tests]) for j in (1, 2, 3)]
        out[name] = {
            "runs": len(mine),
            "reached": sum(map(reaches, mine)),
            "windows": windows,
            "cpu_s": float(np.mean([row["cpu_s"] for row in mine])),
            "published": VARIANTS[name].published if name in VARIANTS else None,
        }
    return out


def _middle(values, of=np.median):
    """Of those that exist; None if fewer than half (or, for the worst, not all) do."""
    there = [v for v in values if v is not None]
    if len(there) * 2 <= len(values) or (of is not np.median and len(there) < len(values)):
        return None
    return float(of(there))


def print_table(summary):
    """What `summarise` says, with the published numbers in brackets."""
    head = ("RMSE v", "phase", "ISI", "ampl mV", "ampl %", "F1")
    keys = ("rmse", "phase", "isi", "amplitude", "amplitude_percent", "f1")
    for title in TESTS:
        print(
            f"\n{title} ms, median (published)\n{'':<34}"
            + "".join(f"{h:>17}" for h in head)
            + f"{'CPU s':>7}{'within bar':>12}"
        )
        for name, row in summary.items():
            if title not in row["windows"]:
                continue
            published = row["published"] or (None,) * 6
            cells = (
                f"{_text(row['windows'][title][k]['median']):>8}{f'({_text(p)})' if row['published'] else '':>9}"
                for k, p in zip(keys, published)
            )
            print(f"{name:<34}" + "".join(cells) + f"{row['cpu_s']:>7.0f}{row['reached']:>6} of {row['runs']}")


def _text(value):
    return "-" if value is None else f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.1e}"
