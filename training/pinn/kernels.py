"""Tangent kernels of a net: how fast gradient descent learns which part of its values, and of its residuals."""

import numpy as np
import torch

from .methods import METHODS, Effort, Trial
from .problems import make_problem
from .training import Objective, fit


def kernel_spectra(problem, method, effort=None, seed=0):
    """Eigenvalues of J J^T for the values and the residuals at the points, before and after training.

    Parameters
    ----------
    problem, method : str
        Names; the method has one net for all times.

    Returns
    -------
    dict
        ``data`` and ``residual``, each ``before`` and ``after``: eigenvalues, falling, as lists.
    """
    problem, method, effort = make_problem(problem), METHODS[method], effort or Effort()
    trial = Trial(problem, method, effort, torch.tensor(problem.ends, dtype=torch.float64), problem.x_start, seed)
    objective, out = Objective(trial, effort), {"data": {}, "residual": {}}
    for when in ("before", "after"):
        if when == "after":
            fit([objective], trial.weights, effort)
        weights = [w.detach().requires_grad_(True) for w in trial.weights]
        x, slope = trial(weights, objective.s)
        for name, values in (("data", x.flatten()), ("residual", objective.residual(x, slope).flatten())):
            out[name][when] = _eigenvalues(values, weights)
    return out


def _eigenvalues(values, weights):
    identity = torch.eye(len(values), dtype=values.dtype)
    parts = torch.autograd.grad(values, weights, identity, retain_graph=True, is_grads_batched=True)
    rows = torch.cat([p.flatten(1) for p in parts], 1)
    return np.square(torch.linalg.svdvals(rows).numpy()).tolist()
