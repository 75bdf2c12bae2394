"""What can go wrong, and how a return code of the engine becomes an exception.

Wrong arguments raise `ValueError` or `TypeError`, as everywhere in Python. All else that this package raises is a
`SurrogateError`: `ModelError` for models that cannot be used, `RanksError` where ranks disagree or one is dead. A
*cell* that cannot be advanced is no exception but a status in the report, unless ``on_failure="error"`` asks for
`CellsError`.
"""

from numpy import int8
from numpy.typing import NDArray

from surrogate._engine import ffi, lib


class SurrogateError(Exception):
    """What all errors of this package have in common, but wrong arguments and lack of memory."""


class ModelError(SurrogateError):
    """A model is missing, damaged, or cannot be used as asked."""


class RanksError(SurrogateError):
    """Another rank failed, does not answer, or has another model or other options."""


class CellsError(SurrogateError):
    """Some cell could not be advanced and ``on_failure="error"``; no cell was modified.

    Attributes
    ----------
    status : ndarray of int8
        Status of every cell: those of 33 and above mark the culprits.
    """

    def __init__(self, message: str, status: NDArray[int8]):
        super().__init__(message)
        self.status = status

    def __reduce__(self):  # errors of other processes come pickled
        return type(self), (str(self), self.status)


_ARGUMENT_ERRORS = {lib.SURR_E_ARG, lib.SURR_E_FIELD, lib.SURR_E_UNITS}


def last_message() -> str:
    """Text of this thread's last failure in the engine."""
    text = ffi.new("char[1024]")
    lib.surr_last_error(text, len(text))
    return ffi.string(text).decode()


def check(code: int) -> int:
    """Return a non-negative return code of the engine, raise on a negative one."""
    if code >= 0:
        return code
    if code in _ARGUMENT_ERRORS:
        raise ValueError(last_message())
    if code == lib.SURR_E_NOMEM:
        raise MemoryError(last_message())
    raise (RanksError if code == lib.SURR_E_MPI else ModelError)(last_message())
