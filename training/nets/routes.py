"""The two-route check: a net is asked for the same time once at a stroke, and again by way of a time between.

What the routes disagree by is an error that nobody has to predict: it needs no labels, and holds on cells that nobody
calibrated for, as long as a net does not err alike on every route. Their mean is better than each, and is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..systems.system import FRACTION_FLOOR
from .encoding import correction

#: species below this fraction of the total count neither here nor where a net is measured
FLOOR = 1e-10


def by_routes(
    surrogate,
    state: torch.Tensor,
    dt: torch.Tensor,
    params: torch.Tensor | None,
    end: torch.Tensor,
    routes: Sequence[float],
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean of `end` and of what the net says on its routes, and how far they are from it.

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
    mean : Tensor of shape (n, n_vars), float64
        In logarithms, of signed variables as they are; laws restored. Where that cannot be, `end`.
    spread : Tensor of shape (n,), float64
        Largest distance of a route from the mean, in logarithms or in units of the scale of a signed variable. Infinite
        where a route breaks a law beyond repair.
    """
    encoding = surrogate.encoding
    ways, sound = [torch.zeros_like(end)], torch.ones_like(dt, dtype=torch.bool)
    least = torch.where(encoding.total, FRACTION_FLOOR * encoding.total_density(end), 1e-300)  # below, all are alike
    own = torch.log(torch.maximum(end, least))
    for fraction in routes:
        between, _, first = surrogate.flow(state, fraction * dt, params)
        other, _, second = surrogate.flow(between, (1 - fraction) * dt, params)
        apart = torch.log(torch.maximum(other, least)) - own
        ways.append(torch.where(encoding.log, apart, (other - end) / encoding.unit))
        sound = sound & first & second
    apart = torch.stack(ways)
    mean = apart.mean(0)
    result = torch.where(encoding.log, end * mean.exp(), end + mean * encoding.unit)
    counts = ~encoding.total | (result > FLOOR * encoding.total_density(result))
    repair = correction(result, encoding.laws, state @ encoding.laws.T)
    spread = torch.where(counts, (apart - mean).abs().amax(0), 0.0).amax(1)
    result = result * (1 + repair)
    sound = sound & (repair.abs() < 0.5).all(1) & result.isfinite().all(1)
    return torch.where(sound[:, None], result, end), torch.where(sound, spread, torch.inf).nan_to_num(torch.inf)
