"""Our way: the known equations at points that follow the net's own orbit, by Gauss-Newton steps.

The noisy window says where to look and where to start; the equations say, without noise, what the field is there. At
first the residuals are taken about the measured states, then about the orbit of the net as it is now, through as many
oscillations as one likes, for nothing but the field is needed there. The last steps also ask that the residuals do not
shift the phase. The true equations are never integrated.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch

from .data import DT, Window, equations, smoothed
from .gauss_newton import GaussNewton
from .net import Net
from .phase import PhaseShift
from .rollout import rollout

#: times at which the phase shall be right [ms], and how much more than all other residuals each of them counts
ENDS, WEIGHT = (15.0, 30.0, 45.0, 60.0), 300.0


@dataclass(frozen=True)
class Fit:
    """How to train; the switches are there to find out what matters.

    Attributes
    ----------
    width : int
    points : int
        Per step, drawn anew.
    adam, tube, orbit, timed : int
        Iterations of Adam with points about the measured states, Gauss-Newton steps with such, then with points about
        the net's own orbit, then with those and the shifts of the phase at `ENDS`, of which the best step counts.
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
    points: int = 450
    adam: int = 1000
    tube: int = 15
    orbit: int = 90
    timed: int = 10
    horizon: float = 40.0
    spread: tuple = (0.03, 0.003)
    damping: tuple = (1e-2, 1e-8)
    memory: float = 0.9
    scaling: str = "slope"
    settle: float = 0.4


def make_net(windows, **options):
    """A net with the scales of a window, or of several with different currents."""
    windows = _list(windows)
    z, currents = np.concatenate([w.z for w in windows]), np.array([w.current for w in windows], float)
    return Net(
        centre=np.append(z.mean(0), currents.mean()),
        scale=np.append(z.std(0), currents.std() or 1.0),
        slope=np.sqrt(np.mean([w.slope**2 for w in windows], 0)),
        **options,
    )


def fit(windows, config=None, seed=0, report=None):
    """Train a net.

    Parameters
    ----------
    windows : Window or list of Window
        Several: of different currents, which share the points.
    report : callable, optional
        Called with (step, root mean square of the residuals at the points drawn) after each step; in the last, timed
        steps with the largest shift of the phase [ms].

    Returns
    -------
    net : Net
    theta : Tensor
    history : list of float
        What was reported.
    seconds : float
        CPU time.
    """
    config, begin, windows = config or Fit(), time.process_time(), _list(windows)
    rng, net = np.random.default_rng(seed), make_net(windows, width=config.width)
    shares = [len(part) for part in np.array_split(np.arange(config.points), len(windows))]

    def draw(theta=None, i=-1, spread=0.0):
        x = [about_data(window, n, rng) for window, n in zip(windows, shares)]
        for window, part in zip(windows, x) if i >= 0 else ():
            points = about_orbit(
                _orbit(net, theta, window, config.horizon), net.scale[:4], window, len(part), spread, rng
            )
            n = min(len(points), len(part) if i >= 10 else 2 * len(part) // 3)
            part[:n] = points[rng.permutation(len(points))[:n]]
        return targets(torch.from_numpy(np.concatenate(x)), net.slope, config.scaling)

    def residual(p, x, known, size):
        return ((net.slopes(p, x) - known) / size).flatten()

    theta = _adam(net.draw(seed), config.adam, lambda p: residual(p, *draw()))
    method, history, steps = GaussNewton(net.n_parameters), [], config.orbit or config.tube
    first, last = config.spread
    for i in range(-config.tube, config.orbit):
        given = draw(theta, i, first * (last / first) ** (max(i, 0) / max(config.orbit, 1)))
        settled = max(1 - (config.orbit - i) / (config.settle * steps), 0.0)
        theta, rms = method.step(
            lambda p, given=given: residual(p, *given),
            sensitivity(net, theta, *given),
            theta,
            max(config.damping[0] * 0.7 ** max(i, 0), config.damping[1]),
            config.memory if i >= 5 else 0.0,
            10 ** (-2 * settled),
        )
        history.append(rms)
        if report:
            report(i, rms)
    theta = _time(net, theta, windows, shares, config, rng, method, history, report)
    return net, theta, history, time.process_time() - begin


def _adam(theta, iterations, residual):
    """A first approximation, so that Gauss-Newton finds features worth combining."""
    theta = theta.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([theta], lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, max(iterations, 1))
    for _ in range(iterations):
        optimizer.zero_grad()
        residual(theta).square().mean().backward()
        optimizer.step()
        schedule.step()
    return theta.detach()


def _time(net, theta, windows, shares, config, rng, method, history, report):
    """The last steps: small corrections of the field on the orbit, above all of those that make it early or late."""
    best, least = theta, np.inf
    for i in range(config.timed + 1):
        orbits = [_orbit(net, theta, window, ENDS[-1]) for window in windows]
        if not all(is_near(orbit, window).all() for orbit, window in zip(orbits, windows)):
            break
        shifts = [PhaseShift(net, orbit, DT, ENDS, net.scale[:4]) for orbit in orbits]
        off = max(float(shift(theta).abs().max()) for shift in shifts)
        if off < least:
            best, least = theta, off
        if i == config.timed:
            break
        points = [
            about_orbit(orbit[: round(config.horizon / DT)], net.scale[:4], window, n, config.spread[1], rng)
            for orbit, window, n in zip(orbits, windows, shares)
        ]
        x, known, size = targets(torch.from_numpy(np.concatenate(points)), net.slope, config.scaling)
        field = sensitivity(net, theta, x, known, size)
        timing = torch.cat([shift.jacobian(theta) for shift in shifts]).numpy()
        weight = WEIGHT * np.sqrt((field**2).sum(1).mean() / (timing**2).sum(1))
        factor = torch.from_numpy(weight)

        def residual(p, x=x, known=known, size=size, shifts=shifts, factor=factor):
            return torch.cat(
                [((net.slopes(p, x) - known) / size).flatten(), factor * torch.cat([s(p) for s in shifts])]
            )

        theta, _ = method.step(residual, np.concatenate([field, weight[:, None] * timing]), theta, config.damping[1])
        history.append(off)
        if report:
            report(config.orbit + i, off)
    return best


def _list(windows):
    return [windows] if isinstance(windows, Window) else list(windows)


def _orbit(net, theta, window, length):
    return rollout(net.compiled(theta), "tsit5", np.append(window.z[0], window.current), DT, round(length / DT))


def sensitivity(net, theta, x, known, size):
    """Jacobian of the scaled residuals by theta, ndarray of shape (4 n, n_parameters)."""
    return (net.sensitivity(theta, x) / size[..., None]).reshape(-1, net.n_parameters).numpy()


def targets(x, slope, scaling):
    """The points, the derivatives there by the equations, and what their residuals are divided by."""
    known = equations()[0](x[:, :4], x[:, 4:])
    slope = torch.from_numpy(slope).expand_as(known)
    size = {"slope": slope, "relative": torch.hypot(slope, known), "none": torch.ones_like(known)}[scaling]
    return x, known, size


def about_data(window, n, rng):
    """Points about the measured states: smoothed ones plus a random part of the noise of others, ndarray (n, 5)."""
    smooth, (here, there) = smoothed(window.z), rng.integers(len(window.z), size=(2, n))
    z = smooth[here] + rng.random((n, 1)) * (window.z - smooth)[there]
    return np.column_stack([z, np.full(n, window.current)])


def is_near(orbit, window):
    """Which states are within six standard deviations of the measured ones, boolean ndarray of shape (n,)."""
    return (np.abs((orbit[:, :4] - window.centre) / window.scale) < 6).all(1)


def about_orbit(orbit, scale, window, n, spread, rng):
    """Points about an orbit, as many per unit of arc length everywhere; none if it has left for good."""
    z = orbit[is_near(orbit, window), :4]
    if len(z) < len(orbit) // 2:
        return np.empty((0, 5))
    arc = np.linalg.norm(np.diff(z / scale, axis=0), axis=1)
    arc = np.append(0, np.cumsum(arc + 0.002))  # where it rests, too
    at = (np.arange(n) + rng.random(n)) / n * arc[-1]
    z = np.column_stack([np.interp(at, arc, column) for column in z.T])
    z += spread * scale * rng.standard_normal(z.shape) * (rng.random((n, 1)) < 2 / 3)
    return np.column_stack([z, np.full(n, window.current)])
