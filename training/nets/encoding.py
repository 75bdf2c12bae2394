"""How a cell and a time step become a net's inputs, and its outputs a cell.

Variables with a floor (densities, temperature) enter as logarithms, species as fractions of the total density beside
the total itself; signed ones as they are. So do the parameters that the training has varied, absent ones as a decade
less than any other; the others are fixed at the system's own values. A net predicts changes, which a factor that
vanishes with dt multiplies: no time, no change.
Conservation laws are restored as in the solver: y_k *= 1 + (A^T z)_k.
"""

import numpy as np
import torch

from ..systems.system import ABSENT_DECADES, FRACTION_FLOOR, MAJOR_FRACTION


class Encoding(torch.nn.Module):
    """Inputs and outputs of a surrogate of one system.

    Parameters
    ----------
    system : System
    dt_range : tuple of float
        Time steps of the training set [s].
    inputs : dict of str to tuple of float, optional
        Ranges of the parameters that vary, by name.
    """

    def __init__(self, system, dt_range, inputs=None):
        super().__init__()
        variables = system.variables
        self.inputs = {name: tuple(map(float, ends)) for name, ends in (inputs or {}).items()}
        known = [p.name for p in system.parameters]
        self.input_columns = [known.index(name) for name in self.inputs]
        self.input_log = [low > 0 for low, _ in self.inputs.values()]
        lower = [low if low > 0 else 1.0 for low, _ in self.inputs.values()]
        self.register_buffer("input_lower", torch.tensor(lower, dtype=torch.float64).log10())
        self.register_buffer("defaults", torch.tensor(system.parameter_values)[self.input_columns])
        self.names = tuple(v.name for v in variables)
        self.is_log = [v.floor >= 0 for v in variables]
        self.in_total = [v.scale == "total" for v in variables]
        self.has_total = any(self.in_total)
        self.dt_lower = float(dt_range[0])
        self.register_buffer("log", torch.tensor(self.is_log))
        self.register_buffer("total", torch.tensor(self.in_total))
        self.register_buffer("floor", torch.tensor([max(v.floor, 0.0) for v in variables], dtype=torch.float64))
        units = [1.0 if isinstance(v.scale, str) or v.scale == 0 else v.scale for v in variables]
        self.register_buffer("unit", torch.tensor(units, dtype=torch.float64))
        self.register_buffer("laws", torch.tensor(np.array(system.restored_laws).reshape(-1, len(variables))))

    @property
    def n_features(self):
        """Number of inputs."""
        return self.dt_column + 1 + len(self.inputs)

    @property
    def dt_column(self):
        """Which of the inputs is the time step; parameters follow it."""
        return len(self.names) + int(self.has_total)

    def reduce(self, state, total):
        """Logarithms (base 10) of fractions and positive variables, signed variables as they are.

        Parameters
        ----------
        state : Tensor of shape (n, n_vars), float64
        total : Tensor of shape (n, 1)
            Total density that fractions refer to.
        """
        floor = torch.where(self.total, FRACTION_FLOOR * total, 1e-300)
        scale = torch.where(self.total, total, 1.0)
        logs = torch.log10(torch.maximum(state, floor) / scale)
        return torch.where(self.log, logs, state)

    def total_density(self, state):
        """Sum over the species, shape (n, 1); ones where there are none."""
        total = (state * self.total).sum(1, keepdim=True)
        return total if self.has_total else total + 1

    def of_params(self, params):
        """Those columns of parameters of the system, shape (n, n_params), that the net takes; None of None."""
        return None if params is None or not self.inputs else params[:, self.input_columns]

    def features(self, state, dt, params=None):
        """Inputs of the net, shape (n, n_features), float64.

        Parameters
        ----------
        state : Tensor of shape (n, n_vars), float64
        dt : Tensor of shape (n,), float64
        params : Tensor of shape (n, n_inputs), float64, optional
            In the order of `inputs`; the system's own values if not given.
        """
        total = self.total_density(state)
        parts = [self.reduce(state, total)]
        if self.has_total:
            parts.append(torch.log10(total))
        parts.append(torch.log10(dt).unsqueeze(1))
        if self.inputs:
            given = self.defaults.expand(len(state), -1) if params is None else params
            is_log = torch.tensor(self.input_log, device=state.device)
            parts.append(torch.where(is_log, self._logs_of_params(given), given))
        return torch.cat(parts, 1)

    def _logs_of_params(self, params):
        """log10, of absent ones a decade below the range; two below, outside any domain, of what lies between."""
        logs, lower = torch.log10(params.clamp_min(1e-300)), self.input_lower
        below = torch.where(logs <= lower - ABSENT_DECADES, lower - 1, lower - 2)
        return torch.where(logs >= lower - 1e-6, logs, below)

    def gate(self, dt):
        """Factor of the predicted change, shape (n, 1): 0 at dt = 0, near 1 over the trained range."""
        return (dt / (dt + 0.1 * self.dt_lower)).unsqueeze(1)

    def targets(self, state, dt, end):
        """What the net should predict, and where it counts.

        Returns
        -------
        change : Tensor of shape (n, n_vars)
        counts : bool Tensor of shape (n, n_vars)
            False for species that end as traces.
        """
        total = self.total_density(state)
        change = (self.reduce(end, total) - self.reduce(state, total)) / self.gate(dt)
        return change, self.counts(end, total)

    def counts(self, end, total):
        """Whether values count, bool of the shape of `end`: False for species that are traces."""
        return ~self.total | (end >= 10 * FRACTION_FLOOR * total)

    def scale(self, state):
        """What an absolute error of a value is to be divided by: the value, or the scale of a signed variable."""
        unit = torch.where(self.total, self.total_density(state), self.unit)
        return torch.where(self.log, torch.maximum(state, FRACTION_FLOOR * unit), unit)

    def e_folds(self, start, end):
        """How far cells have changed, shape (n,): the largest logarithm of the ratio of a positive variable, below
        `MAJOR_FRACTION` of the total what changes that, or change of a signed one in units of its scale.
        """
        change, minor = (end - start).abs(), torch.where(self.total, MAJOR_FRACTION * self.total_density(start), 1e-300)
        ratio = change / torch.maximum(torch.minimum(start, end), minor)
        return torch.where(self.log, torch.log1p(ratio), change / self.unit).max(1).values

    def apply_change(self, state, dt, change):
        """New state from a predicted change, laws restored; shape (n, n_vars), float64."""
        return self.decode(state, dt, change)[0]

    def decode(self, state, dt, change):
        """New state, and whether the change was close enough to the laws to be repaired, bool of shape (n,)."""
        step = change.double() * self.gate(dt)
        factor = 10.0 ** step.clamp(-30, 30)  # what is that far off shall not break the gradients of the others
        least = torch.where(self.total, FRACTION_FLOOR * self.total_density(state), 0.0)
        grown = (state + least * (factor - 1)).clamp_min(0.0)  # from a trace, which the net takes for `least`
        end = torch.where(self.log, torch.where(state < least, grown, state * factor), state + step)
        end = torch.maximum(end, torch.where(self.log, self.floor, end))
        repair = correction(end, self.laws, state @ self.laws.T)
        return end * (1 + repair), ((repair.abs() < 0.5) & end.isfinite()).all(1)


def restore(end: torch.Tensor, laws: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Repair `end` so that ``end @ laws.T == kept``, every component in proportion to itself."""
    return end * (1 + correction(end, laws, kept))


def correction(end: torch.Tensor, laws: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Relative change of every component that restores what the laws keep, shape of `end`."""
    weighted = end.unsqueeze(1) * laws
    gram = weighted @ laws.T
    square = gram.diagonal(dim1=1, dim2=2)
    absent = square == 0  # an element of which there is nothing
    scale = torch.where(absent, 1.0, square).sqrt()
    tiny = 1e-14  # two laws that a single species carries are one: no solver may stop at that
    gram = gram / (scale.unsqueeze(1) * scale.unsqueeze(2)) + torch.diag_embed(absent.to(end.dtype) + tiny)
    z = torch.linalg.solve_ex(gram, ((kept - end @ laws.T) / scale).unsqueeze(2))[0].squeeze(2) / scale
    return z @ laws
