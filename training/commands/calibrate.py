"""``surrogate calibrate``."""

from ..nets.calibration import main

__all__ = ["main"]
