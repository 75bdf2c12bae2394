"""Code for three targets from the same expressions: C (SIMD lanes are cells), torch, numba."""

from .c import write_mechanism
from .python import numba_functions, python_functions, torch_functions

__all__ = ["numba_functions", "python_functions", "torch_functions", "write_mechanism"]
