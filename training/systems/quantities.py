"""What the variables of a network may be: one row per quantity."""

from typing import NamedTuple

from .checks import real

#: particles per kmol, and how many per cm^3 one kmol/m^3 is (CODATA 2018)
AVOGADRO = 6.02214076e26
PER_CM3 = AVOGADRO * 1e-6


class Quantity(NamedTuple):
    """Variables of a kind.

    Attributes
    ----------
    unit : str
    upper : float
        Largest meaningful input.
    sample : tuple of float
        Typical range.
    role : str
        Of `Variable`: a "species" may be given in other quantities by a host, which needs densities.
    mass_unit : float
        What turns the ``mass`` of a file into the mass density [g/cm^3] of one unit of the variable.
    """

    unit: str
    upper: float
    sample: tuple[float, float]
    role: str
    mass_unit: float


#: the mass of a file is that of a particle [g] for number densities, the molar mass [kg/kmol] for all others
QUANTITIES = {
    "number-density": Quantity("cm^-3", 1e15, (1e-8, 1e3), "species", 1.0),
    "concentration": Quantity("kmol/m^3", 1e3, (1e-8, 1e-2), "species", 1e-3),
    "mass-fraction": Quantity("", 1.01, (1e-8, 1.0), "other", 1e-3),
    "mole-per-mass": Quantity("mol/g", 1.01, (1e-8, 1.0), "other", 1e-3),
}


def quantity_of(net) -> Quantity:
    """The quantity of a network's variables, with the bounds that its file sets (``species_range``).

    Raises
    ------
    ValueError
        If there is no such quantity, or a bound is no number.
    """
    name = net.get("quantity", "number-density")
    if not isinstance(name, str) or name not in QUANTITIES:
        raise ValueError(f"{net.where}quantity is {name!r}: choose from {', '.join(QUANTITIES)}")
    quantity, bounds = QUANTITIES[name], net.get("species_range", {})
    upper = real(bounds.get("upper", quantity.upper), "upper of species_range", 0.0)
    low, high = bounds.get("sample", quantity.sample)
    return quantity._replace(upper=upper, sample=(real(low, "sample"), real(high, "sample")))
