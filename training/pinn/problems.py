"""Systems as problems to train on: in which coordinate and variables, from where to where, and what is true."""

from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import torch

from ..codegen import python_functions, torch_functions
from ..systems import get_system
from .equations import Z_END


@cache
def functions(name):
    """(System, torch rhs, torch Jacobian), generated once."""
    system = get_system(name)
    return system, *torch_functions(system)


@cache
def _scalar_functions(name):
    return python_functions(get_system(name))


@dataclass(frozen=True)
class Problem:
    """A system over `span` from `start`, as dx/ds = g(s, x).

    Attributes
    ----------
    system : str
    span : tuple of float
        Times.
    start : tuple of float
        State at the first.
    scale : tuple of float
        x = y / scale; not used with `log_state`.
    log_time : bool
        s = ln t instead of t.
    log_state : bool
        x = ln y instead.
    log_points : bool
        Points are uniform in ln t also where s = t.
    values : dict
        Parameters other than their defaults.
    """

    system: str
    span: tuple
    start: tuple
    scale: tuple
    log_time: bool = False
    log_state: bool = False
    log_points: bool = False
    values: dict = field(default_factory=dict)

    @cached_property
    def parameters(self):
        """ndarray of shape (n_params,)."""
        return np.array([self.values.get(p.name, p.value) for p in functions(self.system)[0].parameters], float)

    @property
    def ends(self):
        """First and last s."""
        return tuple(np.log(self.span)) if self.log_time else self.span

    @cached_property
    def x_start(self):
        """Tensor of shape (n_vars,)."""
        return self.inward(torch.tensor(self.start, dtype=torch.float64))

    def inward(self, y):
        """x of y."""
        return torch.log(y) if self.log_state else y / torch.tensor(self.scale, dtype=torch.float64)

    def outward(self, x):
        """y of x."""
        return torch.exp(x) if self.log_state else x * torch.tensor(self.scale, dtype=torch.float64)

    def times(self, s):
        """t of s."""
        return torch.exp(s) if self.log_time else s

    def field(self, s, x):
        """g, of shape (n, n_vars), at s of shape (n,)."""
        y, t = self.outward(x), self.times(s)
        f = functions(self.system)[1](y, y.new_tensor(self.parameters), t)
        return f / self._unit(y) * self._rate(t)[:, None]

    def jacobian(self, s, x):
        """dg/dx, of shape (n, n_vars, n_vars)."""
        y, t = self.outward(x), self.times(s)
        parameters, unit = y.new_tensor(self.parameters), self._unit(y)
        j = functions(self.system)[2](y, parameters, t) * unit[..., None, :] / unit[..., :, None]
        if self.log_state:
            j = j - torch.diag_embed(functions(self.system)[1](y, parameters, t) / y)
        return j * self._rate(t)[:, None, None]

    def _unit(self, y):
        return y if self.log_state else torch.tensor(self.scale, dtype=y.dtype).expand(y.shape)

    def _rate(self, t):
        return t if self.log_time else torch.ones_like(t)

    def points(self, n, first=0.0, last=1.0):
        """s of `n` points between two fractions of the whole, Tensor of shape (n,)."""
        w = torch.linspace(first, last, n, dtype=torch.float64)
        return self.place(w)

    def place(self, w):
        """s at fractions of the whole, in which points are uniform."""
        a, b = self.ends
        return torch.exp(np.log(a) + w * np.log(b / a)) if self.log_points else a + w * (b - a)

    @cached_property
    def check(self):
        """Points between those of training, and y there: 501 s and an ndarray of shape (501, n_vars)."""
        s = self.points(501, 0.001, 1.0)
        return s, self.reference(s.numpy())

    def reference(self, s):
        """y at ascending `s`, by SciPy's Radau at 1e-11; ndarray of shape (len(s), n_vars)."""
        times = np.clip(self.times(torch.as_tensor(s)).numpy(), *self.span)
        return integrate(self.system, self.parameters, np.array(self.start), self.span[0], times)


def root_of(problem, jacobian):
    """R^T with R^T R = 1/L^2 + J J^T, L the length of the span: R^-T r is the error of x that a residual r amounts to.

    For one variable this is r / sqrt(1/L^2 + J^2). By QR of (1/L, J)^T, as squares of J lose all digits.
    """
    a, b = problem.ends
    slow = torch.eye(jacobian.shape[-1], dtype=jacobian.dtype).expand(jacobian.shape) / (b - a)
    return torch.linalg.qr(torch.cat([slow, jacobian.mT], -2)).R.mT


def integrate(name, parameters, start, first, times, rtol=1e-11):
    """States at ascending `times` from `start` at `first`, by SciPy's Radau with our right-hand side and Jacobian."""
    from scipy.integrate import solve_ivp

    rhs, jacobian, _ = _scalar_functions(name)
    n, parameters = len(start), np.asarray(parameters)
    run = solve_ivp(
        lambda t, y: rhs(t, y, parameters),
        (first, times[-1]),
        start,
        "Radau",
        times,
        rtol=rtol,
        atol=rtol * 1e-14 * np.abs(start).max(),
        jac=lambda t, y: np.reshape(jacobian(t, y, parameters), (n, n)),
        first_step=1e-6 * (times[0] - first) if times[0] > first else None,
    )
    if not run.success:
        raise ValueError(f"{name}: no reference, {run.message}")
    return run.y.T


def _scalar(name):
    return Problem(name, (np.exp(-15.0), 1.0), (1.0,), (1.0,), log_points=True, values={"C": 1e3})


@cache
def make_problem(name):
    """One of `PROBLEMS`."""
    if name not in PROBLEMS:
        raise ValueError(f"no problem {name!r}; choose from {', '.join(PROBLEMS)}")
    return PROBLEMS[name]()


def _freeze_out():
    system = functions("freeze-out-constant")[0]
    return Problem("freeze-out-constant", (0.0, Z_END), tuple(system.initial), (26.1586,))


def _toy(name):
    return Problem(name, (0.0, 10.0), tuple(functions(name)[0].initial), (1.0,) * 3)


def _robertson():
    first = 1e-6  # one explicit step from the true start, whose error is of second order
    return Problem("robertson", (first, 1e5), (1 - 0.04 * first, 0.04 * first, 0.0), (1.0, 3.65e-5, 1.0), log_time=True)


#: what the table of methods is about
PROBLEMS = {
    "decay-linear": lambda: _scalar("decay-linear"),
    "decay-quadratic": lambda: _scalar("decay-quadratic"),
    "relax-forced": lambda: _scalar("relax-forced"),
    "freeze-out": _freeze_out,
    "toy-constant": lambda: _toy("toy-constant"),
    "toy-periodic": lambda: _toy("toy-periodic"),
    "robertson": _robertson,
}
