"""The cells on which everything is measured, with the answer and how well that is known."""

from dataclasses import dataclass

import numpy as np
from surrogate.training.populations import draw, draw_params
from surrogate.training.systems.network import YEAR

from .errors import quantiles, relative_errors

#: seed of all benchmarks, held out from training and calibration as all small ones are
SEED = 20
#: cold starts, and evolved cells with short steps as after a restart and within a simulation
POPULATIONS = ("wide", "relaxed", "hydro", "restart", "hydro step")
_SHORT = {"restart": (10 * YEAR, 100 * YEAR), "hydro step": (0.1 * YEAR, YEAR)}


@dataclass(frozen=True, eq=False)
class Case:
    """Cells, time steps and the answer.

    Attributes
    ----------
    name : str
    cells, reference : ndarray of shape (n, n_vars)
        Before, and after `dt` by our solver at rtol 1e-9.
    dt : ndarray of shape (n,)
        [s]
    nothing, noise : list of float
        Error of doing nothing, and that of the same solver at 1e-8, which bounds the reference's own; at `QUANTILES`.
    params : dict of str to ndarray of shape (n,) or float, optional
        Parameters other than the model's own.
    """

    name: str
    cells: np.ndarray
    dt: np.ndarray
    reference: np.ndarray
    nothing: list
    noise: list
    params: dict | None = None

    def describe(self):
        """The attributes that belong into a record."""
        return {"cells": len(self.dt), "doing_nothing": self.nothing, "reference_noise": self.noise}


def draw_case(model, system, population, n, seed=SEED, ranges=None):
    """`n` cells of a population, see `POPULATIONS` and `training.populations`; with parameters over `ranges`."""
    stepper, params = model.stepper(rtol=1e-6, net=False), None
    if ranges:
        names = [p.name for p in system.parameters]
        params = {k: x.copy() for k, x in zip(names, draw_params(system, n, seed, ranges).T) if k in ranges}

    def advance(cells, dt):
        return stepper.step(cells, dt, params=params)

    if population not in _SHORT:
        return make_case(model, population, *draw(population, system, n, seed, advance), params)
    cells, dt = draw("relaxed", system, n, seed, advance)
    advance(cells, dt)
    low, high = _SHORT[population]
    dt = low * (high / low) ** np.random.default_rng(seed).random(n)
    return make_case(model, population, cells, dt, params)


def make_case(model, name, cells, dt, params=None):
    """The case of given cells and time steps, and parameters other than the model's own."""
    ends = []
    for rtol in (1e-9, 1e-8):
        ends.append(cells.copy())
        model.stepper(rtol=rtol, atol_frac=1e-20, net=False).step(ends[-1], dt, params=params)
    reference, looser = ends
    known = (quantiles(relative_errors(x, reference)) for x in (cells, looser))
    return Case(name, cells, dt, reference, *known, params)
