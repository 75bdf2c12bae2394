"""Where the net pays: in which regions asking it first is cheaper than solving at once."""

import tempfile

import numpy as np
import torch

import surrogate

from .export import export_model

#: how much cheaper the net must be: the solver's error is a hundredth of the net's, and it does not drift
GAIN = 3.0
TOLERANCES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)


def paying_tolerances(system, net, populations, n_cells=16384):
    """Smallest tolerance at which asking the net saves time, for each region expert.

    It pays where the time that the solver would need, times the share that the net accepts, is `GAIN` times what the
    net costs. The library is compiled, and net and solver are timed on cells of the given populations.

    Parameters
    ----------
    system : System
    net : tuple of (Surrogate, Domain, Calibration)
    populations : list of tuples of Tensor
        State, time step and anything else of the cells of each.
    n_cells : int
        At most so many cells of each population are used.

    Returns
    -------
    ndarray of shape (n_experts,)
        One of `TOLERANCES`, or inf where it never pays.
    """
    state, dt = (torch.cat([p[i][:n_cells] for p in populations]) for i in (0, 1))
    expert = net[0].router(net[0].encoding.features(state, dt)).numpy()
    state, dt = state.numpy(), dt.numpy()
    result = np.full(net[0].config.n_experts, np.inf)
    with tempfile.TemporaryDirectory() as directory:
        model = surrogate.load(export_model(system, directory, net=net))
        for rtol in sorted(TOLERANCES, reverse=True):
            pays = _pays(model, rtol, state, dt, expert, len(result))
            result[pays] = rtol
    return result


def _pays(model, rtol, state, dt, expert, n_experts):
    """Whether the net pays in each region, bool of shape (n_experts,)."""
    asked = model.stepper(rtol=rtol, fallback="none").step(state.copy(), dt)
    accepted = asked.status == 0
    cost = asked.seconds["net"] / max(len(dt), 1)
    solver = model.stepper(rtol=rtol, net=False)
    pays = np.zeros(n_experts, bool)
    for e in np.unique(expert):
        own = expert == e
        spent = solver.step(state[own].copy(), dt[own]).seconds["solver"] / own.sum()
        pays[e] = accepted[own].mean() * spent > GAIN * cost
    return pays
