"""``surrogate labels``."""

from ..labels.make import main

__all__ = ["main"]
