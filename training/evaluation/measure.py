"""What a net predicts for labelled cells, and how far off that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..nets.routes import FLOOR, by_routes


def relative_errors(encoding, end, reference):
    """|y/y_ref - 1| and whether it counts, two tensors of shape (n, n_vars)."""
    total = encoding.total_density(reference)
    counts = ~encoding.total | (reference > FLOOR * total)
    return (end / torch.where(reference == 0, 1.0, reference) - 1).abs(), counts


@dataclass(frozen=True, eq=False)
class Measured:
    """What a surrogate predicted for cells, and how good that was.

    Attributes
    ----------
    predicted, judged, attempts : ndarray of shape (n,)
        Expected error, what the judge says of it, and expected attempts of the solver.
    e_folds : ndarray of shape (n,)
        How far the predictions are from the starts, see `Encoding.e_folds`.
    worst : ndarray of shape (n,)
        Largest relative error among the variables that count.
    errors, counts : Tensor of shape (n, n_vars)
        All relative errors, and which of them count.
    """

    predicted: np.ndarray
    judged: np.ndarray
    attempts: np.ndarray
    e_folds: np.ndarray
    worst: np.ndarray
    errors: torch.Tensor
    counts: torch.Tensor


def measure(
    surrogate,
    state: torch.Tensor,
    dt: torch.Tensor,
    reference: torch.Tensor,
    params: torch.Tensor | None = None,
    routes: Sequence[float] = (),
) -> Measured:
    """One evaluation of a surrogate against labels, see `Measured`.

    `params` are those of the system, for each cell. With `routes` the error is predicted by the two-route check, else
    by the judge.
    """
    params = surrogate.encoding.of_params(params)
    given = (state, dt, reference, params)
    state, dt, reference, params = (x if x is None else x.to(surrogate.mean.device) for x in given)
    with torch.no_grad():
        end, judgement, good = surrogate.flow(state, dt, params)
        spread = None
        if routes:
            end, spread = by_routes(surrogate, state, dt, params, end, routes)
    errors, counts = (x.cpu() for x in relative_errors(surrogate.encoding, end, reference))
    errors = errors.nan_to_num(1e30).clamp_max(1e30)  # what is no number is as wrong as can be
    judged, attempts = (10.0 ** judgement.double()).cpu().numpy().T
    predicted = judged if spread is None else spread.cpu().numpy()
    worst = torch.where(counts, errors, 0.0).max(1).values.numpy()
    e_folds = surrogate.encoding.e_folds(state, end).cpu().numpy()
    return Measured(np.where(good.cpu(), predicted, np.inf), judged, attempts, e_folds, worst, errors, counts)


def label_tensors(labels, n_dt: int | None = None) -> tuple[torch.Tensor | None, ...]:
    """Starts, time steps, ends and parameters of `Labels` as float64 tensors, one row per label that was solved.

    The parameters are None where they are the system's own.
    """
    end = np.asarray(labels.end)[:, :n_dt]
    start = np.repeat(np.asarray(labels.start)[:, None], end.shape[1], 1)
    good = np.isfinite(end).all(2)
    dt = np.asarray(labels.dt)[:, :n_dt]
    columns = [start, dt, end]
    if labels.params is not None:
        columns.append(np.repeat(np.asarray(labels.params)[:, None], end.shape[1], 1))
    tensors = [torch.from_numpy(np.ascontiguousarray(x[good])) for x in columns]
    return (*tensors, *[None] * (4 - len(tensors)))


def check_varied(encoding, files: Mapping) -> None:
    """Raise ValueError if a label file, by its path, varies a parameter that the net does not take."""
    for path, labels in files.items():
        if extra := sorted(labels.param_ranges.keys() - encoding.inputs.keys()):
            raise ValueError(
                f"{path} varies {extra[0]}, which the net does not take: make labels with --param of "
                f"{', '.join(encoding.inputs) or 'nothing'}"
            )


def population_names(files: Mapping) -> dict:
    """What to call each label file, by its path: its population, and the file's name where two are of one."""
    names = {path: labels.meta["population"] for path, labels in files.items()}
    every = list(names.values())
    return {path: n if every.count(n) == 1 else f"{n}, {Path(path).stem}" for path, n in names.items()}
