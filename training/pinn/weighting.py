"""Weights that are found in training: of points (`residuals`) and of the terms of a loss."""

import torch

from .residuals import ResidualAttention, SoftAttention


class PointWeights:
    """w r at each point, w kept as it is once `freeze` has been called, so that a quasi-Newton method may follow."""

    def __init__(self, kind):
        self.rule = {"rba": ResidualAttention, "soft": SoftAttention}[kind]() if kind != "none" else None
        self.w = None

    def __call__(self, r):
        """Squares to be averaged, of the shape of r, (n_vars, n)."""
        if self.rule is None:
            return r**2
        return (self.w * r) ** 2 if self.w is not None else self.rule(r, None)

    def freeze(self):
        """No more changes."""
        if self.rule is not None:
            self.w = self.rule.w.detach().clone()


def ntk_weights(terms, weights):
    """Tr(K) / Tr(K_i) of residual vectors (Wang, Yu & Perdikaris 2022, JCP 449, 110768).

    Parameters
    ----------
    terms : list of Tensor of shape (n_i,)
    weights : list of Tensor
        Of the net.
    """
    traces = torch.stack([squared_gradients(term, weights) for term in terms])
    return traces.sum() / traces


def squared_gradients(residuals, weights):
    """Sum over residuals and weights of (dr_k/dw_j)^2: the trace of the kernel."""
    rows = torch.autograd.grad(
        residuals, weights, torch.eye(len(residuals), dtype=residuals.dtype), retain_graph=True, is_grads_batched=True
    )
    return sum(r.square().sum() for r in rows)


def gradient_weights(before, losses, weights, memory=0.9):
    """0.9 before + 0.1 max|grad L_last| / mean|grad L_i| (Wang, Teng & Perdikaris 2021, SIAM J. Sci. Comp. 43, A3055).

    The last of the losses, that of the residual, keeps the weight 1.
    """
    sizes = [
        torch.cat([g.abs().flatten() for g in torch.autograd.grad(loss, weights, retain_graph=True)]) for loss in losses
    ]
    new = torch.stack([sizes[-1].max() / s.mean() for s in sizes])
    new = memory * before + (1 - memory) * new
    new[-1] = 1.0
    return new
