"""What can go wrong, and how a return code of the engine becomes an exception.

Wrong arguments raise `ValueError` or `TypeError`, as everywhere in Python. `ModelError` is for models that cannot be
used. A *cell* that cannot be advanced is no exception but a status in the report, unless ``on_failure="error"`` asks
for `CellsError`.
"""

from surrogate._engine import ffi, lib


class ModelError(Exception):
    """A model is missing, damaged, or cannot be used as asked."""


class CellsError(ModelError):
    """Some cell could not be advanced and ``on_failure="error"``; no cell was modified.

    Attributes
    ----------
    status : ndarray of int8
        Status of every cell: 33 and 34 mark the culprits.
    """

    def __init__(self, message, status):
        super().__init__(message)
        self.status = status


_ARGUMENT_ERRORS = {lib.SURR_E_ARG, lib.SURR_E_FIELD, lib.SURR_E_UNITS}


def last_message():
    """Text of this thread's last failure in the engine."""
    text = ffi.new("char[1024]")
    lib.surr_last_error(text, len(text))
    return ffi.string(text).decode()


def check(code):
    """Return a non-negative return code of the engine, raise on a negative one."""
    if code >= 0:
        return code
    if code in _ARGUMENT_ERRORS:
        raise ValueError(last_message())
    if code == lib.SURR_E_NOMEM:
        raise MemoryError(last_message())
    raise ModelError(last_message())
