"""What the variables of a network may be: one row per quantity."""

from typing import NamedTuple

from .checks import real


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
        Of `Variable`: a host may give a "species" as mass density, mass fraction ..., which is for cm^-3 alone.
    """

    unit: str
    upper: float
    sample: tuple[float, float]
    role: str


#: the mass of a file is that of a particle [g] for number densities, the molar mass [kg/kmol] for all others
QUANTITIES = {
    "number-density": Quantity("cm^-3", 1e15, (1e-8, 1e3), "species"),
    "concentration": Quantity("kmol/m^3", 1e3, (1e-8, 1e-2), "other"),
    "mass-fraction": Quantity("", 1.01, (1e-8, 1.0), "other"),
    "mole-per-mass": Quantity("mol/g", 1.01, (1e-8, 1.0), "other"),
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
