"""The equations, from their systems: three scalar stiff ones with closed solutions, and freeze-out."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch

from ..codegen import python_functions, torch_functions
from ..systems import get_system


@dataclass(frozen=True)
class Equation:
    """A scalar system over ``span``, from y = ``start``; its parameter C is left open.

    Attributes
    ----------
    system : str
        Name of the `System`.
    values : dict
        Its other parameters.
    exact : callable, optional
        Solution (x, C).
    kink : float, optional
        Where the right-hand side has a kink in x.
    estimate : callable, optional
        Crude solution and its derivative, of (x, C), to correct instead of the constant `start`.
    """

    system: str
    span: tuple
    start: float
    values: dict
    exact: Callable | None = None
    kink: float | None = None
    estimate: Callable | None = None

    @cached_property
    def _functions(self):
        return torch_functions(get_system(self.system))

    @cached_property
    def _values(self):
        return {p.name: p.value for p in get_system(self.system).parameters} | self.values

    def _parameters(self, like, c):
        values = (self._values | {"C": c}).values()
        return torch.stack([torch.as_tensor(v, dtype=like.dtype).expand(like.shape) for v in values], -1)

    def rhs(self, x, y, c):
        """f(x, y; C), tensors that broadcast to the shape of `y`."""
        return self._functions[0](y[..., None], self._parameters(y, c), x)[..., 0]

    def jacobian(self, x, y, c):
        """df/dy."""
        return self._functions[1](y[..., None], self._parameters(y, c), x)[..., 0, 0]

    def reference(self, x, c):
        """Solution at ascending `x` by SciPy's Radau at 1e-11; ndarray of the shape of `x`."""
        from scipy.integrate import solve_ivp

        rhs, jacobian, _ = python_functions(get_system(self.system))
        p = np.array(list((self._values | {"C": c}).values()))
        out, y, first = np.empty(len(x)), [self.start], self.span[0]
        for end in sorted({self.kink, self.span[1]} - {None}):  # no step across a kink
            inside = (x >= first) & (x <= end)
            run = solve_ivp(
                lambda t, y: rhs(t, y, p),
                (first, end),
                y,
                "Radau",
                x[inside],
                rtol=1e-11,
                atol=1e-12,
                jac=lambda t, y: np.reshape(jacobian(t, y, p), (1, 1)),
                first_step=1e-10,
                dense_output=True,
            )
            out[inside], y, first = run.y[0], run.sol(end), end
        return out


def _relaxed(x, c):
    fading = (1 + c / (c**2 + 1)) * torch.exp(-c * x)
    return c**2 / (c**2 + 1) * (torch.sin(x) - torch.cos(x) / c) + fading


_stiff = partial(Equation, span=(math.exp(-15), 1.0), start=1.0, values={})
#: the three scalar equations by name (arXiv:2602.21988 eqs. 8, 27, 28), for C from 1 to 1e4
STIFF = {
    "decay-linear": _stiff("decay-linear", exact=lambda x, c: torch.exp(-c * x)),
    "decay-quadratic": _stiff("decay-quadratic", exact=lambda x, c: 1 / (1 + c * x)),
    "relax-forced": _stiff("relax-forced", exact=_relaxed),
}

#: gamma of the Hubble rate before x = 500, and C for ln Y = `W_END` at the end, by Radau at 1e-11
COSMOLOGIES = {"gauss-bonnet": (-2 / 3, 27.636016), "standard": (0.0, 29.203782), "randall-sundrum": (2.0, 31.702257)}
Z_END, W_END = math.log(5e4), -26.1586


def freeze_out(cosmology):
    """W = ln Y over z = ln(m/T) (arXiv:2602.21988 eq. 40); C is the logarithm of the interaction strength.

    Parameters
    ----------
    cosmology : str
        One of `COSMOLOGIES`.
    """
    if cosmology not in COSMOLOGIES:
        raise ValueError(f"no cosmology {cosmology!r}; choose from {', '.join(COSMOLOGIES)}")
    gamma = COSMOLOGIES[cosmology][0]
    system = get_system("freeze-out-constant")
    kink = next(p.value for p in system.parameters if p.name == "z_t") if gamma else None
    start = float(system.initial[0])

    def estimate(z, c):
        """Equilibrium until freeze-out at x = 22, nothing after it: Y = Yeq + 22 e^-C (Kolb & Turner 1990, ch. 5)."""
        equilibrium = start + 1 + 1.5 * z - torch.exp(z)
        rest = torch.full_like(z, math.log(22.0) - c)
        return torch.logaddexp(equilibrium, rest), torch.sigmoid(equilibrium - rest) * (1.5 - torch.exp(z))

    return Equation("freeze-out-constant", (0.0, Z_END), start, {"gamma": gamma}, kink=kink, estimate=estimate)
