"""Our way: the known equations at points that follow the net's own orbit, by Gauss-Newton steps.

The noisy window says where to look and where to start; the equations say, without noise, what the field is there. At
first the residuals are taken about the measured states, then about the orbit of the net as it is now, through as many
oscillations as one likes, for nothing but the field is needed there. The true equations are never integrated.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch

from .data import equations, smoothed
from .gauss_newton import GaussNewton
from .net import Net
from .rollout import rollout


@dataclass(frozen=True)
class Fit:
    """How to train; the switches are there to find out what matters.

    Attributes
    ----------
    width : int
    points : int
        Per step, drawn anew.
    adam, tube, orbit : int
        Iterations of Adam with points about the measured states, Gauss-Newton steps with such, then with points about the
        net's own orbit.
    horizon : float
        Length of that orbit [ms].
    spread : tuple of float
        Of the points about it, in standard deviations of each variable, at the first and the last step; a third of the
        points lies on it.
    damping : tuple of float
        First and least, see `GaussNewton`; along the orbit it falls by 30 % a step.
    memory : float
        Of `GaussNewton.step`, from the sixth step along the orbit on.
    scaling : str
        What the residual of variable j is divided by: "slope", s_j; "relative", sqrt(s_j^2 + f_j^2); "none".
    settle : float
        Share of the steps along the orbit, the last, over which the step size falls from 1 to 0.01.
    """

    width: int = 64
    points: int = 600
    adam: int = 1000
    tube: int = 15
    orbit: int = 120
    horizon: float = 40.0
    spread: tuple = (0.03, 0.003)
    damping: tuple = (1e-2, 1e-8)
    memory: float = 0.9
    scaling: str = "slope"
    settle: float = 0.4


def make_net(window, **options):
    """A net with the scales of the window."""
    return Net(centre=np.append(window.centre, window.current), scale=np.append(window.scale, 1.0),
               slope=window.slope, **options)  # fmt: skip


def fit(window, config=None, seed=0, report=None):
    """Train a net.

    Parameters
    ----------
    report : callable, optional
        Called with (step, root mean square of the residuals at the points drawn) after each step.

    Returns
    -------
    net : Net
    theta : Tensor
    history : list of float
        What was reported.
    seconds : float
        CPU time.
    """
    config, begin = config or Fit(), time.process_time()
    rng, net = np.random.default_rng(seed), make_net(window, width=config.width)
    smooth, history = smoothed(window.z), []

    def residual(p, x, known, size):
        return ((net.slopes(p, x) - known) / size).flatten()

    theta = _adam(net, net.draw(seed), lambda: about_data(window, smooth, config.points, rng), window, config, residual)
    method, start = GaussNewton(net.n_parameters), np.append(window.z[0], window.current)
    for i in range(-config.tube, config.orbit):
        x = about_data(window, smooth, config.points, rng)
        if i >= 0:
            orbit = rollout(net.compiled(theta), "tsit5", start, 0.01, round(100 * config.horizon))
            first, last = config.spread
            points = about_orbit(orbit, window, config.points, first * (last / first) ** (i / config.orbit), rng)
            n = min(len(points), config.points if i >= 10 else 2 * config.points // 3)
            x[:n] = points[rng.permutation(len(points))[:n]]
        given = targets(torch.from_numpy(x), window, config.scaling)
        jacobian = net.sensitivity(theta, given[0]) / given[2][..., None]
        settled = 1 - (config.orbit - i) / max(config.settle * config.orbit, 1e-9)
        theta, rms = method.step(lambda p, given=given: residual(p, *given),
                                 jacobian.reshape(-1, net.n_parameters).numpy(), theta,
                                 max(config.damping[0] * 0.7 ** max(i, 0), config.damping[1]),
                                 config.memory if i >= 5 else 0.0, min(1.0, 10 ** (-2 * settled)))  # fmt: skip
        history.append(rms)
        if report:
            report(i, rms)
    return net, theta, history, time.process_time() - begin


def _adam(net, theta, draw, window, config, residual):
    """A first approximation, so that Gauss-Newton finds features worth combining."""
    theta = theta.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([theta], lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, max(config.adam, 1))
    for _ in range(config.adam):
        optimizer.zero_grad()
        (4 * residual(theta, *targets(torch.from_numpy(draw()), window, config.scaling)).square().mean()).backward()
        optimizer.step()
        schedule.step()
    return theta.detach()


def targets(x, window, scaling):
    """The points, the derivatives there by the equations, and what their residuals are divided by."""
    known = equations()[0](x[:, :4], x[:, 4:])
    slope = torch.from_numpy(window.slope).expand_as(known)
    size = {"slope": slope, "relative": torch.hypot(slope, known), "none": torch.ones_like(known)}[scaling]
    return x, known, size


def about_data(window, smooth, n, rng):
    """Points about the measured states: smoothed ones plus a random part of the noise of others, ndarray (n, 5)."""
    here, there = rng.integers(len(smooth), size=(2, n))
    z = smooth[here] + rng.random((n, 1)) * (window.z - smooth)[there]
    return np.column_stack([z, np.full(n, window.current)])


def about_orbit(orbit, window, n, spread, rng):
    """Points about an orbit, as many per unit of arc length everywhere; none if it has left for good."""
    z = orbit[:, :4]
    z = z[(np.abs((z - window.centre) / window.scale) < 6).all(1)]
    if len(z) < len(orbit) // 2:
        return np.empty((0, 5))
    arc = np.linalg.norm(np.diff(z / window.scale, axis=0), axis=1)
    arc = np.append(0, np.cumsum(arc + 0.002))  # where it rests, too
    at = (np.arange(n) + rng.random(n)) / n * arc[-1]
    z = np.column_stack([np.interp(at, arc, column) for column in z.T])
    off = spread * window.scale * rng.standard_normal(z.shape)
    z += off * (rng.random((len(z), 1)) < 2 / 3)
    return np.column_stack([z, np.full(len(z), window.current)])
