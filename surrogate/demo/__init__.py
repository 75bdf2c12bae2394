"""A blast wave in clumpy interstellar gas: a small hydro code with the chemistry of this library.

`scene` makes the gas, `gas` and `riemann` move it, `run` compares surrogate and solver, `pictures` draws. What is here
needs NumPy alone; ``surrogate demo`` takes the extra ``demo``.
"""

from collections.abc import Sequence

from surrogate.demo.gas import Gas
from surrogate.demo.scene import make_gas, make_patch

__all__ = ["Gas", "main", "make_gas", "make_patch"]


def main(argv: Sequence[str] | None = None) -> int:
    """``surrogate demo``; returns the exit status."""
    from surrogate.demo import run

    return run.main(argv)
