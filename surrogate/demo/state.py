"""The state of the demo's gas: what is in a row of the fields, and what follows from one cell alone, in cgs units."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

YEAR = 3.1536e7  # s
PARSEC = 3.0857e18  # cm
GAMMA = 5.0 / 3.0
K_BOLTZMANN = 1.380649e-16  # erg/K
MASS_H, MASS_HE = 1.6735328e-24, 6.6464731e-24  # g
SPECIES = ("e-", "H-", "H", "H+", "He", "He+", "He++", "H2", "H2+")
RHO, MX, MY, ENERGY, FIRST, TEMPERATURE = 0, 1, 2, 3, 4, -1  # rows of the fields; FIRST up to TEMPERATURE: the species
FLOOR = 10.0  # K, for the pressure within a sweep and after it


def nuclei(fields: NDArray, species: Sequence[str] = SPECIES) -> tuple[NDArray, NDArray]:
    """Hydrogen and helium nuclei per volume."""
    densities = dict(zip(species, fields[FIRST:]))

    def total(element):
        by_count = {}
        for name in sorted(densities):
            by_count.setdefault(count(element, name), []).append(densities[name])
        return sum(n * sum(parts) for n, parts in by_count.items())

    return total("H"), total("He")


def count(element: str, species: str) -> int:
    """Nuclei of an element in a species, by its formula."""
    return sum(int(n or 1) for symbol, n in re.findall(r"([A-Z][a-z]?)(\d*)", species) if symbol == element)


def kinetic_energy(fields: NDArray) -> NDArray:
    return 0.5 * (fields[MX] ** 2 + fields[MY] ** 2) / fields[RHO]


def n_total(fields: NDArray) -> NDArray:
    return fields[FIRST:TEMPERATURE].sum(axis=0)


def thermal_energy(fields: NDArray) -> NDArray:
    return K_BOLTZMANN / (GAMMA - 1) * n_total(fields) * fields[TEMPERATURE]


def pressure_of(fields: NDArray) -> NDArray:
    """Pressure, not below that of `FLOOR`."""
    thermal = (GAMMA - 1) * (fields[ENERGY] - kinetic_energy(fields))
    return np.maximum(thermal, K_BOLTZMANN * FLOOR * n_total(fields))


def temperature_of(fields: NDArray) -> NDArray:
    return (GAMMA - 1) * (fields[ENERGY] - kinetic_energy(fields)) / (K_BOLTZMANN * n_total(fields))


def per_nucleus(fields: NDArray, species: Sequence[str], name: str) -> NDArray:
    """Particles of a species per H nucleus."""
    return fields[FIRST + species.index(name)] / nuclei(fields, species)[0]


def relative_errors(fields: NDArray, reference: NDArray, species: Sequence[str]) -> dict[str, NDArray]:
    """|x/x_ref - 1| of T, H2 (H+ where there is none) and electrons per H nucleus, where there are more than 1e-10."""
    pairs = {"T": (fields[TEMPERATURE], reference[TEMPERATURE])}
    for name in ("H2" if "H2" in species else "H+", "e-"):
        pairs[f"x({name})"] = per_nucleus(fields, species, name), per_nucleus(reference, species, name)
    return {name: np.abs(x[y > 1e-10] / y[y > 1e-10] - 1) for name, (x, y) in pairs.items()}
