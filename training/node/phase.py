"""How late the orbit of a net is, without the true one: its residuals, weighted by what they do to the phase.

Along the net's own orbit x(t), the residual r = f_theta - f of the known equations moves the orbit by e, e' = J e + r
with their Jacobian J. By the time T it is ahead by c.e(T), c = f/|f|^2 in units of the spread, which is the integral of
p.r with p' = -J^T p, p(T) = c. Residuals of 1e-5 may be late by nothing or by 1e-3 ms per oscillation; this tells.
"""

import numpy as np
import torch

from .data import equations
from .shooting import sweep


class PhaseShift:
    """Shifts at the times `ends` [ms] as functions of theta, linear in the residuals along a fixed orbit.

    Parameters
    ----------
    orbit : ndarray of shape (n, 5)
        States of the net at 0, h, 2 h ...
    h : float
    ends : sequence of float
    scale : ndarray of shape (4,)
        Spread of the variables.
    """

    def __init__(self, net, orbit, h, ends, scale):
        self.net, self.x = net, torch.from_numpy(orbit)
        f, jacobian = (function(self.x[:, :4], self.x[:, 4:]) for function in equations())
        self.known, j, one = f, jacobian.numpy(), np.eye(4)
        back = one + h / 2 * (j[1:] + j[:-1] + h * j[1:] @ j[:-1])  # a step of e, by Heun's method
        weights = []
        for end in ends:
            last = min(round(end / h), len(orbit) - 1)
            pull = np.zeros((last + 1, 4))
            pull[last] = f[last].numpy() / scale**2 / ((f[last].numpy() / scale) ** 2).sum()
            weight = np.zeros((len(orbit), 4))
            weight[: last + 1] = h * sweep(back[:last], pull)
            weight[[0, last]] /= 2
            weights.append(weight)
        self.weights = torch.from_numpy(np.stack(weights))

    def __call__(self, theta):
        """Shifts [ms], Tensor of shape (n_ends,)."""
        return torch.einsum("kti,ti->k", self.weights, self.net.slopes(theta, self.x) - self.known)

    def jacobian(self, theta):
        """Their derivatives, Tensor of shape (n_ends, n_parameters)."""
        theta = theta.detach().requires_grad_(True)
        slopes = self.net.slopes(theta, self.x)
        return torch.stack([torch.autograd.grad(slopes, theta, w, retain_graph=True)[0] for w in self.weights])
