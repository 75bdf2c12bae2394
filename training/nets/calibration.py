"""Which predictions may be trusted: what a predicted error is worth."""

from dataclasses import asdict, dataclass

import numpy as np
import torch

from .domain import Domain
from .net_data import in_parts

#: attempts at a tolerance of 1e-2 below which the solver takes a cell. Two cost about as much as the net; from three on
#: the net is quicker, but where a step needs as few, many follow, in which its errors add up and the solver's do not
CHEAP = 4.0
#: e-folds of the variable that changes most below which errors count relative to the change. The net's error does not
#: shrink with the step as a solver's does, and many short steps would add up many errors
CHANGE = 1.0
#: fractions of the time step at which the routes of the check stop on their way, none by default: each takes two
#: evaluations more, and pays where cells are unlike those of the calibration
ROUTES = ()


@dataclass(frozen=True, eq=False)
class Calibration:
    """log10 of the tolerance at which a prediction may be accepted: steps on a uniform grid of log10 predictions.

    For a tolerance r, cells whose predicted error maps to at most r are accepted; at least `coverage` of those in each
    calibration population were within r, with the stated confidence.

    Cells that the solver is expected to finish within `cheap` attempts are not for the net: there the solver costs
    about as much, and its errors do not add up. Of predictions that change a cell by less than `change` e-folds the
    error relative to the change is what is compared, see `doubt`.

    With `routes` the error is predicted by the two-route check (`nets.routes`) at these fractions of the time step, of
    the cells for which the judge predicts at most `hopeless` times the tolerance; without, by the judge.
    """

    lower: float
    width: float
    nodes: np.ndarray
    coverage: float
    cheap: float = 0.0
    change: float = 0.0
    routes: tuple[float, ...] = ()
    hopeless: float = float("inf")

    def __call__(self, predicted: np.ndarray) -> np.ndarray:
        """Calibrated error for predicted errors, both plain numbers in an ndarray."""
        return calibrated(torch.as_tensor(predicted), self.lower, self.width, torch.as_tensor(self.nodes)).numpy()

    def bound(self, measured) -> np.ndarray:
        """Calibrated error of what was `Measured`, infinite where the solver is quick; shape (n,)."""
        bound = np.where(measured.attempts < self.cheap, np.inf, self(doubt_of(measured, self.change)))
        return np.maximum(bound, measured.judged / self.hopeless) if self.routes else bound


def doubt(predicted, e_folds, change):
    """Predicted error, relative to the change where that is less than `change` e-folds; Tensor of shape (n,)."""
    return predicted * (change / e_folds.nan_to_num(0.0).clamp_min(1e-30)).clamp_min(1.0)


def doubt_of(measured, change):
    """`doubt` of what was `Measured`, ndarray of shape (n,)."""
    return doubt(torch.as_tensor(measured.predicted), torch.as_tensor(measured.e_folds), change).numpy()


def calibrated(predicted, lower, width, nodes):
    """Smallest tolerance at which a prediction may be accepted, Tensor of shape (n,); infinite without a number."""
    place = torch.ceil((predicted.double().log10() - lower) / width).nan_to_num(0.0).clamp(0, len(nodes) - 1)
    return torch.where(predicted.isfinite(), 10.0 ** nodes[place.long()], torch.inf)


def as_plain(item):
    """A Domain or Calibration as lists, for a model file."""
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(item).items()}


def from_plain(kind, plain):
    """What `as_plain` made, back."""
    plain = in_parts(plain) if kind is Domain else plain
    plain = {k: np.array(v) if isinstance(v, list) else v for k, v in plain.items()}
    if "routes" in plain:
        plain["routes"] = tuple(float(x) for x in plain["routes"])
    return kind(**plain)
