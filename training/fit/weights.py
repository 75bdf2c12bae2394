"""Weights of the terms of the loss while training, and a limit to their gradients."""

import math

import torch


@torch.no_grad()
def limit_gradients(parameters, typical, factor=5.0):
    """Scale a gradient to at most `factor` times the typical norm, and drop one that is not finite.

    A single cell whose laws can hardly be restored, or whose I - dt J is nearly singular, has a gradient beyond
    all bounds. Returns the typical norm, updated.
    """
    gradients = [p.grad for p in parameters]
    norm = float(torch.nn.utils.get_total_norm(gradients))
    if not math.isfinite(norm):
        torch._foreach_zero_(gradients)
        return typical
    typical = norm if typical is None else typical
    scale = min(1.0, factor * typical / (norm + 1e-300))
    torch._foreach_mul_(gradients, scale)
    return 0.99 * typical + 0.01 * scale * norm


class LossWeights:
    """Weights of the terms, rebalanced by the statistics of their gradients if asked to.

    Every `every` iterations the weight of each term but the first moves a tenth of the way towards
    max |gradient of the first| / mean |gradient of this one|, over all parameters of the net.

    References
    ----------
    .. [1] Wang, Teng & Perdikaris 2021, SIAM J. Sci. Comput. 43, A3055, doi:10.1137/20M1318043
    """

    def __init__(self, config, every=100):
        self.weights, self.adaptive, self.every = config.weights, config.adaptive, every

    def __call__(self, terms, parameters, iteration):
        """The loss: weighted sum of `terms`, a dict of scalars."""
        if self.adaptive and len(terms) > 1 and iteration % self.every == 0:
            self._update(terms, parameters)
        return sum(self.weights[name] * term for name, term in terms.items())

    def _update(self, terms, parameters):
        size = {
            name: torch.cat([g.abs().flatten() for g in torch.autograd.grad(term, parameters, retain_graph=True)])
            for name, term in terms.items()
        }
        first, *others = terms
        for name in others:
            target = float(size[first].max() / size[name].mean().clamp_min(1e-30))
            self.weights[name] = 0.9 * self.weights[name] + 0.1 * target
