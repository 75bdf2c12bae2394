"""Largest eigenvalue of the Hessian of a loss: what bounds the step of gradient descent, eta < 2/lambda."""

import torch
from torch.func import grad, vjp


def largest_eigenvalue(function, parameters, iterations=100, seed=0):
    """Power iteration with exact Hessian-vector products.

    Parameters
    ----------
    function : callable
        Parameters -> losses of shape (n_stacks,); stack k depends on ``[p[k] for p in parameters]`` alone.
    parameters : list of Tensor
        First dimension n_stacks.

    Returns
    -------
    Tensor of shape (n_stacks,)
        Rayleigh quotients after `iterations`, of the eigenvalues largest in size.
    """
    parameters = tuple(p.detach() for p in parameters)
    _, multiply = vjp(grad(lambda p: function(p).sum()), parameters)  # by the Hessian, which is symmetric
    generator = torch.Generator().manual_seed(seed)
    v = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    for _ in range(iterations):
        size = torch.sqrt(_dot(v, v))
        v = [x / size.view(-1, 1, 1) for x in v]
        product = multiply(tuple(v))[0]
        value, v = _dot(v, product), list(product)
    return value


def _dot(a, b):
    return sum((x * y).sum((1, 2)) for x, y in zip(a, b))
