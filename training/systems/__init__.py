"""Systems of ODEs as data, those that ship with the library by name."""

from .catalogue import SYSTEM_HELP, SYSTEM_OPTION, get_system, system_names, system_of
from .freeze_out import freeze_out, freeze_out_constant
from .hodgkin_huxley import hodgkin_huxley
from .mass_action import pollu, robertson
from .network import load_network
from .system import Parameter, System, Variable, symbol
from .toys import decay_linear, decay_quadratic, relax_forced, toy_constant, toy_periodic

__all__ = [
    "SYSTEM_HELP",
    "SYSTEM_OPTION",
    "Parameter",
    "System",
    "Variable",
    "decay_linear",
    "decay_quadratic",
    "freeze_out",
    "freeze_out_constant",
    "get_system",
    "hodgkin_huxley",
    "load_network",
    "pollu",
    "relax_forced",
    "robertson",
    "symbol",
    "system_names",
    "system_of",
    "toy_constant",
    "toy_periodic",
]
