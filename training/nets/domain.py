"""The domain of a net: where cells like those of the training lie.

A box around all training cells has corners in which there is none. Here it is cut into parts, one variable at a time,
so that each part has cells that are alike, and a cell belongs to the domain if it lies in the box of the training cells
of its own part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

#: share of the training cells that may lie beyond each side of the domain
TRIM = 1e-3
#: at most 2^DEPTH parts, of MEMBERS training cells or more
DEPTH, MEMBERS = 8, 2000
#: cells that decide how to cut, and places that are tried along each variable
CUT_SAMPLE, CUT_PLACES = 50_000, 15


@dataclass(frozen=True, eq=False)
class Domain:
    """Parts of the space of features, and proportions of what the laws keep.

    Attributes
    ----------
    lower, upper : ndarray of shape (n_features,)
        The box of the whole training set, all but its outliers.
    least : ndarray of shape (n_vars,)
        Lowest fraction of the total in the training, 0 for variables that are no fractions. What has less, or nothing,
        is outside.
    law_is_signed : ndarray of bool, shape (n_laws,)
        A law with weights of both signs (charge) is compared with what carries it, the others with the first law.
    law_lower, law_upper : ndarray of shape (n_laws,)
    cut_feature, cut_value : ndarray of shape (n_parts - 1,)
        A perfect binary tree: node i sends a cell to node 2i + 2 where its feature is above the value, else to 2i + 1.
    part_lower, part_upper : ndarray of shape (n_parts, n_features)
        Boxes of the training cells of each part, the leaves from left to right. A part without any has none
        (`part_lower` above `part_upper`).
    """

    lower: np.ndarray
    upper: np.ndarray
    least: np.ndarray
    law_is_signed: np.ndarray
    law_lower: np.ndarray
    law_upper: np.ndarray
    cut_feature: np.ndarray
    cut_value: np.ndarray
    part_lower: np.ndarray
    part_upper: np.ndarray

    @classmethod
    def of(cls, encoding, state: torch.Tensor, dt: torch.Tensor, trim: float = TRIM, margin: float = 1e-6) -> Domain:
        """The domain of the given cells: what they are found in, rather than the few that went furthest.

        Temperature, density and the like leave out the share `trim` of the cells at either end: few of one population,
        dense and cold, would otherwise open the domain to dense and hot gas, in which nothing was trained. Fractions
        and times do not. Boxes are widened by `margin` of the size of the largest (laws: absolutely); a side of no
        length, where all cells agree, is given one, for round-off. Those of the parts end at four decimals, which keeps
        files small.
        """
        features = encoding.features(state, dt).numpy()
        lower, upper = features.min(0), features.max(0)
        trimmed = [k for k in range(encoding.n_features - 1) if k >= len(encoding.names) or not encoding.total[k]]
        lower[trimmed], upper[trimmed] = np.quantile(features[:, trimmed], [trim, 1 - trim], axis=0)
        pad = margin * np.maximum(upper - lower, 1e-3 * (np.abs(lower) + np.abs(upper)))
        signed, ratios = (x.numpy() for x in law_ratios(encoding, state))
        cuts = _cut(features)
        part_lower, part_upper = _boxes(features, *cuts)
        return cls(
            lower - pad,
            upper + pad,
            _least_fractions(encoding, state, 0.1 * trim),
            signed,
            ratios.min(0) - margin,
            ratios.max(0) + margin,
            *cuts,
            np.floor(1e4 * (part_lower - pad)) / 1e4,
            np.ceil(1e4 * (part_upper + pad)) / 1e4,
        )

    def holds(self, encoding, state: torch.Tensor, dt: torch.Tensor) -> np.ndarray:
        """Whether cells are inside, bool of shape (n,)."""
        return Inside(self)(encoding, state, dt).numpy()


class Inside(torch.nn.Module):
    """`Domain.holds` as a module, which is moved and exported with a net."""

    def __init__(self, domain):
        super().__init__()
        for name in ("lower", "upper", "least", "law_lower", "law_upper", "cut_value", "part_lower", "part_upper"):
            self.register_buffer(name, torch.as_tensor(getattr(domain, name), dtype=torch.float64).clone())
        self.register_buffer("cut_feature", torch.as_tensor(domain.cut_feature, dtype=torch.int64).clone())
        self.depth = int(len(domain.part_lower)).bit_length() - 1

    def forward(self, encoding, state, dt):
        """Whether cells are inside, bool Tensor of shape (n,)."""
        x, ratios = encoding.features(state, dt), law_ratios(encoding, state)[1]
        inside = ((x >= self.lower) & (x <= self.upper)).all(1)
        inside = inside & ((ratios >= self.law_lower) & (ratios <= self.law_upper)).all(1)
        inside = inside & (state >= self.least * encoding.total_density(state)).all(1)
        part = _part_of(x, self.cut_feature, self.cut_value, self.depth)
        return inside & ((x >= self.part_lower[part]) & (x <= self.part_upper[part])).all(1)


def law_ratios(encoding, state):
    """Proportions of what the laws keep: (is signed, values of shape (n, n_laws)), tensors."""
    laws = encoding.laws
    signed = (laws < 0).any(1) & (laws > 0).any(1)
    value, carried = state @ laws.T, state @ laws.abs().T + 1e-300
    return signed, value / torch.where(signed, carried, carried[:, :1])


def _least_fractions(encoding, state, trim):
    """Of each species the quantile `trim` of those fractions of the total that are not zero."""
    fractions = (state / encoding.total_density(state)).numpy()
    least = np.zeros(len(encoding.names))
    for k in np.flatnonzero(encoding.total.numpy()):
        present = fractions[fractions[:, k] > 0, k]
        least[k] = np.quantile(present, trim) if len(present) else 0.0
    return least


def _part_of(x, cut_feature, cut_value, depth):
    """Number of the part that each row of `x` belongs to, Tensor of shape (n,)."""
    node = torch.zeros_like(x[:, 0], dtype=torch.int64)
    for _ in range(depth):
        is_above = x.gather(1, cut_feature[node].unsqueeze(1))[:, 0] > cut_value[node]
        node = 2 * node + 1 + is_above.long()
    return node - (2**depth - 1)


def _boxes(x, cut_feature, cut_value):
    """Boxes of the rows of `x` in each part."""
    n_parts = len(cut_feature) + 1
    feature, value = torch.as_tensor(cut_feature, dtype=torch.int64), torch.as_tensor(cut_value)
    part = _part_of(torch.from_numpy(x), feature, value, n_parts.bit_length() - 1).numpy()
    order = np.argsort(part, kind="stable")
    ends = np.searchsorted(part[order], np.arange(n_parts + 1))
    lower, upper = np.ones((n_parts, x.shape[1])), np.full((n_parts, x.shape[1]), -1.0)
    for p, (i, j) in enumerate(zip(ends, ends[1:])):
        if i < j:
            rows = x[order[i:j]]
            lower[p], upper[p] = rows.min(0), rows.max(0)
    return lower, upper


def _cut(x):
    """Features and values of the cuts, for as many parts as there are cells for."""
    depth = min(DEPTH, max(len(x) // MEMBERS, 1).bit_length() - 1)
    sample = x[np.random.default_rng(0).permutation(len(x))[:CUT_SAMPLE]] if len(x) > CUT_SAMPLE else x
    fewest = max(MEMBERS * len(sample) // len(x), 1)
    feature, value = np.zeros(2**depth - 1, dtype=int), np.full(2**depth - 1, np.inf)
    rows = {0: sample}
    for node in range(2**depth - 1):
        here = rows.pop(node)
        best = _best_cut(here, fewest)
        if best:
            feature[node], value[node] = best
        is_above = here[:, feature[node]] > value[node]
        rows |= {2 * node + 1: here[~is_above], 2 * node + 2: here[is_above]}
    return feature, np.minimum(value, 1e30)


def _best_cut(x, fewest):
    """The feature and value that leave the narrowest halves: least sum of cells times log standard deviation."""
    n = len(x)
    places = np.unique((np.linspace(0, 1, CUT_PLACES + 2)[1:-1] * n).astype(int))
    places = places[(places >= fewest) & (places <= n - fewest)]
    best, least = None, _spread(x.sum(0), (x**2).sum(0), n) if n else 0.0
    for k in range(x.shape[1]) if len(places) else ():
        ordered = x[np.argsort(x[:, k], kind="stable")]
        at = places[ordered[places, k] > ordered[places - 1, k]]
        if not len(at):
            continue
        first, second = np.cumsum(ordered, 0), np.cumsum(ordered**2, 0)
        spread = _spread(first[at - 1], second[at - 1], at[:, None])
        spread += _spread(first[-1] - first[at - 1], second[-1] - second[at - 1], (n - at)[:, None])
        if spread.min() < least:
            least, i = spread.min(), at[np.argmin(spread)]
            best = k, 0.5 * (ordered[i - 1, k] + ordered[i, k])
    return best


def _spread(first, second, n):
    """Number of cells times the sum of the logarithms of their standard deviations, from sums of powers."""
    variance = np.maximum(second / n - (first / n) ** 2, 1e-4)
    return (0.5 * n * np.log(variance)).sum(-1)
