"""An unknown parameter with its uncertainty, from noisy observations: a Bayesian net by Laplace's approximation.

Likelihood of the observations (sigma_u) and of the residual at all points (sigma_f), Gaussian priors of the weights
and of the parameter (Yang, Meng & Karniadakis 2021, J. Comput. Phys. 425, 109913); the mode by Gauss-Newton, the
covariance from the Hessian there instead of by sampling.
"""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from .equations import COSMOLOGIES, STIFF, freeze_out
from .gauss_newton import minimise_squares
from .solve import PRIOR, collocation
from .windows import make_basis

#: standard deviations: of the residual, as error of the solution, on the way to the mode and there; of the weights
RESIDUAL, WEIGHTS = (1e-1, 1e-2, 1e-3), 1e3
LEVELS = (0.5, 0.68, 0.9, 0.95)
#: Planck mass [GeV], mass of the particle [GeV], effective degrees of freedom, GeV^-2 in cm^3/s
_PLANCK, _MASS, _G, _CM3_S = 1.22e19, 100.0, 100.0, 1.167330e-17


@dataclass(frozen=True)
class Inference:
    """What is observed of an equation whose C is unknown.

    Attributes
    ----------
    equation : Equation
    c : float
        The truth.
    prior : tuple of float
        Mean and standard deviation of C.
    times : ndarray
        Of the observations.
    noise : float
        Their standard deviation.
    points : Tensor
        Where the residual is asked for.
    """

    equation: object
    c: float
    prior: tuple
    times: np.ndarray
    noise: float
    points: torch.Tensor


def make_inference(name):
    """ "freeze-out": the strength from the relic density to 1 % (Planck 2018: Omega h^2 = 0.1200 +- 0.0012);
    "decay-quadratic": C = 20 from 20 observations of y to 0.02."""
    if name == "freeze-out":
        equation = freeze_out("standard")
        points = collocation(equation, 300, True)
        return Inference(equation, COSMOLOGIES["standard"][1], PRIOR, np.array(equation.span[1:]), 0.01, points)
    if name == "decay-quadratic":
        points = torch.linspace(0.0, 1.0, 100, dtype=torch.float64) ** 2 + STIFF[name].span[0]
        return Inference(STIFF[name], 20.0, (30.0, 20.0), np.linspace(0.05, 1.0, 20), 0.02, points)
    raise ValueError(f"no inference {name!r}; choose from freeze-out, decay-quadratic")


class Posterior:
    """Of the output layer of a net and C, given observations."""

    def __init__(self, problem, width=100, seed=0):
        self.problem, equation = problem, problem.equation
        self.first, self.length = equation.span[0], equation.span[1] - equation.span[0]
        rng, u = np.random.default_rng(seed), self._u(problem.points).numpy()
        centres = np.quantile(u, np.linspace(0, 1, width))  # as dense as the points, and as steep
        steep = 1 / np.maximum(np.gradient(centres), 1e-3) * rng.uniform(0.2, 0.6, width)
        self.hidden = torch.from_numpy(steep), torch.from_numpy(-steep * centres)
        self.scale = np.concatenate([np.full(width + 1, WEIGHTS), [problem.prior[1]]])
        self.mean = np.concatenate([np.zeros(width + 1), [problem.prior[0]]])

    def _u(self, x):
        return (torch.as_tensor(x) - self.first) / self.length

    def solution(self, vector, x):
        """(y, y', basis, its slopes) at x: a correction of the crude solution where there is one."""
        equation, x = self.problem.equation, torch.as_tensor(x)
        basis, slopes = make_basis(self.hidden, self._u(x))
        output, c = torch.from_numpy(vector[:-1]), float(vector[-1])
        base = equation.estimate(x, c) if equation.estimate else (torch.full_like(x, equation.start), 0 * x)
        return base[0] + basis @ output, base[1] + slopes @ output / self.length, basis, slopes / self.length

    def residuals(self, vector, observed, sigma=RESIDUAL[-1]):
        """Standardised deviations from equation, observations and priors, and their derivatives."""
        equation, x = self.problem.equation, self.problem.points

        def parts(c):
            v = np.append(vector[:-1], c)
            y, slope, *_ = self.solution(v, x)
            return slope - equation.rhs(x, y, c), self.solution(v, self.problem.times)[0].numpy()

        c, step = vector[-1], 1e-5 * max(abs(vector[-1]), 1.0)
        y, _, basis, slopes = self.solution(vector, x)
        j = equation.jacobian(x, y, c)
        weight = 1 / (torch.sqrt(1 / self.length**2 + j**2) * sigma)
        r, seen = parts(c)
        by_c = [(a - b) / (2 * step) for a, b in zip(parts(c + step), parts(c - step))]
        rows = torch.cat([slopes - j[:, None] * basis, by_c[0][:, None]], 1) * weight[:, None]
        at = self.solution(vector, self.problem.times)[2].numpy()
        looks = np.concatenate([at, by_c[1][:, None]], 1) / self.problem.noise
        value = np.concatenate(
            [(r * weight).numpy(), (seen - observed) / self.problem.noise, (vector - self.mean) / self.scale]
        )
        return value, np.concatenate([rows.numpy(), looks, np.diag(1 / self.scale)])

    def infer(self, observed, vector=None):
        """(mode, standard deviation of C)."""
        way, vector = (RESIDUAL, self.mean) if vector is None else (RESIDUAL[-1:], vector)
        for sigma in way:
            vector, _, rows = minimise_squares(
                lambda v, sigma=sigma: self.residuals(v, observed, sigma), vector, 40, damping=1e-9
            )
        root = np.linalg.qr(rows, mode="r")
        return vector, float(1 / abs(root[-1, -1]))  # the last of the unknowns: the corner of the inverse


def cross_section(c):
    """<sigma v> [cm^3/s] of C = ln(sqrt(pi g / 45) M_Pl m <sigma v>) for 100 GeV (arXiv:2602.21988 eq. 38)."""
    return np.exp(c) / (math.sqrt(math.pi * _G / 45) * _PLANCK * _MASS) * _CM3_S


def measure_coverage(name, draws=200, seed=0):
    """How often the truth is within the interval that claims so, over draws of noise; dict for JSON."""
    begin, problem = time.process_time(), make_inference(name)
    posterior, rng = Posterior(problem, seed=seed), np.random.default_rng(seed)
    exact = problem.equation.reference(np.concatenate([[problem.equation.span[0]], problem.times]), problem.c)[1:]
    mode, found, spread = None, [], []
    for _ in range(draws):
        mode, sd = posterior.infer(exact + problem.noise * rng.standard_normal(len(exact)), mode)
        found.append(mode[-1])
        spread.append(sd)
    found, spread = np.array(found), np.array(spread)
    z = np.abs(found - problem.c) / spread
    normal = torch.distributions.Normal(0.0, 1.0)
    bounds = [normal.icdf(torch.tensor((1 + level) / 2)).item() for level in LEVELS]
    return {
        "true": problem.c,
        "mean": float(found.mean()),
        "scatter": float(found.std()),
        "predicted": float(spread.mean()),
        "coverage": {str(level): float((z <= bound).mean()) for level, bound in zip(LEVELS, bounds)},
        "sigma_v": [float(cross_section(v)) for v in (found.mean(), problem.c)] if name == "freeze-out" else None,
        "draws": draws,
        "cpu_s": time.process_time() - begin,
    }
