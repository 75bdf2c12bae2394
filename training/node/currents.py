"""One field for all currents: trained on windows of six, tested between them."""

import numpy as np

from .data import DT, make_window, solve_truth
from .fit import Fit, fit
from .metrics import compare
from .rollout import rollout
from .table import reaches

#: injected currents [uA/cm^2] of the training windows and of the test
TRAINED, TESTED = (6.5, 8.0, 10.0, 12.5, 16.0, 20.0), (7.0, 9.0, 11.0, 14.0, 18.0)


def fit_currents(config=None, seed=0, report=None):
    """(net, theta, history, CPU seconds) of a fit to one noisy window for each of the currents `TRAINED`."""
    windows = [make_window(1000 * seed + k, current=current) for k, current in enumerate(TRAINED)]
    return fit(windows, config or Fit(points=600, orbit=120), seed, report)


def check_currents(net, theta, end=100.0):
    """Measures from 14.68 ms on for every current, a dictionary by current."""
    t, out = np.arange(round(end / DT)) * DT, {}
    for current in sorted({*TRAINED, *TESTED}):
        truth = solve_truth(t, current)
        z = rollout(net.compiled(theta), "tsit5", np.append(truth[0], current), DT, len(t) - 1)[:, :4]
        part = slice(round(14.68 / DT), None)
        measures = compare(t[part], z[part], truth[part])
        out[current] = {
            **measures,
            "trained": current in TRAINED,
            "reached": reaches({"tests": {"14.68-100": measures}}),
        }
    return out
