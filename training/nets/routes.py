"""The two-route check: a net is asked for the same time once at a stroke, and once by way of a time between.

What the routes disagree by is an error that nobody has to predict: it needs no labels, and holds on cells that nobody
calibrated for, as long as a net does not err alike on every route.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

#: species below this fraction of the total count neither here nor where a net is measured
FLOOR = 1e-10


def spread_of_routes(
    surrogate,
    state: torch.Tensor,
    dt: torch.Tensor,
    params: torch.Tensor | None,
    end: torch.Tensor,
    routes: Sequence[float],
) -> torch.Tensor:
    """Largest disagreement with `end`, in logarithms or in units of the scale of a signed variable.

    Parameters
    ----------
    surrogate : Surrogate
    state, dt, params
        As for `Surrogate.forward`.
    end : Tensor of shape (n, n_vars)
        What the net says at a stroke.
    routes : sequence of float
        Fractions of the time step at which a route stops on its way.

    Returns
    -------
    Tensor of shape (n,), float64
        Infinite where a route breaks a law beyond repair.
    """
    encoding = surrogate.encoding
    total = encoding.total_density(end)
    counts = ~encoding.total | (end > FLOOR * total)
    spread = torch.zeros_like(dt)
    for fraction in routes:
        between, _, first = surrogate.flow(state, fraction * dt, params)
        other, _, second = surrogate.flow(between, (1 - fraction) * dt, params)
        apart = torch.where(encoding.log, logarithm(other) - logarithm(end), (other - end) / encoding.unit)
        worst = torch.where(counts, apart.abs(), 0.0).amax(1)
        spread = torch.maximum(spread, torch.where(first & second, worst, torch.inf).nan_to_num(torch.inf))
    return spread


def logarithm(values: torch.Tensor) -> torch.Tensor:
    """Natural logarithm, of what is not positive a very small one."""
    return torch.log(values.clamp_min(1e-300))
