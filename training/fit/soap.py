"""SOAP for stacks of small matrices: Adam in the eigenbasis of Shampoo's preconditioner.

Vyas et al. 2024, arXiv:2409.11321. pytorch-optimizer has it for single matrices; region experts are stacks of equal
ones, and one batched step costs a sixth of a step over as many parameters (16 experts of 3 layers 96x96: 5 ms against
31 ms, next to 33 ms for the gradient).
"""

import math

import torch


class BatchedSOAP(torch.optim.Optimizer):
    """Optimiser for parameters of shape (..., m, n), every leading index a matrix of its own.

    A dimension of one (biases) and one above `max_dim` is not rotated; without any rotation it is Adam.

    Parameters
    ----------
    params : iterable of Tensor
        Each of at least two dimensions.
    lr : float
    betas : tuple of float
        Decay of the mean gradient, kept in the eigenbases, and of the squares; the second serves the preconditioner.
    eps : float
    every : int
        Steps between updates of the eigenbases.
    max_dim : int
    """

    def __init__(self, params, lr=3e-3, betas=(0.95, 0.95), eps=1e-8, every=20, max_dim=512):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "every": every, "max_dim": max_dim})

    @torch.no_grad()
    def step(self, closure=None):
        """One step; the first only sets up the preconditioners."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._step(p, group)
        return loss

    def _step(self, p, group):
        state, g, (beta1, beta2) = self.state[p], p.grad, group["betas"]
        if not state:
            sides = [side for side in (0, 1) if 1 < p.shape[-2 + side] <= group["max_dim"]]
            state.update(step=torch.tensor(0), mean=torch.zeros_like(p), square=torch.zeros_like(p))
            for side in sides:
                state[f"moment{side}"] = _moment(g, side)
                state[f"basis{side}"] = torch.linalg.eigh(state[f"moment{side}"])[1].flip(-1)
            return
        state["step"] += 1
        n = int(state["step"])
        rotated = _rotate(g, state)
        state["mean"].lerp_(rotated, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(rotated, rotated, value=1 - beta2)
        update = state["mean"] / state["square"].sqrt().add_(group["eps"])
        scale = (1 - beta2**n) ** 0.5 / (1 - beta1**n)
        p.add_(_rotate(update, state, back=True), alpha=-group["lr"] * scale)
        sides = [side for side in (0, 1) if f"moment{side}" in state]
        if n % 2 == 0:  # every other gradient tells as much about the curvature
            for side in sides:
                state[f"moment{side}"].lerp_(_moment(g, side), 1 - beta2**2)
        if n % group["every"] == 0:
            mean = _rotate(state["mean"], state, back=True)
            for side in sides:
                _turn(state, side)
            state["mean"] = _rotate(mean, state)


def _moment(g, side):
    return g @ g.mT if side == 0 else g.mT @ g


def _rotate(g, state, back=False):
    if "basis0" in state:
        g = (state["basis0"] if back else state["basis0"].mT) @ g
    if "basis1" in state:
        g = g @ (state["basis1"].mT if back else state["basis1"])
    return g


def _turn(state, side):
    """One power iteration of the eigenbasis, sorted by eigenvalue; the squares follow the order."""
    moment, basis = state[f"moment{side}"], state[f"basis{side}"]
    product = moment @ basis
    order = (basis * product).sum(-2).argsort(-1, descending=True)
    state[f"basis{side}"] = torch.linalg.qr(product.gather(-1, order.unsqueeze(-2).expand_as(product)))[0]
    square = state["square"]
    index = order.unsqueeze(-1 if side == 0 else -2).expand_as(square)
    state["square"] = square.gather(-2 + side, index)


def cosine_schedule(fraction):
    """Share of the peak learning rate after a fraction of the training: falls from one to a thousandth."""
    return 0.5 * (1 + math.cos(math.pi * fraction)) + 1e-3
