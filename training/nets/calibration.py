"""Which predictions may be trusted: what a predicted error is worth; ``surrogate calibrate``."""

import argparse
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import beta

from ..evaluation.measure import measure, score
from ..labels.file import load_labels
from ..systems import SYSTEM_OPTION, system_of
from ..systems.checks import check_decision
from .domain import Domain
from .model_file import load_model, read_arrays, save_model
from .net_data import ACCEPTS_NOTHING, accepts_nothing, in_parts, net_vectors

#: attempts at a tolerance of 1e-2 below which the solver takes a cell. Two cost about as much as the net; from three on
#: the net is quicker, but where a step needs as few, many follow, in which its errors add up and the solver's do not
CHEAP = 4.0
#: e-folds of the variable that changes most below which errors count relative to the change. The net's error does not
#: shrink with the step as a solver's does, and many short steps would add up many errors
CHANGE = 1.0
#: cells from which on the coverage of a population is a question of its own
FEWEST = 1000


@dataclass(frozen=True, eq=False)
class Calibration:
    """log10 of the tolerance at which a prediction may be accepted: steps on a uniform grid of log10 predictions.

    For a tolerance r, cells whose predicted error maps to at most r are accepted; at least `coverage` of those in each
    calibration population were within r, with the stated confidence.

    Cells that the solver is expected to finish within `cheap` attempts are not for the net: there the solver costs
    about as much, and its errors do not add up. Of predictions that change a cell by less than `change` e-folds the
    error relative to the change is what is compared, see `doubt`.
    """

    lower: float
    width: float
    nodes: np.ndarray
    coverage: float
    cheap: float = 0.0
    change: float = 0.0

    def __call__(self, predicted):
        """Calibrated error for predicted errors, both plain numbers in an ndarray."""
        return calibrated(torch.as_tensor(predicted), self.lower, self.width, torch.as_tensor(self.nodes)).numpy()

    def bound(self, measured):
        """Calibrated error of what was `Measured`, infinite where the solver is quick; shape (n,)."""
        return np.where(measured.attempts < self.cheap, np.inf, self(doubt_of(measured, self.change)))


def doubt(predicted, e_folds, change):
    """Predicted error, relative to the change where that is less than `change` e-folds; Tensor of shape (n,)."""
    return predicted * (change / e_folds.nan_to_num(0.0).clamp_min(1e-30)).clamp_min(1.0)


def doubt_of(measured, change):
    """`doubt` of what was `Measured`, ndarray of shape (n,)."""
    return doubt(torch.as_tensor(measured.predicted), torch.as_tensor(measured.e_folds), change).numpy()


def calibrated(predicted, lower, width, nodes):
    """Smallest tolerance at which a prediction may be accepted, Tensor of shape (n,); infinite without a number."""
    place = torch.ceil((predicted.double().log10() - lower) / width).nan_to_num(0.0).clamp(0, len(nodes) - 1)
    return torch.where(predicted.isfinite(), 10.0 ** nodes[place.long()], torch.inf)


def calibrate(populations, coverage=0.99, confidence=0.95, lower=-5.0, upper=1.0, n_nodes=481):
    """Choose for each tolerance the largest predicted error that keeps the coverage in every population.

    Learn-then-test with an exact binomial bound: going up from small predictions, a tolerance r admits the largest
    prefix of cells for which the Clopper-Pearson upper bound of the share beyond r stays below 1 - coverage.

    Parameters
    ----------
    populations : list of (predicted, incurred) arrays
        Predicted and incurred error per calibration cell.

    Returns
    -------
    Calibration
    """
    tolerances = np.logspace(-4, 0, 81) * (1 - 1e-6)  # so that rtol=0.1 is not below the node of 0.1 in any precision
    limit = np.full(len(tolerances), np.inf)
    for predicted, incurred in populations:
        order = np.argsort(predicted)
        predicted, incurred = predicted[order], incurred[order]
        seen = np.arange(1, len(order) + 1)
        for t, r in enumerate(tolerances):
            bad = np.cumsum(incurred > r)
            bound = beta.ppf(confidence, bad + 1, np.maximum(seen - bad, 1))
            passing = np.flatnonzero(bound <= 1 - coverage)
            if not len(passing):
                limit[t] = 0.0
            elif passing[-1] < len(order) - 1:  # a population that passes as a whole limits nothing
                limit[t] = min(limit[t], predicted[passing[-1]])
    limit = np.maximum.accumulate(np.minimum(limit, max(predicted.max() for predicted, _ in populations)))
    grid = np.linspace(lower, upper, n_nodes)
    nodes = np.empty(n_nodes)
    for i, g in enumerate(grid):  # the smallest tolerance that accepts this prediction
        accepting = np.flatnonzero(limit >= 10**g)
        nodes[i] = np.log10(tolerances[accepting[0]]) if len(accepting) else 3.0
    return Calibration(float(lower), float(grid[1] - grid[0]), np.maximum.accumulate(nodes), coverage)


def left_to_the_net(populations, inside, cheap, change):
    """(`doubt`, incurred error) of the cells of each population that are in the domain and not cheap (`Calibration`).

    A population that has fewer than `FEWEST` of them is counted with all others together.

    Parameters
    ----------
    populations : list of Measured
    inside : list of ndarray of bool
        Which of their cells are in the domain.
    """
    parts = [
        [x[holds & (p.attempts >= cheap)] for x in (doubt_of(p, change), p.worst)]
        for p, holds in zip(populations, inside)
    ]
    many = [p for p in parts if len(p[0]) >= FEWEST]
    return many if len(many) == len(parts) else [*many, tuple(map(np.concatenate, zip(*parts)))]


def as_plain(item):
    """A Domain or Calibration as lists, for a model file."""
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(item).items()}


def from_plain(kind, plain):
    """What `as_plain` made, back."""
    plain = in_parts(plain) if kind is Domain else plain
    return kind(**{k: np.array(v) if isinstance(v, list) else v for k, v in plain.items()})


def load_trained(path, system=None):
    """A model file with its system: (system, surrogate, metadata).

    Parameters
    ----------
    path : path
    system : str, optional
        Name of the system, as for `get_system`: needed if it does not ship with the library.

    Raises
    ------
    ValueError
        If the system is not to be found; use `model_file.load_model` with your own.
    """
    metadata = read_arrays(path)[1]
    system = system_of(metadata, path, system)
    if "calibration" in metadata:
        try:
            check_decision(system, metadata | {"domain": in_parts(metadata["domain"])})
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{path} holds no domain and calibration: {type(error).__name__} {error}") from error
    return system, *load_model(path, system)


def label_tensors(labels, n_dt=None):
    """Starts, time steps and ends of `Labels` as float64 tensors, one row per label that was solved."""
    end = np.asarray(labels.end)[:, :n_dt]
    start = np.repeat(np.asarray(labels.start)[:, None], end.shape[1], 1)
    good = np.isfinite(end).all(2)
    dt = np.asarray(labels.dt)[:, :n_dt]
    return tuple(torch.from_numpy(np.ascontiguousarray(x[good])) for x in (start, dt, end))


def main(arguments=None):
    """Decide from held-out labels which predictions of a trained model may be accepted."""
    parser = argparse.ArgumentParser(prog="surrogate calibrate", description=main.__doc__)
    parser.add_argument("model", help="model file, changed in place")
    parser.add_argument(
        "--labels",
        required=True,
        nargs="+",
        metavar="FILE",
        help="one file per population, made with --split calibrate --dts 1",
    )
    parser.add_argument(
        "--domain",
        nargs="+",
        metavar="FILE",
        default=(),
        help="labels of the training (--split train), to find the domain anew",
    )
    parser.add_argument("--coverage", type=float, default=0.99, help="share of the accepted within rtol (default 0.99)")
    parser.add_argument(
        "--cheap",
        type=float,
        default=CHEAP,
        metavar="N",
        help=f"cells of fewer attempts go to the solver (default {CHEAP:g}; 0: none)",
    )
    parser.add_argument(
        "--change",
        type=float,
        default=CHANGE,
        metavar="X",
        help=f"e-folds below which errors count relative to the change over the step (default {CHANGE:g}; 0: never)",
    )
    parser.add_argument("--system", **SYSTEM_OPTION)
    options = parser.parse_args(arguments)
    system, surrogate, metadata = load_trained(options.model, options.system)
    files = [load_labels(path, system=system, splits=("calibrate",)) for path in options.labels]
    labels = [label_tensors(file, 1) for file in files]
    domain = from_plain(Domain, metadata["domain"])
    if options.domain:
        known = [label_tensors(load_labels(path, system=system, splits=("train",))) for path in options.domain]
        domain = Domain.of(surrogate.encoding, *(torch.cat([x[i] for x in known]) for i in (0, 1)))
    inside = [domain.holds(surrogate.encoding, state, dt) for state, dt, _ in labels]
    populations = [measure(surrogate, *x) for x in labels]
    left = left_to_the_net(populations, inside, options.cheap, options.change)
    if not sum(len(predicted) for predicted, _ in left):
        raise ValueError(
            f"no cell of these labels takes {options.cheap:g} attempts: nothing is left to the net. Give "
            "cells that are harder to solve, or a smaller --cheap"
        )
    calibration = calibrate(left, options.coverage)
    calibration = replace(calibration, cheap=options.cheap, change=options.change)
    names, held_out = [file.meta["population"] for file in files], {}
    for path, name, measured, holds in zip(options.labels, names, populations, inside):
        is_cheap = holds & (measured.attempts < calibration.cheap)
        bound = np.where(holds, calibration.bound(measured), np.inf)
        shares = {f"{r:g}": round(float((bound <= r).mean()), 4) for r in (0.1, 1e-2, 1e-3)}
        quantiles = score(surrogate.encoding, measured)["quantiles"]
        held_out[name if names.count(name) == 1 else f"{name}, {Path(path).stem}"] = {
            "log10_error": quantiles,
            "accepted": shares,
            "cheap": round(float(is_cheap.mean()), 4),
        }
        print(
            f"{path}: {holds.mean():.3f} is in the domain, {is_cheap.mean():.3f} quick to solve, "
            f"would accept {', '.join(f'{share:.3f} at {r}' for r, share in shares.items())}"
        )
    metadata.pop("net"), metadata.pop("dt_lower")
    some = tuple(torch.cat([x[i][:1000] for x in labels]) for i in (0, 1))
    vectors = net_vectors(system, surrogate, domain, calibration, some)
    metadata |= {"domain": as_plain(domain), "calibration": as_plain(calibration), "held_out": held_out}
    save_model(options.model, surrogate, vectors, **metadata)
    if accepts_nothing(metadata):
        print(f"{options.model}: {ACCEPTS_NOTHING}")
    return 0
