"""The demo's initial gas: clumps in pressure equilibrium, a hot spot, and two streams if asked for."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from surrogate.demo.gas import Gas
from surrogate.demo.state import PARSEC, SPECIES, YEAR, count

X_HELIUM = 0.107176  # He nuclei per H nucleus: mass fractions 0.3 and 0.7, for which the model was trained


def make_patch(n_side: int, seed: int = 7) -> dict[str, NDArray[np.float64]]:
    """Lognormal density with a turbulent power spectrum, at thermally unstable temperatures, nearly atomic.

    Parameters
    ----------
    n_side : int
        The patch has ``n_side * n_side`` cells.
    seed : int

    Returns
    -------
    dict of str to ndarray of shape (n_side, n_side)
        Number densities [cm^-3] and T [K].
    """
    rng = np.random.default_rng(seed)
    k = np.hypot(np.fft.fftfreq(n_side)[:, None], np.fft.rfftfreq(n_side)[None, :])
    k[0, 0] = np.inf
    noise = np.fft.rfft2(rng.standard_normal((n_side, n_side)))
    field = np.fft.irfft2(noise * k**-1.7, s=(n_side, n_side))
    field = (field - field.mean()) / field.std()
    n_h = 5.0 * np.exp(1.9 * field)
    patch = {name: np.zeros_like(n_h) for name in ("e-", "H-", "H", "H+", "He", "He+", "He++", "H2", "H2+", "T")}
    patch["H+"] = 1e-2 * n_h
    patch["H2"] = 1e-6 * n_h
    patch["H"] = n_h - patch["H+"] - 2 * patch["H2"]
    patch["He"] = X_HELIUM * n_h
    patch["e-"] = patch["H+"].copy()
    patch["T"] = 2500.0 * np.exp(0.2 * rng.standard_normal(n_h.shape))
    return patch


def make_gas(
    side: int,
    *,
    box: float,
    density: float,
    pressure: float,
    temperature: float,
    spot: float,
    seed: int,
    advance: Callable,
    age: float = 1e6,
    flow: float = 0.0,
    comm=None,
    species: Sequence[str] | None = None,
) -> Gas:
    """The start: clumps in pressure equilibrium, aged until near equilibrium, and a hot spot.

    Parameters
    ----------
    side : int
        The gas has ``side * side`` cells.
    box : float
        Side of the box [pc].
    density, pressure : float
        Of the medium: median n_H [cm^-3], and pressure over k [K/cm^3].
    temperature, spot : float
        Of the hot spot [K], and its radius over the box.
    seed : int
        Of the clumps.
    advance : callable
        ``advance(cells, dt)`` advances a dict of arrays in place, as `Stepper.step`.
    age : float
        Of the medium [yr].
    flow : float
        Speed [km/s] of two streams in x that collide at the edge of the box.
    comm : mpi4py communicator, optional
    species : sequence of str, optional
        Formulas; `surrogate.demo.state.SPECIES` if not given.

    Returns
    -------
    Gas
    """
    gas = Gas(side, box * PARSEC, comm, species or SPECIES)
    thinner = density / 5.0  # than the patch
    patch = {name: thinner * values[gas.rows] for name, values in make_patch(side, seed).items()}
    hydrogen = nuclei_and_charge(patch)[0]
    medium = in_species(patch, gas.species) | {"T": np.clip(pressure / hydrogen, 50.0, 8000.0)}
    advance(medium, age * YEAR)
    x = (np.arange(side) + 0.5) / side
    distance = np.hypot(x[None, :] - 0.5, x[gas.rows, None] - 0.25)
    is_hot = distance < spot
    for name, fraction in in_species(hot_gas(), gas.species).items():
        medium[name][is_hot] = (fraction * hydrogen)[is_hot]
    medium["T"][is_hot] = temperature
    gas.set_gas(medium, medium["T"], (-1e5 * flow * np.sin(2 * np.pi * x), 0.0))
    return gas


def hot_gas() -> dict[str, float]:
    """Particles per H nucleus, nearly all ionised."""
    hot = {
        "H+": 1 - 3e-5,
        "H": 2e-5,
        "H-": 1e-12,
        "H2": 1e-12,
        "H2+": 1e-12,
        "He++": X_HELIUM * (1 - 2e-5),
        "He+": X_HELIUM * 1e-5,
        "He": X_HELIUM * 1e-5,
    }
    hot["H+"] = 1 - hot["H"] - hot["H-"] - 2 * (hot["H2"] + hot["H2+"])
    hot["e-"] = hot["H+"] + hot["H2+"] + hot["He+"] + 2 * hot["He++"] - hot["H-"]
    return hot


def in_species(densities: Mapping, species: Sequence[str]) -> dict:
    """Densities by name in another set of species: what it lacks falls apart into atoms, what it has more is zero."""
    new = {name: densities.get(name, 0.0 * densities["e-"]) for name in species}
    for name in sorted(densities.keys() - {*species, "T"}):
        for atom in ("H", "He"):
            new[atom] = new[atom] + count(atom, name) * densities[name]
        new["e-"] = new["e-"] - (name.count("+") - name.count("-")) * densities[name]
    return new


def nuclei_and_charge(patch: Mapping) -> tuple:
    """H nuclei, He nuclei and charge per cell [cm^-3]."""
    hydrogen = patch["H"] + patch["H+"] + patch["H-"] + 2 * (patch["H2"] + patch["H2+"])
    helium = patch["He"] + patch["He+"] + patch["He++"]
    charge = patch["H+"] + patch["H2+"] + patch["He+"] + 2 * patch["He++"] - patch["e-"] - patch["H-"]
    return hydrogen, helium, charge
