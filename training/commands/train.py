"""``surrogate train``."""

from ..fit.trainer import main

__all__ = ["main"]
