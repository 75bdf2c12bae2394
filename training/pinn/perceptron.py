"""Perceptrons with their derivative, and how they become solutions."""

import math

import torch

#: frequency of the sine layers of Sitzmann et al. 2020 (arXiv:2006.09661)
OMEGA = 30.0
#: activation and its derivative, of (h, activation)
ACTIVATIONS = {
    "tanh": (torch.tanh, lambda h, a: 1 - a**2),
    "gelu": (
        torch.nn.functional.gelu,
        lambda h, a: torch.special.ndtr(h) + h * torch.exp(-0.5 * h**2) / math.sqrt(2 * math.pi),
    ),
    "sine": (lambda h: torch.sin(OMEGA * h), lambda h, a: OMEGA * torch.cos(OMEGA * h)),
}


def make_weights(n_in, width, depth, n_stacks=1, seed=0, dtype=torch.float64, n_out=1):
    """Weights and biases of `n_stacks` perceptrons with `depth` hidden layers, Glorot-normal; list of tensors."""
    generator = torch.Generator().manual_seed(seed)
    sizes, parameters = [n_in] + [width] * depth + [n_out], []
    for a, b in zip(sizes, sizes[1:]):
        draws = torch.randn(n_stacks, a, b, generator=generator, dtype=torch.float64)
        parameters += [(draws * math.sqrt(2 / (a + b))).to(dtype), torch.zeros(n_stacks, 1, b, dtype=dtype)]
    return parameters


def evaluate(parameters, features, tangents, activation):
    """First output and its derivative, each of shape (n_stacks, n); see `propagate`."""
    return tuple(v[..., 0] for v in propagate(parameters, features, tangents, activation))


def propagate(parameters, features, tangents, activation):
    """Outputs and their derivatives, each of shape (n_stacks, n, n_out).

    Parameters
    ----------
    features, tangents : Tensor of shape (n, n_in) or (n_stacks, n, n_in)
        Inputs and their derivatives by x.
    """
    function, derivative = ACTIVATIONS[activation]
    n_stacks = len(parameters[0])
    a, da = (t.expand(n_stacks, *t.shape[-2:]) for t in (features, tangents))
    for k in range(0, len(parameters), 2):
        h, dh = torch.baddbmm(parameters[k + 1], a, parameters[k]), torch.bmm(da, parameters[k])
        if k + 2 == len(parameters):
            return h, dh
        a = function(h)
        da = derivative(h, a) * dh


class Ansatz:
    """How perceptrons stand for the solution of an equation at the points `x`.

    ``kind`` is "linear" (the output times `scale`), "sigmoid" (minus `scale` times its sigmoid), "hard" (corrects
    `base`, values and derivatives at x, and leaves its start) or "pinned" (start and `end` hold).

    Where f has a kink, the perceptron is told the distance to it as well: the solution is smooth in both.
    """

    def __init__(self, equation, x, kind="hard", scale=1.0, base=None, end=None, activation="tanh", inform=True):
        self.equation, self.x, self.kind, self.scale, self.end = equation, x, kind, scale, end
        self.base = base or (torch.full_like(x, equation.start), torch.zeros_like(x))
        self.activation, (first, last) = activation, equation.span
        self.half = (last - first) / 2
        features, tangents = [(x - first) / self.half - 1], [torch.ones_like(x) / self.half]
        if inform and equation.kink is not None:
            before = torch.relu(equation.kink - x) / self.half
            features.append(before**2)
            tangents.append(-2 * before / self.half)
        self.features, self.tangents = torch.stack(features, 1), torch.stack(tangents, 1)

    @property
    def n_in(self):
        """Number of inputs."""
        return self.features.shape[1]

    def __call__(self, parameters):
        """(y, y') of shape (n_stacks, n)."""
        n, dn = evaluate(parameters, self.features, self.tangents, self.activation)
        if self.kind == "linear":
            return self.scale * n, self.scale * dn
        if self.kind == "sigmoid":
            s = torch.sigmoid(n)
            return -self.scale * s, -self.scale * s * (1 - s) * dn
        u, du, y0 = (self.x - self.equation.span[0]) / (2 * self.half), 0.5 / self.half, self.equation.start
        if self.kind == "hard":
            value, slope = self.base
            return value + self.scale * u * n, slope + self.scale * (u * dn + du * n)
        rise, bubble = self.end - y0, 4 * u * (1 - u)
        slope = self.scale * (bubble * dn + 4 * du * (1 - 2 * u) * n) + rise * du
        return y0 + rise * u + self.scale * bubble * n, slope
