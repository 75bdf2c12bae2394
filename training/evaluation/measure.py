"""What a net predicts for labelled cells, and how far off that is."""

from dataclasses import dataclass

import numpy as np
import torch

#: species below this fraction of the total in the reference are not counted
FLOOR = 1e-10


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
    predicted, attempts : ndarray of shape (n,)
        Expected error, and expected attempts of the solver.
    e_folds : ndarray of shape (n,)
        How far the predictions are from the starts, see `Encoding.e_folds`.
    worst : ndarray of shape (n,)
        Largest relative error among the variables that count.
    errors, counts : Tensor of shape (n, n_vars)
        All relative errors, and which of them count.
    """

    predicted: np.ndarray
    attempts: np.ndarray
    e_folds: np.ndarray
    worst: np.ndarray
    errors: torch.Tensor
    counts: torch.Tensor


def measure(surrogate, state: torch.Tensor, dt: torch.Tensor, reference: torch.Tensor) -> Measured:
    """One evaluation of a surrogate against labels, see `Measured`."""
    state, dt, reference = (x.to(surrogate.mean.device) for x in (state, dt, reference))
    with torch.no_grad():
        end, judgement, good = surrogate.flow(state, dt)
    errors, counts = (x.cpu() for x in relative_errors(surrogate.encoding, end, reference))
    errors = errors.nan_to_num(1e30).clamp_max(1e30)  # what is no number is as wrong as can be
    predicted, attempts = (10.0 ** judgement.double()).cpu().numpy().T
    worst = torch.where(counts, errors, 0.0).max(1).values.numpy()
    e_folds = surrogate.encoding.e_folds(state, end).cpu().numpy()
    return Measured(np.where(good.cpu(), predicted, np.inf), attempts, e_folds, worst, errors, counts)


def label_tensors(labels, n_dt: int | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Starts, time steps and ends of `Labels` as float64 tensors, one row per label that was solved."""
    end = np.asarray(labels.end)[:, :n_dt]
    start = np.repeat(np.asarray(labels.start)[:, None], end.shape[1], 1)
    good = np.isfinite(end).all(2)
    dt = np.asarray(labels.dt)[:, :n_dt]
    return tuple(torch.from_numpy(np.ascontiguousarray(x[good])) for x in (start, dt, end))
