"""Averaged weights: what is kept of a training, rounded so that files are small."""

import torch


def rounded(tensor: torch.Tensor, resolution: int) -> torch.Tensor:
    """Float32 numbers to multiples of a power of two, about 2**-`resolution` of their root mean square."""
    unit = 2.0 ** (torch.floor(torch.log2(tensor.square().mean().sqrt() + 1e-30)) - resolution)
    return torch.round(tensor / unit) * unit


class Swapped:
    """Parameters replaced by their averages for a while."""

    def __init__(self, parameters, average):
        self.parameters, self.average = parameters, average

    def __enter__(self):
        self.kept = [p.detach().clone() for p in self.parameters]
        with torch.no_grad():
            for p, a in zip(self.parameters, self.average):
                p.copy_(a)

    def __exit__(self, *_):
        with torch.no_grad():
            for p, k in zip(self.parameters, self.kept):
                p.copy_(k)
