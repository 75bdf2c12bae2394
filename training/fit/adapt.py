"""Training a model further on cells of a run: labels, experts, predictors, calibration, and what it has gained.

Everything is made in a folder beside the model file to be, piece by piece: an interrupted run goes on where it was.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..evaluation.compare import Outcome, outcomes
from ..evaluation.leave_out import RTOLS
from ..files import replacing
from ..nets.calibration import Calibration, from_plain
from ..nets.domain import Domain
from ..nets.trained import load_trained
from .calibrate import calibrate_model, joined
from .config import TrainConfig
from .pairs import Pairs
from .rehearsal import REHEARSED, RUN, Rehearsal, check_varied, read_harvest
from .trainer import Trainer

#: peak learning rate: the weights are good already, and the optimiser knows nothing of them
LEARNING_RATE = 4e-3
#: for gauges and judges, which have learned before as well
PREDICTOR_ITERATIONS = 500


@dataclass(frozen=True)
class Adapted:
    """What has become of a model: outcomes on test cells, by population, the cells of the run first."""

    before: dict[str, list[Outcome]]
    after: dict[str, list[Outcome]]


def adapt(
    model: str | os.PathLike,
    cells: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    minutes: float = 10.0,
    system: str | None = None,
    kind: str | None = None,
    seed: int = 0,
    threads: int = 1,
    rehearsed: dict[str, int] | None = None,
    progress: Callable[[str], Any] = print,
    metadata: dict[str, Any] | None = None,
) -> Adapted:
    """Train a calibrated model file further on harvested cells, and write the result as another one.

    The populations of its calibration are rehearsed, labelled anew, and calibrated with again, so that what it could do
    before is not lost. A split of the cells by their content keeps training, calibration and test apart.

    Parameters
    ----------
    model : path
        Model file, calibrated.
    cells : sequence of path
        Tables of cells with their time steps, as harvests are.
    out : path
        Model file to write; the folder ``out.work`` beside it holds the run while it lasts.
    minutes : float
        Of training; labels, predictors and calibration take some minutes more.
    system, kind : str, optional
        As for `load_trained`.
    seed, threads : int
    rehearsed : dict of str to int, optional
        Cells of each old population by split; see `rehearsal.REHEARSED`.
    progress : callable
        Called with lines of text.
    metadata : dict, optional
        More to be kept in the model file.

    Returns
    -------
    Adapted

    Raises
    ------
    ValueError
        The model is not calibrated; the cells have no time steps, are too few, or vary what the net does not take; or
        the folder belongs to another run.
    """
    out, work = Path(out), Path(f"{out}.work")
    equations, net, old = load_trained(model, system, kind)
    if "calibration" not in old:
        raise ValueError(f"{model} is not calibrated: run `surrogate calibrate` on it first")
    if not out.absolute().parent.is_dir():
        raise ValueError(f"{out.absolute().parent} is no directory: make it, or give another --out")
    harvest = read_harvest(cells, equations)
    check_varied(harvest, equations, net.encoding.inputs, str(model))
    work.mkdir(exist_ok=True)
    sizes = REHEARSED | (rehearsed or {})
    rehearsal = Rehearsal(equations, (net, old), harvest, work, sizes, seed, progress)
    source = {"model": hashlib.sha256(Path(model).read_bytes()).hexdigest(), "cells": rehearsal.digest()}
    _claim(work / "run.json", source | {"minutes": minutes, "seed": seed, "rehearsed": sizes})
    names = [RUN, *rehearsal.populations]
    pairs, trained = rehearsal.pairs(), work / "net.h5"
    to_calibrate = [(name, rehearsal.labels(name, "calibrate")) for name in names]
    if not trained.exists() or Path(f"{trained}.checkpoint").exists():
        config = TrainConfig(
            minutes=minutes,
            lr=LEARNING_RATE,
            device="auto",
            seed=seed,
            threads=threads,
            predictor_iterations=PREDICTOR_ITERATIONS,
        )
        about = {"system_source": old.get("system_source", equations.name), "adapted": source, **(metadata or {})}
        check = Pairs(*to_calibrate[0][1], pairs.inputs)
        Trainer(equations, pairs, check, trained, config=config, metadata=about, start=net).run(progress)
    after = load_trained(trained, system, kind)
    domain = _wider([from_plain(Domain, x["domain"]) for x in (old, after[2])], net.encoding, to_calibrate)
    kept = from_plain(Calibration, old["calibration"])
    options = {name: getattr(kept, name) for name in ("coverage", "cheap", "change", "routes")}
    calibrate_model(trained, after, domain, to_calibrate, **options)
    test = {name: rehearsal.labels(name, "test") for name in names}
    attempts = {name: {rtol: rehearsal.attempts(x, rtol) for rtol in RTOLS} for name, x in test.items()}
    told = []
    for _, surrogate, file in (equations, net, old), load_trained(trained, system, kind):
        parts = from_plain(Domain, file["domain"]), from_plain(Calibration, file["calibration"])
        told.append({name: outcomes(surrogate, *parts, x, attempts[name]) for name, x in test.items()})
    os.replace(trained.with_suffix(".png"), out.with_suffix(".png"))
    os.replace(trained, out)
    shutil.rmtree(work)
    return Adapted(*told)


def _claim(path, identity):
    """Write what a folder belongs to; ValueError if it belongs to another run."""
    if path.exists():
        if json.loads(path.read_text()) != identity:
            raise ValueError(
                f"{path.parent} belongs to another run, of other cells, model or options: remove it, or change --out"
            )
        return
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(identity))


def _wider(domains, encoding, labels):
    """The domain that holds more of the cells of the calibration, as a mean over the populations."""

    def share(domain):
        return sum(domain.holds(encoding, *joined(encoding, [x])).mean() for _, x in labels)

    return max(domains, key=share)
