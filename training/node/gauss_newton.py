"""Gauss-Newton steps for more parameters than residuals, on points drawn anew each time, with a memory.

A step is the shortest one that removes the (linearised) residuals of this draw, damped. Short of that it keeps to the
step before: what earlier draws asked for is not forgotten (SPRING: Goldshlager, Abrahamsen & Lin 2024, J. Comput. Phys.
516, 113351). Only where the residuals of the draw grow much is it damped more: bold steps are what gets there.
"""

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.blas import dsyrk

#: of the sum of squares of a draw, at most, in a step
GROWTH = 4.0


class GaussNewton:
    """The iteration, which remembers its last step."""

    def __init__(self, n_parameters):
        self.last = np.zeros(n_parameters)

    def step(self, function, jacobian, theta, damping, memory=0.0, size=1.0):
        """New parameters.

        Parameters
        ----------
        function : callable
            theta -> residuals of this draw, Tensor of shape (n_residuals,).
        jacobian : ndarray of shape (n_residuals, n_parameters)
            Theirs at `theta`.
        damping : float
            Over the mean square row of the Jacobian; ten times as much as long as the residuals would grow.
        memory : float
            Between 0 and 1: how much of the last step to keep where nothing is asked for.
        size : float
            Share of the step to take.

        Returns
        -------
        theta : Tensor
        rms : float
            Of the residuals before the step.
        """
        residual = function(theta).numpy()
        before = residual @ residual
        kernel = dsyrk(1.0, jacobian.T, trans=1)  # J J^T: its upper triangle is all that cho_factor reads
        diagonal, rms = np.diag(kernel).copy(), float(np.sqrt(before / len(residual)))
        for attempt in range(6):
            start = memory * self.last if attempt == 0 else np.zeros_like(self.last)
            kernel[np.diag_indices_from(kernel)] = diagonal + damping * 10**attempt * diagonal.mean()
            step = start - jacobian.T @ cho_solve(cho_factor(kernel), residual + jacobian @ start)
            moved = torch.from_numpy(step)
            if function(theta + moved).square().sum() <= GROWTH * before:
                self.last = step
                return theta + size * moved, rms
        self.last[:] = 0
        return theta, rms
