"""Nets: how cells become inputs and outputs cells, the experts, and the decision which predictions to accept.

Model files are read, and C is generated from them, without PyTorch: what needs it is imported when it is asked for.
"""

_EXPERTS = ("NetConfig", "Router", "Surrogate", "sort_into_blocks")


def __getattr__(name):
    if name in _EXPERTS:
        from . import experts

        return getattr(experts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
