"""Fluxes between cells: linear reconstruction with limited slopes (MUSCL-Hancock) and the HLLC Riemann solver.

References
----------
E. F. Toro, Riemann Solvers and Numerical Methods for Fluid Dynamics, 3rd ed., Springer 2009, 10.4-10.6 (HLLC), 14.4
(MUSCL-Hancock); T. Plewa & E. Mueller 1999, A&A 342, 179 (consistent advection of species: here one limiter for all).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from surrogate.demo.state import ENERGY, FIRST, GAMMA, MX, MY, RHO, TEMPERATURE, pressure_of


def fluxes(fields: NDArray, axis: int, dt_over_dx: float, main: Sequence[int]) -> NDArray:
    """Fluxes through the faces of the inner cells of `fields`, which has two ghosts on either side along `axis`.

    One row per conserved quantity: all rows but the temperature. `main`: the species with respected extrema.
    """

    def cut(x, first, last):
        ends = slice(first, x.shape[axis] + last)
        return x[..., ends] if axis == -1 else x[..., ends, :]

    along, across = (MX, MY) if axis == -1 else (MY, MX)
    rho = fields[RHO]
    flow = np.stack([rho, fields[along] / rho, fields[across] / rho, pressure_of(fields)])
    species = fields[FIRST:TEMPERATURE] / rho
    left, right = (cut(flow, a, b) - cut(flow, a - 1, b - 1) for a, b in ((1, -1), (2, 0)))
    d_flow = minmod(left, right)
    d_species = common_slopes(
        cut(species, 1, -1), *(cut(species, a, b) - cut(species, a - 1, b - 1) for a, b in ((1, -1), (2, 0))), main
    )
    flow, species = cut(flow, 1, -1), cut(species, 1, -1)
    half = 0.5 * dt_over_dx
    rho, u, _, p = flow
    d_rho, d_u, _, d_p = d_flow
    flow = flow - half * u * d_flow
    flow[0] -= half * rho * d_u
    flow[1] -= half * d_p / rho
    flow[3] -= half * GAMMA * p * d_u
    species = species - half * u * d_species
    lower, upper = (cut(flow + 0.5 * d_flow, 0, -1), cut(flow - 0.5 * d_flow, 1, 0))
    flux = np.empty((len(fields) - 1, *lower.shape[1:]))
    flux[[RHO, along, across, ENERGY]] = hllc(lower, upper)
    donor = np.where(flux[RHO] > 0, cut(species + 0.5 * d_species, 0, -1), cut(species - 0.5 * d_species, 1, 0))
    flux[FIRST:] = flux[RHO] * donor
    return flux


def minmod(a: NDArray, b: NDArray) -> NDArray:
    return np.where(a * b > 0, np.where(np.abs(a) < np.abs(b), a, b), 0.0)


def common_slopes(x: NDArray, left: NDArray, right: NDArray, main: Sequence[int]) -> NDArray:
    """Slopes of all species, central ones times one factor: what is conserved, as nuclei and charge, stays so.

    The factor keeps the `main` species between their neighbours, and all species positive.
    """
    central = 0.5 * (left + right)
    size = np.maximum(np.abs(central), np.maximum(x, 1e-290))
    factor = np.where(central == 0, 1.0, x / size).min(axis=0)  # a species that is not there has no say
    for k in main:
        allowed = np.where(left[k] * right[k] > 0, np.minimum(np.abs(left[k]), np.abs(right[k])), 0.0)
        is_flat = central[k] == 0
        factor = np.minimum(factor, np.where(is_flat, 1.0, allowed / np.where(is_flat, 1.0, np.abs(central[k]))))
    return factor * central


def hllc(a: NDArray, b: NDArray) -> NDArray:
    """Fluxes of mass, momenta (along, across) and energy between states (rho, u, v, p) below and above a face."""
    (rho_a, u_a, v_a, p_a), (rho_b, u_b, v_b, p_b) = a, b
    c_a, c_b = np.sqrt(GAMMA * p_a / rho_a), np.sqrt(GAMMA * p_b / rho_b)
    s_a, s_b = np.minimum(u_a - c_a, u_b - c_b), np.maximum(u_a + c_a, u_b + c_b)
    m_a, m_b = rho_a * (s_a - u_a), rho_b * (s_b - u_b)
    s = (p_b - p_a + m_a * u_a - m_b * u_b) / (m_a - m_b)
    is_a = s > 0
    rho, u, v, p, edge, m = (
        np.where(is_a, x, y) for x, y in ((rho_a, rho_b), (u_a, u_b), (v_a, v_b), (p_a, p_b), (s_a, s_b), (m_a, m_b))
    )
    energy = p / (GAMMA - 1) + 0.5 * rho * (u * u + v * v)
    flux = np.stack([rho * u, rho * u * u + p, rho * u * v, (energy + p) * u])
    star = m / (edge - s)
    e_star = star * (energy / rho + (s - u) * (s + p / m))
    jump = edge * (np.stack([star, star * s, star * v, e_star]) - np.stack([rho, rho * u, rho * v, energy]))
    is_star = np.where(is_a, s_a < 0, s_b > 0)
    return np.where(is_star, flux + jump, flux)
