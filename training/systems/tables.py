"""Tabulated functions of one variable: monotone piecewise cubics on a uniform grid."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Table:
    """Piecewise cubic ``sum_k coeffs[i, k] u**k`` with ``u = x - (lower + i*width)``, continuous in value and slope.

    Attributes
    ----------
    lower, width : float
        First node and width of an interval.
    coeffs : ndarray of shape (n_intervals, 4)
    """

    lower: float
    width: float
    coeffs: np.ndarray

    @property
    def upper(self):
        """Last node."""
        return self.lower + self.width * len(self.coeffs)

    @classmethod
    def monotone(cls, x, y):
        """Interpolate without overshoot between the nodes (Fritsch & Butland 1984, SIAM J. Sci. Stat. Comput. 5, 300).

        Parameters
        ----------
        x, y : array_like of shape (n_nodes,)
            Nodes, ascending; their distances are whole multiples of the smallest one.
        """
        x, y = np.asarray(x, float), np.asarray(y, float)
        if x.ndim != 1 or len(x) < 2 or x.shape != y.shape or not np.isfinite([x, y]).all() or not 0 < np.diff(x).min():
            raise ValueError(
                f"a table needs ascending nodes and as many values, all finite, got {x[:3]} ... and {y[:3]} ..."
            )
        h = np.diff(x)
        width = h.min()
        parts = np.rint(h / width).astype(int)
        if parts.sum() > 1e6 or np.abs(h - parts * width).max() > 1e-9 * width:
            raise ValueError(f"table nodes must ascend by whole multiples of the smallest distance {width}: {x}")
        secant = np.diff(y) / h
        slope = np.concatenate([secant[:1], np.zeros(len(x) - 2), secant[-1:]])
        w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
        same = secant[:-1] * secant[1:] > 0
        slope[1:-1][same] = ((w1 + w2)[same]) / (w1[same] / secant[:-1][same] + w2[same] / secant[1:][same])
        coeffs = []
        for i, n in enumerate(parts):
            s, m0, m1 = secant[i], slope[i], slope[i + 1]
            c = np.polynomial.Polynomial([y[i], m0, (3 * s - 2 * m0 - m1) / h[i], (m0 + m1 - 2 * s) / h[i] ** 2])
            for j in range(n):  # the same cubic about the start of each uniform interval
                coeffs.append([c.deriv(k)(j * width) / (1, 1, 2, 6)[k] if k else c(0.0 + j * width) for k in range(4)])
        return cls(float(x[0]), float(width), np.array(coeffs))

    @classmethod
    def spline(cls, x, y):
        """Natural cubic spline through uniform nodes, twice continuously differentiable.

        The same bits on every machine: additions, multiplications and divisions alone, in a fixed order.

        Parameters
        ----------
        x, y : array_like of shape (n_nodes,)
            At least three nodes.
        """
        x, y = np.asarray(x, float), np.asarray(y, float)
        n, h = len(x), float(x[1] - x[0])
        if n < 3 or h <= 0 or np.abs(np.diff(x) - h).max() > 1e-9 * h:
            raise ValueError(f"a spline needs 3 or more uniform ascending nodes, got {n} from {x[:3]} on")
        right = [0.0, *(6 * np.diff(y, 2) / h**2).tolist(), 0.0]
        factor = [0.0] * n  # second derivatives by elimination: m[i-1] + 4 m[i] + m[i+1] = right[i], 0 at the ends
        for i in range(1, n - 1):
            factor[i] = 1 / (4 - factor[i - 1])
            right[i] = (right[i] - right[i - 1]) * factor[i]
        for i in range(n - 2, 0, -1):
            right[i] -= factor[i] * right[i + 1]
        m0, m1 = np.array(right[:-1]), np.array(right[1:])
        slope = np.diff(y) / h - h * (2 * m0 + m1) / 6
        return cls(float(x[0]), h, np.stack([y[:-1], slope, m0 / 2, (m1 - m0) / (6 * h)], 1))

    def __call__(self, x, order=0):
        """Value (or derivative of `order` 1 to 3) at `x`, an array."""
        i = np.clip(((x - self.lower) / self.width).astype(np.int64), 0, len(self.coeffs) - 1)
        u = x - (self.lower + i * self.width)
        c = self.coeffs[i]
        value = np.zeros_like(x)
        for k in range(3, order - 1, -1):
            value = value * u + c[..., k] * np.prod(np.arange(k - order + 1, k + 1))
        return value
