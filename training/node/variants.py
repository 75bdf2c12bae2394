"""The variants of the published ablation as data, with what was published, and their training by Adam."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from .data import DT, equations
from .fit import make_net
from .net import Net
from .shooting import shoot


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes
    ----------
    method : str
        Of `solvers`, or "pinn": the net maps the time to the state.
    published : tuple
        RMSE of v [mV], phase, ISI [ms], amplitude [mV], [%], F1; None where nothing is given.
    gradient : str
        Of `shooting`.
    physics : float
        Weight lambda of mean_i sum_j (r_ij/s_j)^2, r = f_theta - f at the measured states.
    noise : float
        Factor of the noise.
    normalised : bool
        Inputs, outputs and loss in units of the data; otherwise as they are.
    layer_norm : bool
    """

    method: str
    published: tuple
    gradient: str = "discrete"
    physics: float = 0.0
    noise: float = 1.0
    normalised: bool = True
    layer_norm: bool = False


def _full(published, **changes):
    return Variant(**{"method": "heun", "published": published, "physics": 1.5, "layer_norm": True, **changes})


#: Tables 2 and 3 of arXiv:2511.11734
VARIANTS = {
    "full": _full((3.12, 0.27, 0.02, 0.05, 0.62, 0.98)),
    "no physics": _full((22.40, None, None, None, None, 0.0), physics=0.0),
    "backsolve adjoint": _full((23.01, None, None, None, None, 0.0), gradient="backsolve"),
    "no noise": _full((11.31, 0.37, 0.13, 1.12, 2.57, 0.96), noise=0.0),
    "lambda 0.5": _full((15.51, 0.80, 0.35, 10.27, 22.59, 0.91), physics=0.5),
    "lambda 2.5": _full((12.88, 0.31, 0.09, 0.96, 2.8, 0.96), physics=2.5),
    "node rodas5p": Variant("rodas5p", (18.44, 0.71, 1.13, 22.21, 43.4, 0.44)),
    "node rodas5p, plain": Variant("rodas5p", (42.20, None, None, None, None, 0.0), normalised=False),
    "node tsit5": Variant("tsit5", (16.72, 4.18, 0.44, 16.78, 23.0, 0.40)),
    "node tsit5, plain": Variant("tsit5", (297.98, None, None, None, None, 0.0), normalised=False),
    "node heun": Variant("heun", (None, 34.71, 2.34, 2.39, None, 0.44)),
    "node heun, plain": Variant("heun", (38.55, None, None, None, None, 0.0), normalised=False),
    "pinn": Variant("pinn", (69.62, None, None, None, 74.96, 0.0), physics=1.5),
    "pinn, plain": Variant("pinn", (61.08, None, None, None, 99.47, 0.0), physics=1.5, normalised=False),
}


def train(variant, window, seed=0, epochs=2000, lr=3e-3, start=None, report=None):
    """Adam, with three times the published rate as there are fewer epochs; the best parameters (by the loss) are kept.

    Parameters
    ----------
    start : tuple of (Net, Tensor), optional
        To go on from, instead of random parameters.
    report : callable, optional
        Called with (epoch, loss).

    Returns
    -------
    net : Net
    theta : Tensor
    loss : float
    seconds : float
        CPU time.
    """
    begin = time.process_time()
    net, theta = start or (_make_net(variant, window), None)
    objective = _pinn(variant, net, window) if variant.method == "pinn" else _node(variant, net, window)
    theta = (net.draw(seed) if theta is None else theta.clone()).requires_grad_(True)
    best, kept = np.inf, theta.detach().clone()
    optimizer = torch.optim.Adam([theta], lr=lr)
    for epoch in range(epochs):
        value, theta.grad = objective(theta.detach())
        if value < best:
            best, kept = value, theta.detach().clone()
        torch.nn.utils.clip_grad_norm_([theta], 10.0)
        optimizer.step()
        if report:
            report(epoch, value)
    return net, kept, best, time.process_time() - begin


def predict(variant, net, theta, start, t):
    """States at the evenly spaced times `t` from 0 on, ndarray of shape (n, 4)."""
    if variant.method == "pinn":
        return _state_of(net, theta, torch.from_numpy(t)).detach().numpy()
    from .rollout import rollout

    start = np.append(start, net.centre[4] if net.drift == 0 else 0.0)
    return rollout(net.compiled(theta), variant.method, start, t[1] - t[0], len(t) - 1)[:, :4]


def _make_net(variant, window):
    if variant.method == "pinn":
        end = window.t[-1]
        plain = {} if variant.normalised else {"centre": np.zeros(5), "scale": np.ones(5)}
        scales = {"centre": np.full(5, end / 2), "scale": np.full(5, end / 2), "slope": window.scale}
        return Net(**{**scales, **plain, **({} if variant.normalised else {"slope": np.ones(4)})})
    return make_net(window, layer_norm=variant.layer_norm) if variant.normalised else Net(layer_norm=variant.layer_norm)


def _node(variant, net, window):
    """Loss and gradient of a neural ODE."""
    start = np.append(window.z[0], window.current)
    weight = 1 / window.scale if variant.normalised else np.ones(4)
    x = torch.from_numpy(np.column_stack([window.z, np.full(len(window.z), window.current)]))
    known, size = equations()[0](x[:, :4], x[:, 4:]), torch.from_numpy(window.slope)

    def objective(theta):
        value, gradient = shoot(net, theta, variant.method, start, DT, window.z, weight, variant.gradient)
        if variant.physics:
            theta = theta.requires_grad_(True)
            penalty = variant.physics * ((net.slopes(theta, x) - known) / size).square().sum(1).mean()
            value, gradient = value + penalty.item(), gradient + torch.autograd.grad(penalty, theta)[0]
        return value, gradient

    return objective


def _state_of(net, theta, t):
    return net.slopes(theta, t[:, None].expand(-1, 5))


def _pinn(variant, net, window):
    """Loss and gradient of a net that maps the time to the state."""
    t, z = torch.from_numpy(window.t).requires_grad_(True), torch.from_numpy(window.z)
    scale = torch.from_numpy(window.scale if variant.normalised else np.ones(4))
    size = torch.from_numpy(window.slope if variant.normalised else np.ones(4))
    current = torch.full((len(t), 1), window.current, dtype=t.dtype)

    def objective(theta):
        theta = theta.requires_grad_(True)
        state = _state_of(net, theta, t)
        slope = torch.stack([torch.autograd.grad(one.sum(), t, create_graph=True)[0] for one in state.unbind(-1)], -1)
        bounded = state.clamp(-200.0, 200.0)  # beyond, the exponentials of the rates overflow
        loss = ((state - z) / scale).square().sum(1).mean()
        loss = loss + variant.physics * ((slope - equations()[0](bounded, current)) / size).square().sum(1).mean()
        return loss.item(), torch.autograd.grad(loss, theta)[0]

    return objective
