"""Relic density of dark matter that froze out of the plasma, from the model ``freeze-out``."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from surrogate.model import load
from surrogate.report import UNTOUCHED

#: entropy density over critical density today [h^2/GeV], 2891.2 cm^-3 / 1.053672e-5 GeV cm^-3 (Particle Data Group)
OMEGA_PER_MASS = 2891.2 / 1.053672e-5
#: m/T of today, for all that is left to happen
X_TODAY = 1e8
#: equilibrium abundance per degree of freedom at m/T = 1, above 100 GeV; below it is soon forgotten
Y_START = 1.8e-3
#: largest m/T: dt, its logarithm, is at most 20
X_LATEST = math.exp(20.0)
#: tolerance of the solver per step: from x = 1 to today it takes hundreds, whose errors may add up
SOLVER_SHARE = 0.2
#: m/T of the transition where it makes no difference
NO_TRANSITION = 500.0

Numbers = float | NDArray[np.float64]


def relic_density(
    mass: ArrayLike,
    sigma_v: ArrayLike,
    g: ArrayLike = 2,
    gamma: ArrayLike = 0.0,
    x_transition: ArrayLike | None = None,
    *,
    p_wave: ArrayLike = 0.0,
    rtol: float = 1e-3,
    threads: int = 1,
) -> Numbers:
    """Relic density Omega h^2 of a particle that annihilates with <sigma v>.

    Arrays broadcast. Points within the domain of the trained net cost well below a microsecond each; the others, and
    those that it does not vouch for at `rtol`, are integrated: to 3 `rtol` and better for masses of 1e-3 to 1e13 GeV,
    any of the cross sections, and any cosmology.

    Parameters
    ----------
    mass : array_like
        [GeV], 1e-5 to 1e19.
    sigma_v : array_like
        Thermally averaged cross section times velocity of s-wave annihilation [cm^3/s], 1e-40 to 1e-10.
    g : array_like
        Internal degrees of freedom: 1 scalar, 2 Majorana fermion, ...
    gamma : array_like
        Cosmology before the transition: the Hubble rate is (x_transition/x)^gamma times the standard one; 0 standard,
        -2/3 Gauss-Bonnet, 2 Randall-Sundrum; above -2, at most 14.
    x_transition : array_like
        x = mass/T at which the standard cosmology begins; needed where `gamma` is not 0.
    p_wave : array_like
        b of <sigma v> = sigma_v + 6 b/x [cm^3/s], 0 to 1e-10. Other values than 0 are integrated.
    rtol : float
        Relative error to accept.
    threads : int
        Threads that share the points.

    Returns
    -------
    ndarray or float

    Raises
    ------
    ValueError
        A value is out of its range, `gamma` is not 0 and `x_transition` missing, or shapes that do not broadcast.

    Examples
    --------
    >>> relic_density(100.0, 2.1e-26)  # doctest: +SKIP
    0.1205
    """
    y = relic_abundance(X_TODAY, mass, sigma_v, g, gamma, x_transition, p_wave=p_wave, rtol=rtol, threads=threads)
    return OMEGA_PER_MASS * np.asarray(mass, dtype=np.float64) * y


def relic_abundance(
    x: ArrayLike,
    mass: ArrayLike,
    sigma_v: ArrayLike,
    g: ArrayLike = 2,
    gamma: ArrayLike = 0.0,
    x_transition: ArrayLike | None = None,
    *,
    p_wave: ArrayLike = 0.0,
    rtol: float = 1e-3,
    threads: int = 1,
) -> Numbers:
    """Abundance Y = n/s at x = mass/T > 1, of a particle in equilibrium at x = 1; else as `relic_density`.

    Returns
    -------
    ndarray or float
    """
    if x_transition is None:
        if np.any(np.asarray(gamma) != 0):
            raise ValueError(
                f"x_transition is missing, and gamma is {gamma}, not 0: give the mass/T at which the "
                "standard cosmology begins, e.g. 500"
            )
        x_transition = NO_TRANSITION
    given = (x, mass, sigma_v, g, gamma, x_transition, p_wave)
    given = [np.asarray(a, dtype=np.float64) for a in given]
    shape = np.broadcast_shapes(*(a.shape for a in given))
    x, mass, sigma_v, g, gamma, x_transition, p_wave = (a.reshape(a.shape or (1,)) for a in given)
    _check("x", x, math.nextafter(1.0, 2.0), X_LATEST)
    cells = _cells_at_the_start(shape or (1,), mass, sigma_v, g, gamma, x_transition)
    _check("p_wave", p_wave, *next((p.lower, p.upper) for p in _model().parameters if p.name == "p_wave"))
    span = np.log(x)
    span, p_wave = (float(a[0]) if a.size == 1 else np.broadcast_to(a, cells["Y"].shape) for a in (span, p_wave))
    _advance(cells, span, p_wave, rtol, threads)
    return cells["Y"].reshape(shape)[()]


def _cells_at_the_start(shape, mass, sigma_v, g, gamma, x_transition):
    """One cell per particle, in equilibrium at x = 1."""
    start = {
        "mass": mass,
        "sigma_v": sigma_v,
        "g": g,
        "n_rho": 0.5 + 0.25 * gamma,
        "x_t": np.where(gamma == 0, NO_TRANSITION, x_transition),
        "Y": Y_START * g,
    }
    cells = {v.name: np.empty(shape) for v in _model().variables}
    for name, column in cells.items():
        column[...] = start[name]
    names = {"mass": "mass", "sigma_v": "sigma_v", "g": "g", "x_t": "x_transition"}
    for v in _model().variables:
        if v.name in names:
            _check(names[v.name], start[v.name], v.lower, v.upper)
        elif v.name == "n_rho":
            _check("gamma", gamma, 4 * v.lower - 2, 4 * v.upper - 2)
    return cells


def _advance(cells, span, p_wave, rtol, threads):
    """Let the net take what it may, in place, and solve the others."""
    net = _model().stepper(rtol=rtol, threads=threads, max_solver_steps=1)  # what it does not take is left alone
    left = net.step(cells, span, params={"p_wave": p_wave}).status >= UNTOUCHED
    solver = _model().stepper(rtol=max(SOLVER_SHARE * rtol, 1e-12), threads=threads, net=False)
    report = solver.step(cells, span, params={"p_wave": p_wave}, mask=~left)
    if (given_up := left & (report.status >= UNTOUCHED)).any():
        point = {name: float(column[given_up][0]) for name, column in cells.items()}
        raise ValueError(
            f"the solver gave up at rtol {rtol:g} for {int(given_up.sum())} points, the first of them {point}"
        )


def _check(name, values, lower, upper):
    bad = ~((values >= lower) & (values <= upper))
    if bad.any():
        raise ValueError(f"{name} is {np.asarray(values)[bad][0]}: give {lower:g}..{upper:g}")


def relic_cross_section(
    mass: ArrayLike,
    omega: ArrayLike = 0.12,
    g: ArrayLike = 2,
    gamma: ArrayLike = 0.0,
    x_transition: ArrayLike | None = None,
    *,
    rtol: float = 1e-3,
    threads: int = 1,
) -> Numbers:
    """<sigma v> [cm^3/s] of s-wave annihilation that leaves the relic density `omega`; else as `relic_density`.

    Newton's method for ln(omega) as a function of ln<sigma v>, on the surrogate and its derivative.

    Returns
    -------
    ndarray or float

    Raises
    ------
    ValueError
        A value is out of its range, or there is no such cross section among those of `relic_density`.
    """
    given = [np.asarray(a, dtype=np.float64) for a in (mass, omega, g, gamma)]
    if x_transition is not None:
        given.append(np.asarray(x_transition, dtype=np.float64))
    arrays = [a.ravel() for a in np.broadcast_arrays(*given)]
    shape = np.broadcast_shapes(*(a.shape for a in given))
    _check("omega", arrays[1], math.ulp(0.0), math.inf)
    wanted = np.log(arrays[1])
    sigma_v = next(v for v in _model().variables if v.name == "sigma_v")
    step = 0.01 * np.array([[-1.0], [1.0]])
    lowest, highest = math.log(sigma_v.lower) + 0.011, math.log(sigma_v.upper) - 0.011
    ln_sigma, found, active = np.full(wanted.shape, math.log(2.2e-26)), np.full(wanted.shape, np.nan), wanted == wanted
    for _ in range(60):
        rows = np.flatnonzero(active)
        if rows.size == 0:
            break
        at = [a[rows] for a in arrays]
        x_t = at[4] if len(at) > 4 else None
        omegas = relic_density(at[0], np.exp(ln_sigma[rows] + step), at[2], at[3], x_t, rtol=rtol, threads=threads)
        low, high = np.log(omegas)
        slope = np.minimum((high - low) / 0.02, -0.2)
        change = np.clip((wanted[rows] - 0.5 * (low + high)) / slope, -3.0, 3.0)
        ln_sigma[rows] = np.clip(ln_sigma[rows] + change, lowest, highest)
        done = np.abs(change) < rtol  # of the last step, at the end of which little is left
        found[rows[done]] = np.exp(ln_sigma[rows[done]])
        active[rows[done]] = False
    if active.any():
        raise ValueError(
            f"no cross section of {sigma_v.lower:g}..{sigma_v.upper:g} cm^3/s leaves omega = "
            f"{arrays[1][active][0]:g} of particles of {arrays[0][active][0]:g} GeV"
        )
    return found.reshape(shape)[()]


@lru_cache(maxsize=1)
def _model():
    return load("freeze-out")
