"""What cells are made of: elements and charge of any network, and the mass fractions of gas of hydrogen and helium."""

import numpy as np

from ..systems import System

#: mass fractions of hydrogen and helium nuclei
X, Y = 0.7, 0.3
#: mass fractions of hydrogen nuclei in populations of any composition
HYDROGEN = (0.65, 0.8)


def elements_of(system: System) -> dict[str, tuple[float, ...]]:
    """The laws that count nuclei of an element, by its name: how many each variable holds."""
    laws = {name: law for name, law in system.conserved.items() if name in system.declared and name != "charge"}
    return {name: law for name, law in laws.items() if min(law) >= 0 and any(law)}


def electron_of(system: System) -> int | None:
    """Column of the electrons, which carry a negative charge and no nuclei; None if there are none."""
    charge = system.conserved.get("charge", ())
    bare = [k for k, q in enumerate(charge) if q == -1 and not any(law[k] for law in elements_of(system).values())]
    return bare[0] if bare else None


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


def neutralise(system: System, cells: np.ndarray) -> np.ndarray:
    """Make nearly neutral cells neutral, in place: by their electrons, or else by their negative ions.

    Returns
    -------
    ndarray of bool, shape (n,)
        Where that is possible without negative densities; other cells stay as they are.
    """
    if "charge" not in system.conserved:
        return np.ones(len(cells), bool)
    charge, electron = np.array(system.conserved["charge"]), electron_of(system)
    fillers = charge < 0 if electron is None else np.arange(len(charge)) == electron
    present, wanted = cells[:, fillers] @ -charge[fillers], cells[:, ~fillers] @ charge[~fillers]
    good = (wanted > 0) & (present > 0)
    cells[np.ix_(good, fillers)] *= (wanted[good] / present[good])[:, None]
    return good


def proportioned(
    weights: np.ndarray, laws: np.ndarray, totals: np.ndarray, steps: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Mixtures with given totals of the laws that are closest to given weights in relative entropy.

    These are ``weights * exp(laws.T @ z)``: the minimum of a convex function of z, found by Newton's method, damped as
    for generalised self-concordant functions (Sun & Tran-Dinh 2019, Math. Program. 178, 145), which makes it sure.

    Parameters
    ----------
    weights : ndarray of shape (n, n_species)
        Positive.
    laws : ndarray of shape (n_laws, n_species)
    totals : ndarray of shape (n, n_laws)
    steps : int
        Iterations at most.

    Returns
    -------
    mixtures : ndarray of shape (n, n_species)
    good : ndarray of bool, shape (n,)
        Where there is one, and it was found.
    """
    z = np.zeros_like(totals)
    for _ in range(steps):
        mixtures = weights * np.exp(np.clip(z @ laws, -600, 600))
        gap, carried = totals - mixtures @ laws.T, mixtures @ abs(laws).T
        good = (abs(gap) <= 1e-11 * carried).all(1)
        if good.all():
            break
        curvature = (mixtures[:, None] * laws) @ laws.T
        scale = np.sqrt(np.einsum("nkk->nk", curvature)) + 1e-300
        curvature = curvature / (scale[:, :, None] * scale[:, None, :]) + 1e-14 * np.eye(len(laws))
        step = np.linalg.solve(curvature, (gap / scale)[..., None])[..., 0] / scale
        far = abs(step @ laws).max(1) + 1e-300
        z += step * (np.log1p(far) / far)[:, None]
    return mixtures, good
