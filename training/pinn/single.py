"""One start of a system for all times, without labels: interstellar gas, two toys and two classics."""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..systems.network import YEAR
from .problems import Problem, functions, integrate
from .windows import Trajectory, march


@dataclass(frozen=True)
class Case:
    """A system from one start.

    Attributes
    ----------
    times : tuple of float
        Between which errors are measured, and the last to be reached.
    stiff : bool
        Positive variables over many decades: ln y over ln t, after a first window of y over t.
    published : tuple of float, or float
        log10 of the relative error at 50, 75, 90 %, or mean error, that others report.
    gpu_hours : float
        Their cost.
    """

    times: tuple
    stiff: bool
    published: tuple | float | None = None
    gpu_hours: float | None = None


#: length of the first window, in units of the fastest time scale
FIRST = 0.03
#: published: Branca & Pallottini 2023 (MNRAS 518, 5718), who do not say to which time the toys go
CASES = {
    "ism-atomic": Case((10 * YEAR, 1e6 * YEAR), True, (-1.51, -1.05, -0.77), 120.0),
    "ism-molecular": Case((10 * YEAR, 1e6 * YEAR), True, (-2.91, -0.84, 0.16), 820.0),
    "toy-constant": Case((0.01, 10.0), False, 1e-3),
    "toy-periodic": Case((0.01, 10.0), False, 2e-3),
    "robertson": Case((1e-5, 1e11), True),
    "pollu": Case((1e-5, 60.0), True),
}


def make_start(name):
    """The start of a system, ndarray: that of the population `single` for interstellar networks, else its own."""
    system = functions(name)[0]
    if "T" not in system.names:
        return system.initial
    from ..populations import SINGLE
    from ..systems.network import abundances

    temperature, total, fractions = SINGLE[name]
    start = abundances(system, total, fractions)
    start[system.names.index("T")] = temperature
    return start


def first_problem(name, case):
    """The first window: to a fraction of the fastest time scale where the system is stiff, y over t."""
    start = make_start(name)
    if not case.stiff:
        return Problem(name, (0.0, case.times[1]), tuple(start), (1.0,) * len(start))
    t = min(FIRST / _fastest(name, start), case.times[1])
    while True:  # where nothing is there yet, what is made soon may be faster than anything at the start
        near = _advance(name, start, t)
        if t * _fastest(name, near) <= FIRST:
            break
        t *= 0.5
    scale = np.maximum(np.abs(start), np.abs(near))  # of what is not there yet, how much there will be
    return Problem(name, (0.0, t), tuple(start), tuple(np.where(scale > 0, scale, 1.0)))


def _fastest(name, y):
    system, _, jacobian = functions(name)
    matrix = jacobian(torch.from_numpy(y)[None], torch.from_numpy(system.parameter_values))[0]
    return torch.linalg.eigvals(matrix).abs().max().item()


def _advance(name, y, t, steps=8):
    """Explicit steps: what is made of what is made of ... is there after as many."""
    system, rhs, _ = functions(name)
    y, p = torch.from_numpy(y)[None], torch.from_numpy(system.parameter_values)
    for _ in range(steps):
        y = (y + t / steps * rhs(y, p)).clamp(min=0.0)
    return y[0].numpy()


def solve_single(name, accuracy=3e-7, ratio=10.0, report=None, seed=0, **window):
    """Solve a case.

    Parameters
    ----------
    name : str
        One of `CASES`.
    ratio : float
        Of the last to the first time of a window, at most.
    **window
        For `windows.solve_window`; the others are those of `windows.march`.

    Returns
    -------
    Trajectory
    """
    if name not in CASES:
        raise ValueError(f"no single start for {name!r}; choose from {', '.join(CASES)}")
    case, begin, options = CASES[name], time.process_time(), {"accuracy": accuracy, "report": report, "seed": seed}
    problem = first_problem(name, case)
    first = march(problem, problem.span[1] / (1 if case.stiff else 8), **options, **window)
    if not case.stiff:
        return replace(first, seconds=time.process_time() - begin)
    last = problem.span[1]
    start = tuple(first([last])[0].tolist())
    problem = replace(problem, span=(last, case.times[1]), start=start, log_time=True, log_state=True)
    later = march(problem, np.log(ratio), **options, **window)
    return Trajectory(first.windows + later.windows, time.process_time() - begin, first.given_up + later.given_up)


def measure(name, trajectory, n=1000):
    """Errors against SciPy's Radau at 1e-11; dict for JSON.

    ``quantiles``: log10 of \\|y/y_ref - 1\\| over all variables and `n` times, uniform in ln t (in t where not stiff),
    at 50, 75, 90, 99, 100 %; ``mean``: of \\|y - y_ref\\| in units of the largest \\|y_ref\\| of each variable.
    """
    case = CASES[name]
    times = np.geomspace(*case.times, n) if case.stiff else np.linspace(*case.times, n)
    system = functions(name)[0]
    exact = integrate(name, system.parameter_values, make_start(name), 0.0, times)
    got = trajectory(times)
    relative = np.abs(got / exact - 1)
    mean = float(np.mean(np.abs(got - exact) / np.abs(exact).max(0)))
    levels = np.log10(np.maximum(np.quantile(relative, (0.5, 0.75, 0.9, 0.99, 1.0)), 1e-16))
    return {
        "quantiles": levels.tolist(),
        "mean": mean,
        "worst": {v: float(e) for v, e in zip(system.names, relative.max(0))},
        "windows": len(trajectory.windows),
        "given_up": trajectory.given_up,
        "iterations": sum(w.iterations for w in trajectory.windows),
        "weights": sum(w.output.size for w in trajectory.windows),
        "cpu_s": trajectory.seconds,
        "published": case.published,
        "gpu_hours_published": case.gpu_hours,
    }
