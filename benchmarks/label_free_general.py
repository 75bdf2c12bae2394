"""General models without labels, see `label_free`: trained by decades, and from labels in the same time."""

import time
from pathlib import Path

import numpy as np
import torch
from surrogate.training import get_system
from surrogate.training.evaluation.measure import measure
from surrogate.training.evaluation.score import score
from surrogate.training.fit.config import TrainConfig
from surrogate.training.fit.decades import HOPS, Decades, Plan
from surrogate.training.fit.pairs import read_pairs
from surrogate.training.fit.trainer import Trainer
from surrogate.training.labels import make_labels
from surrogate.training.nets.experts import NetConfig
from surrogate.training.nets.trained import load_model

import surrogate

from .cases import draw_case
from .errors import relative_errors
from .surrogate_accuracy import PUBLISHED

#: log10 of the relative error on `wide` at these quantiles, to be reached in two CPU hours
LEVELS, BARS = (
    (0.5, 0.75, 0.9, 0.99),
    {"ism-atomic": (-3.0, -2.5, -2.1, -1.4), "ism-molecular": (-2.6, -2.1, -1.7, -1.0)},
)
#: what is trained on, and what is not
TESTED = ("wide", "stepped")
WAYS = (*HOPS, "labels")


def compare_general(name, ways, n, minutes, threads, directory, net=None, n_test=10_000, report=print):
    """Rows by way of training, for JSON; models in `directory` that are finished are not trained again.

    Parameters
    ----------
    name : str
        Of the system.
    ways : sequence of str
        Of `WAYS`.
    n : int
        Starts.
    minutes : float
        For each way, without making the labels.
    threads : int
    directory : path
    net : NetConfig, optional
    n_test : int
        Cells of each population of `TESTED`.
    report : callable
        Called with lines of text.
    """
    system, directory, model = get_system(name), Path(directory), surrogate.load(name)
    directory.mkdir(parents=True, exist_ok=True)
    net, config = net or NetConfig(64, 3, (4, 4, 5)), TrainConfig(minutes=minutes, threads=threads)
    cases = [draw_case(model, system, population, n_test) for population in TESTED]
    nothing = {case.name: _logs(relative_errors(case.cells, case.reference)) for case in cases}
    rows = {"published": PUBLISHED[name], "bar": BARS[name], "nothing": nothing, "minutes": minutes, "threads": threads}
    check = _labels(system, directory / f"{name}-check.h5", "calibrate", max(n // 20, 100), 1, 1e-6)
    for way in ways:
        out, seconds = directory / f"{name}-{way}.h5", 0.0
        if not out.exists() or Path(f"{out}.checkpoint").exists():
            report(f"{name}, {way}")
            pairs = read_pairs([check], system)
            if way == "labels":
                begin = time.process_time()
                source = _labels(system, directory / f"{name}-train.h5", "train", n, 4, 1e-4)
                seconds = time.process_time() - begin
                run = Trainer(system, read_pairs([source], system), pairs, out, net, config, {"labels_s": seconds})
            else:
                run = Decades(system, Plan(way, n=n), pairs, out, net, config)
            run.run(report)
        rows[way] = _row(system, out, cases)
    return rows


def _labels(system, path, split, n, dts, rtol):
    make_labels(system, path, population="wide", n=n, split=split, seed=9, dts=dts, rtol=rtol, progress=False)
    return path


def _row(system, path, cases):
    net, metadata = load_model(path, system)
    row = {"iterations": metadata["history"][-1]["iteration"], "pairs": metadata["n_pairs"], "populations": {}}
    row |= {"labels_s": metadata["labels_s"]} if "labels_s" in metadata else {}
    for case in cases:
        result = score(
            net.encoding, measure(net, *(torch.from_numpy(x) for x in (case.cells, case.dt, case.reference)))
        )
        row["populations"][case.name] = {"log10": result["quantiles"][: len(LEVELS)], "within": result["within"]}
    return row


def _logs(errors):
    return [round(float(q), 2) for q in np.log10(np.quantile(errors, LEVELS))]


def print_general(general):
    """Quantiles of every way beside doing nothing, the published model and the bar."""
    for name, rows in general.items():
        print(f"\n{name + ', log10 error at':<28}" + "".join(f"{100 * level:>7g} %" for level in LEVELS))
        for label in ("published", "bar"):
            print(f"  {label:<26}" + "".join(f"{q:>9.2f}" for q in rows[label]))
        for population in TESTED:
            print(f"  {population + ', nothing done':<26}" + "".join(f"{q:>9.2f}" for q in rows["nothing"][population]))
            for way in (w for w in WAYS if w in rows):
                row = rows[way]["populations"][population]
                quantiles = "".join(f"{q:>9.2f}" for q in row["log10"])
                print(f"  {f'{population}, {way}':<26}{quantiles}   {100 * row['within']:.1f} % within 1e-2")
