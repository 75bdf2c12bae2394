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
        h = np.diff(x)
        width = h.min()
        parts = np.rint(h / width).astype(int)
        if h.min() <= 0 or np.abs(h - parts * width).max() > 1e-9 * width:
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
        """Cubic spline through uniform nodes, twice continuously differentiable, without third-order jumps at the first
        and last inner node (not-a-knot).

        Parameters
        ----------
        x, y : array_like of shape (n_nodes,)
            At least four nodes.
        """
        x, y = np.asarray(x, float), np.asarray(y, float)
        n, h = len(x), (x[-1] - x[0]) / (len(x) - 1)
        if n < 4 or np.abs(np.diff(x) - h).max() > 1e-9 * abs(h) + 1e-12 * np.abs(x).max():
            raise ValueError(f"a spline needs at least 4 uniform nodes, got {n} with distances {np.diff(x)[:3]}...")
        matrix = 4 * np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)  # of the second derivatives
        matrix[0, :3] = matrix[-1, -3:] = 1, -2, 1
        right = np.zeros(n)
        right[1:-1] = 6 * np.diff(y, 2) / h**2
        curvature = np.linalg.solve(matrix, right)
        m0, m1 = curvature[:-1], curvature[1:]
        slope = np.diff(y) / h - h * (2 * m0 + m1) / 6
        return cls(float(x[0]), float(h), np.stack([y[:-1], slope, m0 / 2, (m1 - m0) / (6 * h)], 1))

    def __call__(self, x, order=0):
        """Value (or derivative of `order` 1 to 3) at `x`, an array."""
        i = np.clip(((x - self.lower) / self.width).astype(np.int64), 0, len(self.coeffs) - 1)
        u = x - (self.lower + i * self.width)
        c = self.coeffs[i]
        value = np.zeros_like(x)
        for k in range(3, order - 1, -1):
            value = value * u + c[..., k] * np.prod(np.arange(k - order + 1, k + 1))
        return value
