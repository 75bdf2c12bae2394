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

#: log10 of the lowest and the highest predicted error that are told apart, and into how many
LOWEST, HIGHEST, N_NODES = -5.0, 1.0, 481
#: with routes, how many times the tolerance the judge may expect: cells that he doubts are not checked, and what
#: routes agree on counts only as far as the tolerance goes, so that neither alone can be fooled
HOPELESS = 1.0
#: tolerances at which the share accepted is told
TOLD = (0.1, 1e-2, 1e-3)


def limits(
    populations: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    tolerances: Sequence[float],
    coverage: float = 0.99,
    confidence: float = 0.95,
    hopeless: float = np.inf,
) -> np.ndarray:
    """Largest predicted error that may be accepted, for each tolerance; 0: none, infinite: any.

    Accepting all cells up to it, the Clopper-Pearson upper bound of the share beyond the tolerance is at most
    1 - coverage in every population of which so many are accepted that it can be, and in all of them together. No
    other population may have a lower bound above that.

    Parameters
    ----------
    populations : list of (predicted, incurred, judged) arrays
        Predicted and incurred error of each cell, and what the judge says of it.
    hopeless : float
        Cells of which the judge expects more than this times the tolerance are not accepted; if it is finite, nor are
        those of a larger predicted error than the tolerance.
    """
    places = np.append(10.0 ** np.linspace(LOWEST, HIGHEST, 4 * N_NODES - 3), np.inf)
    ordered = [tuple(x[np.argsort(p[0])] for x in p) for p in populations]
    until = [np.searchsorted(predicted, places, "right") for predicted, _, _ in ordered]
    enough, result = np.log(1 - confidence) / np.log(coverage), []
    for tolerance in tolerances:
        passes, n_all, bad_all = np.ones(len(places), bool), 0, 0
        for (_, incurred, judged), ends in zip(ordered, until):
            kept = judged <= hopeless * tolerance
            n, bad = (np.append(0, np.cumsum(x))[ends] for x in (kept, kept & (incurred > tolerance)))
            surely = beta.ppf(confidence, bad + 1, np.maximum(n - bad, 1)) <= 1 - coverage
            perhaps = np.where(bad > 0, beta.ppf(1 - confidence, np.maximum(bad, 1), n - bad + 1), 0) <= 1 - coverage
            passes &= np.where(n >= enough, surely, perhaps)
            n_all, bad_all = n_all + n, bad_all + bad
        passes &= beta.ppf(confidence, bad_all + 1, np.maximum(n_all - bad_all, 1)) <= 1 - coverage
        if np.isfinite(hopeless):
            passes &= places <= tolerance
        passing = np.flatnonzero(passes)
        result.append(places[passing[-1]] if len(passing) else 0.0)
    return np.array(result)


def calibrate(
    populations: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    coverage: float = 0.99,
    confidence: float = 0.95,
    hopeless: float = np.inf,
) -> Calibration:
    """Choose for each tolerance the largest predicted error that keeps the coverage in every population.

    Learn-then-test with an exact binomial bound, see `limits`. A population that passes as a whole limits nothing.

    Parameters
    ----------
    populations, hopeless
        See `limits`.

    Returns
    -------
    Calibration
    """
    tolerances = np.logspace(-4, 0, 81) * (1 - 1e-6)  # so that rtol=0.1 is not below the node of 0.1 in any precision
    limit = limits(populations, tolerances, coverage, confidence, hopeless)
    largest = max(predicted.max() for predicted, *_ in populations)
    limit = np.maximum.accumulate(np.minimum(limit, largest))
    grid = np.linspace(LOWEST, HIGHEST, N_NODES)
    predictions, nodes = 10**grid, np.empty(N_NODES)
    predictions[-1] = max(predictions[-1], largest)  # the last node stands for all beyond
    for i, prediction in enumerate(predictions):  # the smallest tolerance that accepts it
        accepting = np.flatnonzero(limit >= prediction)
        nodes[i] = np.log10(tolerances[accepting[0]]) if len(accepting) else 3.0
    return Calibration(LOWEST, float(grid[1] - grid[0]), np.maximum.accumulate(nodes), coverage, hopeless=hopeless)


def left_to_the_net(populations, inside, cheap, change):
    """(`doubt`, incurred error, judged error) of the cells of each population that are in the domain and not cheap.

    Parameters
    ----------
    populations : list of Measured
    inside : list of ndarray of bool
        Which of their cells are in the domain.
    cheap, change : float
        See `Calibration`.
    """
    parts = []
    for measured, holds in zip(populations, inside):
        left = holds & (measured.attempts >= cheap)
        parts.append(tuple(x[left] for x in (doubt_of(measured, change), measured.worst, measured.judged)))
    return [part for part in parts if len(part[0])]


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
    titles : list of str, optional
        What to call the populations in what is printed; their names if not given.
    """
    system, surrogate, metadata = trained
    names, labels = zip(*labels)
    inside = [domain.holds(surrogate.encoding, *joined(surrogate.encoding, [x])) for x in labels]
    populations = [measure(surrogate, *x, routes) for x in labels]
    left = left_to_the_net(populations, inside, cheap, change)
    if not left:
        raise ValueError(
            f"no cell of these labels takes {cheap:g} attempts: nothing is left to the net. Give "
            "cells that are harder to solve, or a smaller --cheap"
        )
    calibration = calibrate(left, coverage, hopeless=HOPELESS if routes else np.inf)
    calibration = replace(calibration, cheap=cheap, change=change, routes=tuple(routes))
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
