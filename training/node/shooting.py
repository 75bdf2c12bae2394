"""The gradient of a loss along a trajectory through all steps of the window, without unrolling them.

Discretise, then optimise: given the states, all steps are one batch. One vector per state runs backwards through the
steps' Jacobians (`sweep`), and one product with the derivative of the batch by theta gives the exact gradient. The
continuous adjoints are there to be compared with.
"""

import numba
import numpy as np
import torch

from .rollout import rollout
from .solvers import step

#: discrete: exact for the method; the others integrate the adjoint equation, along the states of the forward run, or
#: along states integrated backwards from the last one
GRADIENTS = ("discrete", "interpolating", "backsolve")


def shoot(net, theta, method, x0, h, target, weight, gradient="discrete"):
    """Mean over the points of sum_j (weight_j (x_j - target_j))^2, and its gradient by theta.

    Parameters
    ----------
    x0 : ndarray of shape (5,)
    target : ndarray of shape (n, 4)
        At 0, h, 2 h ...; what comes after a trajectory has left the bounds of `rollout` counts as 100 `weight`^-1 off.
    weight : ndarray of shape (4,)

    Returns
    -------
    value : float
    gradient : Tensor of shape (n_parameters,)
    """
    n = len(target)
    x = rollout(net.compiled(theta), method, x0, h, n - 1)
    lost = ~np.isfinite(x).all(1)
    good = int(lost.argmax()) if lost.any() else n
    x = x[:good]
    off = (x[:, :4] - target[:good]) * weight
    value = ((off**2).sum() + 4e4 * (n - good)) / n
    pull = np.zeros((good, 5))
    pull[:, :4] = 2 * off * weight / n
    if good < 2:
        return value, torch.zeros_like(theta)
    run = {"discrete": _discrete, "interpolating": _continuous, "backsolve": _continuous}[gradient]
    return value, run(net, theta, method, x, h, pull, gradient)


def _discrete(net, theta, method, x, h, pull, _):
    theta = theta.detach().requires_grad_(True)
    start = torch.from_numpy(x[:-1]).requires_grad_(True)
    end = step(method, lambda y: net(theta, y), lambda y: net.jacobian(theta, y), start, h)
    basis = torch.eye(5, dtype=end.dtype)[:, None].expand(5, *end.shape)
    (jacobian,) = torch.autograd.grad(end, start, basis, retain_graph=True, is_grads_batched=True)
    pulled = sweep(jacobian.transpose(0, 1).contiguous().numpy(), pull)
    return torch.autograd.grad(end, theta, torch.from_numpy(pulled[1:]))[0]


def _continuous(net, theta, method, x, h, pull, gradient):
    """Heun's method for the adjoint equation, the trapezoidal rule for the integral; needs states alone."""
    if gradient == "backsolve":
        x = rollout(net.compiled(theta), method, x[-1], -h, len(x) - 1)[::-1]
        x = np.where(np.isfinite(x), x, 0.0)
    j = net.jacobian(theta, torch.from_numpy(np.ascontiguousarray(x))).numpy()
    one = np.eye(5)
    back = one + h / 2 * (j[1:] + j[:-1] + h * j[1:] @ j[:-1])  # transposed, it carries the adjoint one step back
    pulled = sweep(back, pull)
    weight = np.full((len(x), 1), h)
    weight[[0, -1]] /= 2
    inner = weight * pulled  # a jump at a point belongs half to the interval after it
    inner[1:] -= h / 2 * pull[1:]
    theta = theta.detach().requires_grad_(True)
    return torch.autograd.grad(net(theta, torch.from_numpy(x.copy())), theta, torch.from_numpy(inner))[0]


@numba.njit(cache=True, error_model="numpy")
def sweep(jacobian, pull):
    """g_k = pull_k + jacobian_k^T g_{k+1} from the last state to the first, ndarray of shape (n, 5)."""
    out = pull.copy()
    for k in range(len(pull) - 2, -1, -1):
        out[k] += jacobian[k].T @ out[k + 1]
    return out
