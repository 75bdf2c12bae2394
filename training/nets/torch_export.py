"""A trained and calibrated model as TorchScript (``.pt``) and as an exported program (``.pt2``).

Both hold what the net path of a model library does: (state, dt) -> (end, calibrated error, inside the domain). Neither
needs this package: ``torch.jit.load`` opens the first from Python or libtorch, ``torch.export.load`` the second.

All evaluate the perceptrons in single precision and the rest in double, but add up in another order. Against
perceptrons in double precision, 99.9 % of the logarithms of the outputs agree to 1e-5 of 1 + |log|, all to 1e-4. It
cannot be tighter: an input carries 6e-8 relative, the net's slope is of order ten, and its outputs are scaled by
standard deviations of up to several decades, which their logarithms feel in full. Decisions differ only where a
prediction falls on a step of the calibration table.
"""

import copy
import warnings
from os import PathLike
from pathlib import Path

import torch

from ..files import replacing
from ..systems import System
from .calibration import Calibration, calibrated, doubt, from_plain
from .domain import Domain, Inside
from .routes import by_routes
from .trained import load_trained


class Predictor(torch.nn.Module):
    """The net path of a model: a prediction, what it may be trusted with, and whether the cell is in the domain.

    Parameters
    ----------
    surrogate : Surrogate
        Copied.
    domain : Domain
    calibration : Calibration
    dtype : torch.dtype
        Of the perceptrons; float64 as a reference. All else is float64 in any case, as in C.
    """

    def __init__(self, surrogate, domain, calibration, dtype=torch.float32):
        super().__init__()
        self.surrogate = copy.deepcopy(surrogate).eval().requires_grad_(False)
        self.surrogate.experts.to(dtype)
        self.surrogate.gauge.to(dtype)
        self.surrogate.judge.to(dtype)
        self.calibration_lower, self.calibration_width = calibration.lower, calibration.width
        self.change, self.routes = calibration.change, tuple(calibration.routes)
        self.inside = Inside(domain)
        self.register_buffer("nodes", torch.as_tensor(calibration.nodes, dtype=torch.float64))
        for module in self.modules():  # an archive wants each tensor to own its memory
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.clone(memory_format=torch.contiguous_format))

    def forward(self, state, dt, params=None):
        """Prediction for cells.

        Parameters
        ----------
        state : Tensor of shape (n, n_vars), float64
        dt : Tensor of shape (n,), float64
        params : Tensor of shape (n, n_inputs), float64
            The parameters that the net takes, in the order of ``encoding.inputs``; a net that takes none is called
            without.

        Returns
        -------
        end : Tensor of shape (n, n_vars), float64
        error : Tensor of shape (n,), float64
            The smallest tolerance at which the prediction may be accepted; infinite where it is no good at any.
        inside : Tensor of shape (n,), bool
            Whether the cell is in the domain; where not, `end` and `error` mean nothing.
        """
        encoding = self.surrogate.encoding
        end, predicted = self.surrogate(state, dt, params)
        if self.routes:
            end, spread = by_routes(self.surrogate, state, dt, params, end, self.routes)
            predicted = torch.where(predicted.isfinite(), spread, torch.inf)
        predicted = doubt(predicted.double(), encoding.e_folds(state, end), self.change)
        error = calibrated(predicted, self.calibration_lower, self.calibration_width, self.nodes)
        return end, error, self.inside(encoding, state, dt, params)

    def example(self):
        """Arguments of the right shape and type; not 0 or 1 cells, which an exported program would take as fixed."""
        n, n_vars = 37, len(self.surrogate.encoding.names)
        cells = torch.ones(n, n_vars, dtype=torch.float64), torch.ones(n, dtype=torch.float64)
        encoding = self.surrogate.encoding
        return (*cells, encoding.defaults.repeat(n, 1)) if encoding.inputs else cells


def load_predictor(
    path: str | PathLike, system: str | None = None, kind: str | None = None
) -> tuple[System, Predictor]:
    """A calibrated model file: (system, `Predictor`); `system` and `kind` as in `trained.load_trained`."""
    system, surrogate, metadata = load_trained(path, system, kind)
    parts = from_plain(Domain, metadata["domain"]), from_plain(Calibration, metadata["calibration"])
    return system, Predictor(surrogate, *parts)


def export_torch(predictor, system, directory, name=None):
    """Write ``directory/NAME.pt`` and ``directory/NAME.pt2``.

    Parameters
    ----------
    predictor : Predictor
    system : System
        The files are called like it and carry its hash.
    directory : str or path
        Created if needed.
    name : str, optional
        Of the files; default that of the system.

    Returns
    -------
    tuple of pathlib.Path
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    info = {"system_hash": system.hash}
    name = name or system.name
    paths = directory / f"{name}.pt", directory / f"{name}.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript, which libtorch needs
        with replacing(paths[0]) as file:
            torch.jit.save(trace(predictor), str(file), _extra_files=info)
    with replacing(paths[1]) as file:
        torch.export.save(export(predictor), str(file), extra_files=info)
    return paths


def trace(predictor):
    """`predictor` as TorchScript, for any number of cells; it holds no device, so that ``.to("cuda")`` moves it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on TorchScript's future, and on sizes, which the tracer follows well
        return torch.jit.trace(predictor, predictor.example(), check_trace=False)


def export(predictor):
    """`predictor` as an exported program, for any number of cells."""
    n = torch.export.Dim("n", min=0)
    return torch.export.export(
        predictor, predictor.example(), dynamic_shapes=tuple({0: n} for _ in predictor.example())
    )
