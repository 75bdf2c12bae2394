"""Gas of hydrogen and helium: which networks are of it, and how cells come to its mass fractions."""

import numpy as np

from ..systems import System

#: mass fractions of hydrogen and helium nuclei
X, Y = 0.7, 0.3


def is_primordial(system: System) -> bool:
    """Whether a system is a network of hydrogen and helium, other elements aside, with electrons and a temperature."""
    return {"H", "He", "charge"} <= system.conserved.keys() and "T" in system.names


def compose(system: System, state: np.ndarray) -> np.ndarray:
    """Scale the species to the mass fractions `X` and `Y` and make the cells neutral, in place; return the electrons.

    The densities that come out are per unit mass. Where negative ions prevail, electrons are negative.
    """
    laws, electron = system.conserved, system.names.index("e-")
    mass = np.array([v.mass for v in system.variables])
    state[:, electron] = 0
    for law, fraction in (("H", X), ("He", Y)):
        members = [k for k, weight in enumerate(laws[law]) if weight > 0]
        state[:, members] *= fraction / (state[:, members] @ mass[members])[:, None]
    electrons = state @ np.array(laws["charge"])
    state[:, electron] = electrons
    return electrons
