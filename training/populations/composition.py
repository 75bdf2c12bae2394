"""Gas of hydrogen and helium: which networks are of it, and how cells come to its mass fractions."""

import numpy as np

from ..systems import System

#: mass fractions of hydrogen and helium nuclei
X, Y = 0.7, 0.3
#: mass fractions of hydrogen nuclei in populations of any composition
HYDROGEN = (0.65, 0.8)


def is_primordial(system: System) -> bool:
    """Whether a system is a network of hydrogen and helium, other elements aside, with electrons and a temperature."""
    return {"H", "He", "charge"} <= system.conserved.keys() and "T" in system.names


def compose(
    system: System, state: np.ndarray, hydrogen: np.ndarray | float = X, helium: np.ndarray | float = Y
) -> np.ndarray:
    """Scale the species to mass fractions of H and He nuclei and make the cells neutral, in place.

    Returns the electrons.

    The densities that come out are per unit mass. Where negative ions prevail, electrons are negative.
    """
    laws, electron = system.conserved, system.names.index("e-")
    mass = np.array([v.mass for v in system.variables])
    state[:, electron] = 0
    for law, fraction in (("H", hydrogen), ("He", helium)):
        members = [k for k, weight in enumerate(laws[law]) if weight > 0]
        state[:, members] *= np.reshape(fraction / (state[:, members] @ mass[members]), (-1, 1))
    electrons = state @ np.array(laws["charge"])
    state[:, electron] = electrons
    return electrons
