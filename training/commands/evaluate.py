"""``surrogate evaluate``."""

from ..evaluation.measure import main

__all__ = ["main"]
