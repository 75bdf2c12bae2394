"""Architectures of the experts: stacks of equal nets, weights stacked over experts.

Each is a module made from (config, n_in, n_out, n_experts) and called as ``net(x, experts)`` with standardised inputs
of shape (n_stacks, n, n_in), where `experts` says which expert each stack belongs to; it returns (n_stacks, n, n_out).
Every parameter has three dimensions, the first of which counts experts: that is what `BatchedSOAP` likes.

`ARCHITECTURES` is the one table of them; one from elsewhere is named MODULE:NAME and becomes an entry under that name.
"""

from collections.abc import Callable

import torch

from ..named import find_named

#: number of products that a DeepONet sums for each output
RANK = 32
#: n in sigmoid(n a x) with a starting at 1 / n: how much faster slopes learn than weights
SLOPE = 10.0


def _weight(n_experts, n_in, n_out, scale=1.0):
    bound = scale * n_in**-0.5
    return torch.nn.Parameter((2 * torch.rand(n_experts, n_in, n_out) - 1) * bound)


def _bias(n_experts, n_out):
    return torch.nn.Parameter(torch.zeros(n_experts, 1, n_out))


class Residual(torch.nn.Module):
    """Residual perceptron: ``h = silu(W0 x + b0)``, ``h += silu(Wk h + bk)``, ``y = Wn h + bn``."""

    def __init__(self, config, n_in, n_out, n_experts, last=0.1):
        super().__init__()
        sizes = [n_in, *[config.width] * (config.depth + 1), n_out]
        self.weights = torch.nn.ParameterList()
        self.biases = torch.nn.ParameterList()
        for k, (i, o) in enumerate(zip(sizes[:-1], sizes[1:])):
            self.weights.append(_weight(n_experts, i, o, last if k == len(sizes) - 2 else 1.0))
            self.biases.append(_bias(n_experts, o))

    def forward(self, x, experts=slice(None)):
        """Outputs of some experts."""
        layers = [(b[experts], w[experts]) for b, w in zip(self.biases, self.weights)]
        silu = torch.nn.functional.silu
        h = silu(torch.baddbmm(layers[0][0], x, layers[0][1]))
        for bias, weight in layers[1:-1]:
            h = h + silu(torch.baddbmm(bias, h, weight))
        return torch.baddbmm(layers[-1][0], h, layers[-1][1])


class DeepGalerkin(torch.nn.Module):
    """Gated layers of the deep Galerkin method with adaptive sigmoids.

    With s(x) = sigmoid(n a x), one trainable a per layer, and S = s(W x + b) to begin with, a layer is
    Z, G, R = s(U x + V S + b), H = s(U x + V (S R) + b), S = (1 - G) H + Z S; the output is linear in S.

    References
    ----------
    .. [1] Sirignano & Spiliopoulos 2018, J. Comput. Phys. 375, 1339, doi:10.1016/j.jcp.2018.08.029
    .. [2] Jagtap, Kawaguchi & Karniadakis 2020, Proc. R. Soc. A 476, 20200334, doi:10.1098/rspa.2020.0334
    """

    def __init__(self, config, n_in, n_out, n_experts):
        super().__init__()
        width, depth = config.width, config.depth
        self.first, self.first_bias = _weight(n_experts, n_in, width), _bias(n_experts, width)
        parts = {"inputs": (n_in, 4 * width), "gates": (width, 3 * width), "states": (width, width)}
        for name, sizes in parts.items():
            setattr(self, name, torch.nn.ParameterList([_weight(n_experts, *sizes) for _ in range(depth)]))
        self.biases = torch.nn.ParameterList([_bias(n_experts, 4 * width) for _ in range(depth)])
        slopes = [torch.nn.Parameter(torch.full((n_experts, 1, 1), 1 / SLOPE)) for _ in range(depth + 1)]
        self.slopes = torch.nn.ParameterList(slopes)
        self.last, self.last_bias = _weight(n_experts, width, n_out, 0.1), _bias(n_experts, n_out)

    def forward(self, x, experts=slice(None)):
        """Outputs of some experts."""
        slope = [SLOPE * a[experts] for a in self.slopes]
        s = torch.sigmoid(slope[0] * torch.baddbmm(self.first_bias[experts], x, self.first[experts]))
        width = s.shape[-1]
        for a, b, u, v, w in zip(slope[1:], self.biases, self.inputs, self.gates, self.states):
            fed = torch.baddbmm(b[experts], x, u[experts])
            gates = torch.sigmoid(a * (fed[..., : 3 * width] + torch.bmm(s, v[experts])))
            z, g, r = gates.chunk(3, -1)
            h = torch.sigmoid(a * (fed[..., 3 * width :] + torch.bmm(s * r, w[experts])))
            s = (1 - g) * h + z * s
        return torch.baddbmm(self.last_bias[experts], s, self.last[experts])


class DeepOperator(torch.nn.Module):
    """DeepONet: a branch net of the state and a trunk net of the time step, ``y_k = sum_j b_kj(state) t_j(dt) + c_k``.

    References
    ----------
    .. [1] Lu, Jin, Pang, Zhang & Karniadakis 2021, Nat. Mach. Intell. 3, 218, doi:10.1038/s42256-021-00302-5
    """

    def __init__(self, config, n_in, n_out, n_experts):
        super().__init__()
        self.branch = Residual(config, n_in - 1, n_out * RANK, n_experts)
        self.trunk = Residual(config, 1, RANK, n_experts, last=1.0)
        self.bias = _bias(n_experts, n_out)

    def forward(self, x, experts=slice(None)):
        """Outputs of some experts; the time step is the last input."""
        branch, trunk = self.branch(x[..., :-1], experts), self.trunk(x[..., -1:], experts)
        return (branch.unflatten(-1, (-1, RANK)) * trunk.unsqueeze(-2)).sum(-1) + self.bias[experts]


ARCHITECTURES: dict[str, Callable[..., torch.nn.Module]] = {
    "residual": Residual,
    "dgm": DeepGalerkin,
    "deeponet": DeepOperator,
}


def find_architecture(kind: str) -> Callable[..., torch.nn.Module]:
    """An architecture by name, or one of yours, MODULE:NAME, which is imported."""
    if kind not in ARCHITECTURES:
        if ":" not in str(kind):
            raise ValueError(f"kind is {kind!r}: choose from {', '.join(ARCHITECTURES)}, or give MODULE:NAME")
        ARCHITECTURES[kind] = find_named(kind, "kind")
    return ARCHITECTURES[kind]
