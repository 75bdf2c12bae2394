"""The systems that ship with the library, by name."""

from functools import partial

from .freeze_out import freeze_out
from .hodgkin_huxley import hodgkin_huxley
from .mass_action import pollu, robertson
from .network import load_network
from .toys import decay_linear, decay_quadratic, relax_forced, toy_constant, toy_periodic

_ATOMIC = ("e-", "H-", "H", "H+", "He", "He+", "He++")
_SYSTEMS = {
    "ism-molecular": partial(load_network, "ism-molecular"),
    "ism-atomic": partial(load_network, "ism-atomic", species=_ATOMIC),
    "robertson": robertson,
    "pollu": pollu,
    "toy-constant": toy_constant,
    "toy-periodic": toy_periodic,
    "decay-linear": decay_linear,
    "decay-quadratic": decay_quadratic,
    "relax-forced": relax_forced,
    "freeze-out": freeze_out,
    "hodgkin-huxley": hodgkin_huxley,
}


def system_names():
    """Names that `get_system` knows."""
    return tuple(_SYSTEMS)


def get_system(name, **options):
    """Build a system by name.

    Parameters
    ----------
    name : str
        One of `system_names`.
    **options
        Passed to the system's own function, e.g. ``preset="literal"`` or ``cosmic_rays=False`` for a network.

    Returns
    -------
    System
    """
    if name not in _SYSTEMS:
        raise ValueError(f"no system {name!r}; choose from {', '.join(_SYSTEMS)}")
    return _SYSTEMS[name](**options)
