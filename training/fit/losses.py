"""What training makes small: the mathematics of the terms of the loss. `terms` is their table.

An error of a variable is in units that all terms share: dex where the variable has a floor, units of its scale where it
is signed. All but `supervised` work without labels: they need the equations, or nothing but the net.
"""

import math
import warnings

import torch
from torch.nn.functional import smooth_l1_loss

from ..codegen.python import torch_functions

#: steps of a rollout
N_ROLLOUT = 3
#: times the fastest rate up to which a linearly implicit step from the start is taken for the solution
EARLY = 0.1
#: largest error of a variable, in e-foldings: I - dt J may be nearly singular
LIMIT = 10.0


def robust(error, beta):
    """Sum of errors, squared below `beta` and linear above."""
    return smooth_l1_loss(error, torch.zeros_like(error), beta=beta, reduction="sum")


def pinball(miss, level, beta=0.1):
    """Sum of |miss|, `level` where positive and ``1 - level`` where negative, rounded off within `beta`."""
    weight = torch.where(miss > 0, level, 1 - level)
    return (weight * smooth_l1_loss(miss, torch.zeros_like(miss), beta=beta, reduction="none")).sum()


def supervised(surrogate, inputs, target, counts):
    """Errors of the predicted changes for a stack of inputs per expert.

    Parameters
    ----------
    inputs : Tensor of shape (n_experts, n, n_features)
        Standardised.
    target, counts : Tensor of shape (n_experts, n, n_vars)
        See `Encoding.targets`.
    """
    return (surrogate.outputs(inputs) - target) * counts


class Physics:
    """The equations of a system at its default parameters.

    ``physics(y, t)`` gives f of shape (n, n_vars) and its Jacobian (n, n_vars, n_vars), without gradients.
    """

    def __init__(self, system, device="cpu"):
        self._rhs, self._jacobian = torch_functions(system)
        self._params = torch.tensor(system.parameter_values, device=device)
        self._bounds = torch.tensor([(v.lower, v.upper) for v in system.variables], dtype=torch.float64, device=device)

    @torch.no_grad()
    def __call__(self, y, t):
        return self._rhs(y, self._params, t), self._jacobian(y, self._params, t)

    def holds(self, y):
        """Whether cells are in the range that the equations are made for, bool of shape (n,)."""
        return ((y >= self._bounds[:, 0]) & (y <= self._bounds[:, 1])).all(1)

    def fastest_rate(self, y):
        """Largest entry on the diagonal of the Jacobian at the start, shape (n,)."""
        parts = [self(part, part.new_zeros(len(part)))[1].diagonal(dim1=1, dim2=2) for part in y.split(8192)]
        return torch.cat(parts).abs().amax(1) + 1e-300

    def is_early(self, y, dt):
        """Whether only the first instants have passed, bool of shape (n,)."""
        return dt * self.fastest_rate(y) <= EARLY


def precondition(jacobian, h, r):
    """(I - h J)^-1 r: the error of an implicit step of length `h` that leaves the residual r.

    For one equation that is division by 1 + h |J|, the Jacobian normalisation of [1]_: a violation counts by what it
    does to the solution, not by how fast. Slow components keep r, fast ones get their distance to equilibrium.

    Parameters
    ----------
    jacobian : Tensor of shape (n, n_vars, n_vars)
    h : Tensor of shape (n,)
    r : Tensor of shape (n, n_vars)

    References
    ----------
    .. [1] Bento, Camara, Rocha & Seabra 2026, arXiv:2602.21988
    """
    eye = torch.eye(r.shape[1], dtype=r.dtype, device=r.device)
    return torch.linalg.solve_ex(eye - h[:, None, None] * jacobian, r.unsqueeze(2))[0].squeeze(2)


def residual(flow, physics, encoding, state, dt, early=None):
    """Estimated error of a flow map from its violation of dy/dt = f(y).

    In z = ln y (y / scale where signed) the equations are dz/dln(dt) = dt g(z), g = f / y. The time derivative comes
    from a forward-mode product, g is linearised about the prediction, so that its gradient costs no second evaluation,
    and `precondition` with h = dt turns the violation into an error. It gets the Jacobian of f in relative units less
    |f| / y: a prediction that is decades too low asks for a relative rate as large as that, and the error stays of
    order one instead; close to the solution the term is that of a power law in time, of order one as well.

    Any solution of the equations has no violation; which of them is asked for, the first instants tell. There, up to
    `EARLY` of the fastest time scale, the error is the distance from one linearly implicit step from the start.

    Parameters
    ----------
    flow : callable
        ``flow(state, dt)`` -> (end, ...).
    physics : Physics
    early : bool Tensor of shape (n,), optional
        What `Physics.is_early` says, if it is known already.

    Returns
    -------
    Tensor of shape (n, n_vars)
        The distance from the start where the equations cannot be evaluated at the prediction.
    """

    def logs(y):
        return torch.where(encoding.log, torch.log(y.clamp_min(1e-300)), y / encoding.unit)

    def transformed(s):
        end = flow(state, dt * s.exp())[0]
        return logs(end), end.detach()

    zero = torch.zeros_like(dt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own use of TorchScript, at the first call
        z, rate, y = torch.func.jvp(transformed, (zero,), (zero + 1,), has_aux=True)
    early = physics.is_early(state, dt) if early is None else early
    f, jacobian = physics(y, dt)
    good = physics.holds(y) & f.isfinite().all(1) & jacobian.isfinite().all(2).all(1)
    f, jacobian = torch.where(good[:, None], f, 0.0), torch.where(good[:, None, None], jacobian, 0.0)
    scale = encoding.scale(y)
    g, relative = f / scale, jacobian * (scale.unsqueeze(1) / scale.unsqueeze(2))
    own = torch.where(encoding.log, g, 0.0)
    slope = (relative @ (z - z.detach()).unsqueeze(2)).squeeze(2) - own * (z - z.detach())
    error = precondition(relative - torch.diag_embed(own.abs()), dt, rate - dt[:, None] * (g + slope))
    error = error.index_put((early,), z[early] - _first_step(physics, encoding, state[early], dt[early]))
    good = good & error.isfinite().all(1)
    error = error * (LIMIT / error.detach().abs().amax(1, keepdim=True)).clamp_max(1)
    error = torch.where(good[:, None], error, z - logs(state))  # without a loss the net would hide there
    return error / torch.where(encoding.log, math.log(10), 1.0)


def _first_step(physics, encoding, state, dt):
    """z as in `residual` after one linearly implicit midpoint step from the start."""
    f, jacobian = physics(state, torch.zeros_like(dt))
    scale = encoding.scale(state)
    relative = jacobian * (scale.unsqueeze(1) / scale.unsqueeze(2))
    step = precondition(relative, dt / 2, dt[:, None] * f / scale)
    logs = torch.log(scale) + torch.log1p(step.clamp_min(-0.5))
    return torch.where(encoding.log, logs, state / encoding.unit + step)


def semigroup(flow, encoding, state, dt, shortest):
    """Two steps in succession minus one, split at random; zero where `dt` is less than two of the shortest steps."""
    long = dt >= 2 * shortest
    rest = torch.where(long, dt, 2 * shortest) - shortest
    first = shortest * (rest / shortest) ** torch.rand_like(dt)
    second = torch.where(long, dt - first, shortest)
    twice = flow(flow(state, first)[0], second)[0]
    return _difference(encoding, state, twice, flow(state, dt)[0]) * long[:, None]


def rollout(flow, encoding, state, dt, end, shortest, n_steps=N_ROLLOUT):
    """`n_steps` equal steps in succession minus `end`; zero where such a step is less than the shortest."""
    y = state
    for _ in range(n_steps):
        y = flow(y, dt / n_steps)[0]
    return _difference(encoding, state, y, end) * (dt >= n_steps * shortest)[:, None]


def _difference(encoding, state, end, reference):
    total = encoding.total_density(state)
    error = encoding.reduce(end, total) - encoding.reduce(reference, total)
    return torch.where(encoding.counts(reference.detach(), total), error, 0.0)
