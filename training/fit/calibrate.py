"""Fitting what a predicted error is worth: from held-out labels to the calibration of a model file."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.stats import beta

from ..evaluation.measure import check_varied, label_tensors, measure, population_names
from ..evaluation.score import score
from ..labels import load_labels
from ..nets.calibration import CHANGE, CHEAP, ROUTES, Calibration, as_plain, doubt_of, from_plain
from ..nets.domain import Domain
from ..nets.model_file import save_model
from ..nets.net_data import ACCEPTS_NOTHING, accepts_nothing
from ..nets.trained import load_trained
from ..nets.vectors import net_vectors

#: cells from which on the coverage of a population is a question of its own
FEWEST = 1000
#: tolerances at which the share accepted is told
TOLD = (0.1, 1e-2, 1e-3)


def limits(
    predicted: np.ndarray,
    incurred: np.ndarray,
    tolerances: Sequence[float],
    coverage: float = 0.99,
    confidence: float = 0.95,
) -> np.ndarray:
    """Largest predicted error that may be accepted in one population, for each tolerance; 0: none, infinite: any.

    Going up from small predictions, a tolerance admits the largest prefix of cells for which the Clopper-Pearson upper
    bound of the share beyond it stays below 1 - coverage.
    """
    order = np.argsort(predicted)
    predicted, incurred = predicted[order], incurred[order]
    seen, result = np.arange(1, len(order) + 1), []
    for tolerance in tolerances:
        bad = np.cumsum(incurred > tolerance)
        bound = beta.ppf(confidence, bad + 1, np.maximum(seen - bad, 1))
        passing = np.flatnonzero(bound <= 1 - coverage)
        last = passing[-1] if len(passing) else None
        result.append(0.0 if last is None else np.inf if last == len(order) - 1 else predicted[last])
    return np.array(result)


def calibrate(
    populations: Sequence[tuple[np.ndarray, np.ndarray]],
    coverage: float = 0.99,
    confidence: float = 0.95,
    lower: float = -5.0,
    upper: float = 1.0,
    n_nodes: int = 481,
) -> Calibration:
    """Choose for each tolerance the largest predicted error that keeps the coverage in every population.

    Learn-then-test with an exact binomial bound, see `limits`. A population that passes as a whole limits nothing.

    Parameters
    ----------
    populations : list of (predicted, incurred) arrays
        Predicted and incurred error per calibration cell.

    Returns
    -------
    Calibration
    """
    tolerances = np.logspace(-4, 0, 81) * (1 - 1e-6)  # so that rtol=0.1 is not below the node of 0.1 in any precision
    limit = np.min([limits(*p, tolerances, coverage, confidence) for p in populations], axis=0)
    limit = np.maximum.accumulate(np.minimum(limit, max(predicted.max() for predicted, _ in populations)))
    grid = np.linspace(lower, upper, n_nodes)
    nodes = np.empty(n_nodes)
    for i, g in enumerate(grid):  # the smallest tolerance that accepts this prediction
        accepting = np.flatnonzero(limit >= 10**g)
        nodes[i] = np.log10(tolerances[accepting[0]]) if len(accepting) else 3.0
    return Calibration(float(lower), float(grid[1] - grid[0]), np.maximum.accumulate(nodes), coverage)


def left_to_the_net(populations, inside, cheap, change, alone=()):
    """(`doubt`, incurred error) of the cells of each population that are in the domain and not cheap (`Calibration`).

    A population that has fewer than `FEWEST` of them is counted with all others together, unless it is one of those
    that count `alone`, however few.

    Parameters
    ----------
    populations : list of Measured
    inside : list of ndarray of bool
        Which of their cells are in the domain.
    alone : collection of int
        Numbers of populations.
    """
    parts = [
        [x[holds & (p.attempts >= cheap)] for x in (doubt_of(p, change), p.worst)]
        for p, holds in zip(populations, inside)
    ]
    many = [p for i, p in enumerate(parts) if len(p[0]) >= FEWEST or (i in alone and len(p[0]))]
    return many if len(many) == len(parts) else [*many, tuple(map(np.concatenate, zip(*parts)))]


def calibrate_file(
    model: str,
    paths: Sequence[str],
    training: Sequence[str] = (),
    coverage: float = 0.99,
    cheap: float = CHEAP,
    change: float = CHANGE,
    routes: Sequence[float] = ROUTES,
    system: str | None = None,
    kind: str | None = None,
) -> None:
    """Calibrate a model file in place, and print what it would accept.

    Parameters
    ----------
    model : path
    paths : sequence of path
        Files of labels of the split "calibrate", one per population.
    training : sequence of path
        Labels of the training, to find the domain anew.
    coverage, cheap, change, routes
        See `Calibration`.
    system, kind : str, optional
        As for `load_trained`.
    """
    system, surrogate, metadata = load_trained(model, system, kind)
    files = {path: load_labels(path, system=system, splits=("calibrate",)) for path in paths}
    check_varied(surrogate.encoding, files)
    labels = [label_tensors(file, 1) for file in files.values()]
    domain = from_plain(Domain, metadata["domain"])
    if training:
        known = {path: load_labels(path, system=system, splits=("train",)) for path in training}
        check_varied(surrogate.encoding, known)
        domain = Domain.of(surrogate.encoding, *joined(surrogate.encoding, list(map(label_tensors, known.values()))))
    names = population_names(files)
    calibrate_model(
        model,
        (system, surrogate, metadata),
        domain,
        list(zip(names.values(), labels)),
        coverage=coverage,
        cheap=cheap,
        change=change,
        routes=routes,
        titles=list(names),
    )


def calibrate_model(
    path: str,
    trained: tuple,
    domain: Domain,
    labels: Sequence[tuple[str, tuple]],
    *,
    coverage: float = 0.99,
    cheap: float = CHEAP,
    change: float = CHANGE,
    routes: Sequence[float] = ROUTES,
    alone: Sequence[str] = (),
    titles: Sequence[str] | None = None,
) -> None:
    """Calibrate a trained model on labels of some populations, write it, and print what it would accept.

    Parameters
    ----------
    path : path
        Model file to write.
    trained : tuple
        As `load_trained` returns it.
    domain : Domain
    labels : list of (str, tuple of Tensor)
        Name and `label_tensors` of each population.
    coverage, cheap, change, routes
        See `Calibration`.
    alone : sequence of str
        Populations whose coverage is a question of its own, however few cells they have.
    titles : list of str, optional
        What to call the populations in what is printed; their names if not given.
    """
    system, surrogate, metadata = trained
    names, labels = zip(*labels)
    inside = [domain.holds(surrogate.encoding, *joined(surrogate.encoding, [x])) for x in labels]
    populations = [measure(surrogate, *x, routes) for x in labels]
    alone = [i for i, name in enumerate(names) if name in alone]
    left = left_to_the_net(populations, inside, cheap, change, alone)
    if not sum(len(predicted) for predicted, _ in left):
        raise ValueError(
            f"no cell of these labels takes {cheap:g} attempts: nothing is left to the net. Give "
            "cells that are harder to solve, or a smaller --cheap"
        )
    calibration = replace(calibrate(left, coverage), cheap=cheap, change=change, routes=tuple(routes))
    if routes:
        calibration = replace(calibration, hopeless=hopeless(calibration, populations, inside))
    held_out = {
        name: _held_out(title, surrogate.encoding, calibration, measured, holds)
        for title, name, measured, holds in zip(titles or names, names, populations, inside)
    }
    metadata = {key: value for key, value in metadata.items() if key not in ("net", "dt_lower")}
    some = [tuple(c if c is None else c[:1000] for c in x) for x in labels]
    vectors = net_vectors(system, surrogate, domain, calibration, joined(surrogate.encoding, some))
    metadata |= {"domain": as_plain(domain), "calibration": as_plain(calibration), "held_out": held_out}
    save_model(path, surrogate, vectors, **metadata)
    if accepts_nothing(metadata):
        print(f"{path}: {ACCEPTS_NOTHING}")


def joined(encoding, labels):
    """States, time steps and, if the net takes any, parameters of several `label_tensors`, one after the other."""
    columns = [torch.cat([x[i] for x in labels]) for i in (0, 1)]
    if encoding.inputs:
        own = (encoding.defaults.expand(len(x[1]), -1) if x[3] is None else encoding.of_params(x[3]) for x in labels)
        columns.append(torch.cat(list(own)))
    return columns


def hopeless(calibration, populations, inside, lost=0.005, rtols=(0.1, 0.03, 0.01)):
    """How many times the tolerance a judge may predict for a cell that is still worth checking by routes.

    At most the share `lost` of what would be accepted at one of `rtols` is above it, in any population.
    """
    factors = []
    for measured, holds in zip(populations, inside):
        bound = np.where(holds, calibration.bound(measured), np.inf)
        for r in rtols:
            if (bound <= r).sum() >= FEWEST:
                factors.append(np.quantile(measured.judged[bound <= r], 1 - lost) / r)
    return float(max(factors, default=np.inf))


def _held_out(title, encoding, calibration, measured, holds):
    """What a model file says about a population; printed as well."""
    is_cheap = holds & (measured.attempts < calibration.cheap)
    bound = np.where(holds, calibration.bound(measured), np.inf)
    shares = {f"{r:g}": round(float((bound <= r).mean()), 4) for r in TOLD}
    print(
        f"{title}: {holds.mean():.3f} is in the domain, {is_cheap.mean():.3f} quick to solve, "
        f"would accept {', '.join(f'{share:.3f} at {r}' for r, share in shares.items())}"
    )
    return {
        "log10_error": score(encoding, measured)["quantiles"],
        "accepted": shares,
        "cheap": round(float(is_cheap.mean()), 4),
    }
