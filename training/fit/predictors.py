"""Gauges and judges: small perceptrons that tell for each cell, before either runs, what the solver would cost and what
the net would err by.

The gauges and judges of a `Surrogate` learn when its experts have finished: from the features, log10 of the attempts
that the solver needs, and log10 of the error of the expert's prediction.
"""

import torch

from ..labels.solver import solver_model
from ..systems import System
from .losses import pinball
from .pairs import Pairs
from .soap import BatchedSOAP, cosine_schedule

#: iterations, cells per region and iteration, and how often they see each cell
ITERATIONS, BATCH, TIMES = 2000, 256, 8
#: quantiles of the error and of the attempts that are learned; by trial more is accepted than with the median of errors
ERROR_LEVEL, ATTEMPTS_LEVEL = 0.9, 0.5
#: tolerance at which attempts are counted
RTOL = 1e-2


def cells_for(iterations: int) -> int:
    """Cells per region that gauges and judges learn from in so many iterations."""
    return max(iterations * BATCH // TIMES, 1)


def fit_predictor(predictor, inputs: torch.Tensor, targets: torch.Tensor, level: float, iterations: int) -> None:
    """Let judges or gauges learn a quantile, by pinball loss.

    Parameters
    ----------
    predictor : Residual
        Of all experts.
    inputs : Tensor of shape (n_experts, n, n_in), float32
        Standardised features.
    targets : Tensor of shape (n_experts, n), float32
    level : float
        0..1.
    iterations : int
    """
    parameters, (n_experts, n) = list(predictor.parameters()), targets.shape
    optimizer = BatchedSOAP(parameters, lr=1e-2)
    own = torch.arange(n_experts, device=inputs.device).unsqueeze(1)
    for i in range(iterations):
        optimizer.param_groups[0]["lr"] = 1e-2 * cosine_schedule(i / iterations)
        rows = torch.randint(n, (n_experts, BATCH), device=inputs.device)
        loss = pinball(targets[own, rows] - predictor(inputs[own, rows])[..., 0], level) / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def solver_attempts(system: System, pairs: Pairs, threads: int = 1) -> torch.Tensor:
    """Attempts of the solver at `RTOL`, at least 1.

    Parameters
    ----------
    system : System
    pairs : Pairs
        On the CPU.

    Returns
    -------
    Tensor of shape (n,), float64
    """
    stepper = solver_model(system).stepper(rtol=RTOL, net=False, threads=threads)
    params = {}
    if pairs.params is not None:
        params = {p.name: column for p, column in zip(system.parameters, pairs.params.numpy().T)}
    report = stepper.step(pairs.state.numpy().copy(), pairs.dt.numpy(), params=params)
    return torch.from_numpy(report.cost).clamp_min(1.0)
