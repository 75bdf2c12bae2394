"""Opponents for our own solver, see `baselines`."""

from ._build import BaselineError
from .baselines import MODES, Baseline, Result

__all__ = ["MODES", "Baseline", "BaselineError", "Result"]
