"""What is made small: residuals, and the rules that weight them point by point.

Each rule is a function of (residual, Jacobian), of shape (n_stacks, n), with the mean over points of what it returns as
the loss; those with a memory are made anew for every run.
"""

import torch


class Vanilla:
    """r^2."""

    def __call__(self, r, jacobian):
        return r**2


class JacobianNormalised:
    """r^2 / (1 + J^2) (arXiv:2602.21988 eq. 25): where the equation is stiff, the error of the solution itself.

    The gradient flows through J, as in the paper.
    """

    def __call__(self, r, jacobian):
        return (r / torch.sqrt(1 + jacobian**2)) ** 2


class ResidualAttention:
    """(w r)^2 with w <- 0.999 w + 0.01 |r|/max|r| from 0 (Anagnostopoulos et al. 2024, CMAME 421, 116805)."""

    def __init__(self, decay=0.999, rate=0.01):
        self.decay, self.rate, self.w = decay, rate, 0.0

    def __call__(self, r, jacobian):
        size = r.detach().abs()
        self.w = self.decay * self.w + self.rate * size / size.amax(1, keepdim=True)
        return (self.w * r) ** 2


class SoftAttention:
    """(w r)^2, w climbing its own gradient point by point, by Adam (McClenny & Braga-Neto 2023, JCP 474, 111722)."""

    def __init__(self, rate=0.005, seed=0):
        self.rate, self.seed, self.w = rate, seed, None

    def __call__(self, r, jacobian):
        if self.w is None:
            generator = torch.Generator().manual_seed(self.seed)
            self.w = torch.rand(r.shape, generator=generator, dtype=r.dtype)
            self.adam = torch.optim.Adam([self.w], lr=self.rate, betas=(0.99, 0.999), maximize=True)
        used = self.w.clone()
        self.w.grad = 2 * used * r.detach() ** 2
        self.adam.step()
        return (used * r) ** 2


class SoftAttentionAsCoded:
    """m(w) r^2 with m the sigmoid and w += 0.005 m'(w) mean(r^2): one number for all points, as in the paper's code."""

    def __init__(self, rate=0.005, seed=0):
        self.rate, self.seed, self.w = rate, seed, None

    def __call__(self, r, jacobian):
        if self.w is None:
            self.w = torch.randn(r.shape, generator=torch.Generator().manual_seed(self.seed), dtype=r.dtype)
        m = torch.sigmoid(self.w)
        self.w = self.w + self.rate * m * (1 - m) * r.detach().square().mean(1, keepdim=True)
        return m * r**2


#: the rules by name
RULES = {
    "vanilla": Vanilla,
    "jacobian": JacobianNormalised,
    "rba": ResidualAttention,
    "soft": SoftAttention,
    "soft-as-coded": SoftAttentionAsCoded,
}


def make_rule(name):
    """A rule, without memory."""
    if name not in RULES:
        raise ValueError(f"no rule {name!r}; choose from {', '.join(RULES)}")
    return RULES[name]()


def loss(ansatz, parameters, rule, c):
    """Loss per stack, shape (n_stacks,): mean of the weighted residuals, and of the start where it is not built in.

    `c` is a number or a tensor of shape (n_stacks, 1).
    """
    equation = ansatz.equation
    y, slope = ansatz(parameters)
    r = slope - equation.rhs(ansatz.x, y, c)
    total = rule(r, equation.jacobian(ansatz.x, y, c)).mean(1)
    if ansatz.kind in ("linear", "sigmoid"):
        start = equation.start if equation.exact is None else equation.exact(ansatz.x[:1], c)[..., 0]
        total = total + ((y[:, 0] - start) / ansatz.scale) ** 2
    return total
