"""The learned vector field: a perceptron of five inputs, the state and the current (or the time)."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch.func import jacrev, vmap


@dataclass(frozen=True, eq=False)
class Net:
    """f(theta, x) -> dx/dt of x = (v, n, m, h, u); `theta` is one vector, float64 Tensor of shape (n_parameters,).

    Attributes
    ----------
    width, depth : int
        Of the hidden layers (tanh).
    layer_norm : bool
        Bring the inputs of every tanh to mean 0, standard deviation 1 (without gain and offset).
    drift : float
        du/dt: 0 if u is the current, 1 if it is the time.
    centre, scale : ndarray of shape (5,)
        (x - centre)/scale goes in.
    slope : ndarray of shape (4,)
        What the outputs are multiplied by.
    """

    width: int = 64
    depth: int = 2
    layer_norm: bool = False
    drift: float = 0.0
    centre: np.ndarray = field(default_factory=lambda: np.zeros(5))
    scale: np.ndarray = field(default_factory=lambda: np.ones(5))
    slope: np.ndarray = field(default_factory=lambda: np.ones(4))

    @property
    def shapes(self):
        """Shapes of weights and biases, layer by layer."""
        sizes = [5, *[self.width] * self.depth, 4]
        return [shape for a, b in pairwise(sizes) for shape in ((b, a), (b,))]

    @property
    def n_parameters(self):
        """Length of theta."""
        return sum(map(math.prod, self.shapes))

    def draw(self, seed):
        """Random parameters, Glorot-normal."""
        generator = torch.Generator().manual_seed(seed)
        parts = [
            torch.randn(s, generator=generator, dtype=torch.float64) * math.sqrt(2 / sum(s))
            if len(s) == 2
            else torch.zeros(s, dtype=torch.float64)
            for s in self.shapes
        ]
        return torch.cat([p.flatten() for p in parts])

    def unpack(self, theta):
        """Weights and biases, list of tensors."""
        parts = theta.split([math.prod(s) for s in self.shapes])
        return [p.view(s) for p, s in zip(parts, self.shapes)]

    def slopes(self, theta, x):
        """d(v, n, m, h)/dt [mV/ms, 1/ms], shape (..., 4), for x of shape (..., 5)."""
        parts = self.unpack(theta)
        a = (x - torch.from_numpy(self.centre)) / torch.from_numpy(self.scale)
        for k in range(0, len(parts), 2):
            a = torch.nn.functional.linear(a, parts[k], parts[k + 1])
            if k + 2 < len(parts):
                if self.layer_norm:
                    a = torch.nn.functional.layer_norm(a, a.shape[-1:])
                a = torch.tanh(a)
        return a * torch.from_numpy(self.slope)

    def __call__(self, theta, x):
        """dx/dt, shape (..., 5)."""
        return torch.cat([self.slopes(theta, x), torch.full_like(x[..., :1], self.drift)], -1)

    def jacobian(self, theta, x):
        """d(dx/dt)/dx, shape (n, 5, 5), for x of shape (n, 5)."""
        return vmap(jacrev(lambda one: self(theta, one)))(x)

    def sensitivity(self, theta, x):
        """d slopes/d theta, shape (n, 4, n_parameters), for x of shape (n, 5); not for layer norm.

        Products of what comes back through the layers and what goes in: a fourth of the time of vmap and jacrev.
        """
        if self.layer_norm:
            raise ValueError("the sensitivities of a net with layer norm are not written: train it by Adam")
        parts, inputs = self.unpack(theta), [(x - torch.from_numpy(self.centre)) / torch.from_numpy(self.scale)]
        for k in range(0, len(parts) - 2, 2):
            inputs.append(torch.tanh(torch.nn.functional.linear(inputs[-1], parts[k], parts[k + 1])))
        out = x.new_empty(len(x), 4, self.n_parameters)
        back, end = torch.diag(torch.from_numpy(self.slope)).expand(len(x), 4, 4), self.n_parameters
        for k in reversed(range(len(inputs))):
            weight, a = parts[2 * k], inputs[k]
            start = end - weight.numel() - len(weight)
            out[..., end - len(weight) : end] = back
            block = out[..., start : end - len(weight)].unflatten(-1, weight.shape)
            torch.mul(back[..., None], a[:, None, None], out=block)
            back, end = (back @ weight) * (1 - a**2)[:, None] if k else back, start
        return out

    def compiled(self, theta):
        """What `rollout` takes: numpy arrays of the layers, with the scaling folded into the first and last."""
        layers = [p.detach().numpy().copy() for p in self.unpack(theta)]
        layers[1] -= layers[0] @ (self.centre / self.scale)
        layers[0] /= self.scale
        layers[-2] *= self.slope[:, None]
        layers[-1] *= self.slope
        matrices = tuple(np.ascontiguousarray(m) for m in layers[::2])
        return matrices, tuple(layers[1::2]), self.layer_norm, self.drift
