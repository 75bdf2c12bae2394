"""The solver that makes labels: the library's, as an opened model, or the caller's own."""

import tempfile
from collections.abc import Callable
from functools import partial

import numpy as np

import surrogate
from surrogate.errors import ModelError
from surrogate.report import STATUS_NAMES

from ..codegen.library import export_model
from ..named import find_named
from ..systems import System
from .recipe import Recipe, solver_name

_CODES = {name: code for code, name in STATUS_NAMES.items()}
SOLVED, FAILED = _CODES["solver"], _CODES["failed"]


def open_solver(recipe: Recipe) -> Callable:
    """``solve(cells, dt, params) -> status``: advances in place with the library's solver or the caller's."""
    if recipe.advance is not None:
        return partial(_call_user, _find(recipe.advance), solver_name(recipe.advance))
    name = recipe.system.name if recipe.model is None else recipe.model
    try:
        model = surrogate.load(name)
    except ModelError as error:
        path = f"DIR/{recipe.system.name}.so"
        raise ModelError(
            f"{error}. `surrogate export {recipe.source or recipe.system.name} --to DIR` makes {path}, "
            f"to be given as --model {path} (model= in Python)"
        ) from error
    if not recipe.system.has_hash(model.info.get("system_hash")):
        raise ModelError(
            f"model {name} was made from another {model.name} than this {recipe.system.name} (the hashes "
            f"of their equations differ): export it anew"
        )
    stepper = model.stepper(
        rtol=recipe.rtol, atol_frac=recipe.attributes()["atol_frac"], max_step=recipe.max_step, net=False
    )
    return lambda cells, dt, params: stepper.step(cells, dt, params=params).status


def _call_user(function, name, cells, dt, params):
    result = function(cells.copy(), dt, params) if params else function(cells.copy(), dt)
    new = np.asarray(result)
    if new.shape != cells.shape or new.dtype.kind != "f":
        raise ValueError(
            f"{name} returned {type(result).__name__} of shape {new.shape} and type {new.dtype}: "
            f"it must return the new cells, floats of shape {cells.shape}"
        )
    good = np.isfinite(new).all(axis=1)
    cells[good] = new[good]
    return np.where(good, SOLVED, FAILED).astype(np.int8)


def _find(advance):
    """The function that ``"module:function"`` names; a callable is itself."""
    return advance if callable(advance) else find_named(advance, "advance", "module:function")


def solver_model(system: System) -> surrogate.Model:
    """The solver of a system as an opened model: one that is installed if it has the same equations, else compiled now.

    Returns
    -------
    surrogate.Model
    """
    try:
        model = surrogate.load(system.name)
        if model.info.get("system_hash") == system.hash:
            return model
    except surrogate.ModelError:
        pass
    with tempfile.TemporaryDirectory() as directory:
        return surrogate.load(export_model(system, directory))
