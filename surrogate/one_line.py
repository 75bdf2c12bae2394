"""A step in one line: the model is loaded and the stepper made at the first call, and kept for the next."""

import os
import threading
from collections.abc import Mapping

from numpy.typing import ArrayLike

from surrogate.cells import Cells
from surrogate.model import load
from surrogate.report import Report

_cache = threading.local()


def step(
    cells: Cells,
    dt: ArrayLike,
    *,
    model: str | os.PathLike = "ism-molecular",
    rtol: float = 1e-2,
    params: Mapping[str, ArrayLike] | None = None,
    mask: ArrayLike | None = None,
    index: ArrayLike | None = None,
    threads: int = 1,
    audit: float = 0.0,
    comm=None,
    harvest: float = 0.0,
    harvest_file: str | os.PathLike | None = None,
) -> Report:
    """Advance cells in one line; see `Stepper.step` and `Model.stepper` for the arguments.

    Steppers are kept per thread, so that repeated calls do not set up anything anew.

    Parameters
    ----------
    model : str or path-like
        As in `surrogate.load`; default "ism-molecular".
    rtol : float
        Default 1e-2.

    Returns
    -------
    Report
    """
    key = (str(model), rtol, threads, audit, harvest, harvest_file and str(harvest_file))
    key += (None if comm is None else id(comm),)
    steppers = _cache.__dict__.setdefault("steppers", {})
    if key not in steppers:
        if comm is None:
            loaded = load(model)
        else:
            from surrogate import mpi

            loaded = mpi.Ranks(comm).agree(lambda: load(model))
        steppers[key] = loaded.stepper(
            rtol=rtol, threads=threads, audit=audit, comm=comm, harvest=harvest, harvest_file=harvest_file
        )
    return steppers[key].step(cells, dt, params=params, mask=mask, index=index)
