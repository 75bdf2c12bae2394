"""``surrogate export``."""

from ..codegen.library import main

__all__ = ["main"]
