"""Two-dimensional gas dynamics on any number of ranks, with the chemistry by a `Stepper`: the host code of the demo.

Euler equations in cgs units, periodic in x and y, square cells. One time step: sweeps in x and y (MUSCL-Hancock with
the HLLC solver, in alternating order), then the chemistry of every cell over the same time. Ranks own slabs of rows and
exchange two rows with each neighbour before a sweep in y. Only +, -, *, / and square roots touch the cells, so that
results are the same, bit by bit, on any number of ranks.

References
----------
E. F. Toro, Riemann Solvers and Numerical Methods for Fluid Dynamics, 3rd ed., Springer 2009, 10.4-10.6 (HLLC), 14.4
(MUSCL-Hancock); T. Plewa & E. Mueller 1999, A&A 342, 179 (consistent advection of species: here one limiter for all).
"""

import os
import re
import time
from dataclasses import dataclass

import numpy as np

GAMMA = 5.0 / 3.0
K_BOLTZMANN = 1.380649e-16  # erg/K
MASS_H, MASS_HE = 1.6735328e-24, 6.6464731e-24  # g
SPECIES = ("e-", "H-", "H", "H+", "He", "He+", "He++", "H2", "H2+")
MAIN = ("H", "H+", "H2")  # whose extrema the limiter respects
RHO, MX, MY, ENERGY, FIRST, TEMPERATURE = 0, 1, 2, 3, 4, -1  # rows of the fields; FIRST up to TEMPERATURE: the species
GHOSTS = 2
FLOOR = 10.0  # K, for the pressure within a sweep and after it


class Alone:
    """A communicator of one rank, for runs without MPI."""

    rank, size = 0, 1

    def allgather(self, value):
        return [value]

    def Sendrecv(self, sent, _to, _tag, received, _from, _tag_2):
        received[...] = sent


@dataclass
class Sums:
    """What a run has done, added up over cells and steps (this rank's part)."""

    cooled: float = 0.0  # energy that chemistry took from the gas per unit depth [erg/cm]
    heated: float = 0.0  # energy that the temperature floor added
    hydro_seconds: float = 0.0
    chemistry_seconds: float = 0.0


class Gas:
    """A square of gas, cut into slabs of rows.

    Parameters
    ----------
    n : int
        Cells along a side.
    size : float
        Side [cm].
    comm : mpi4py communicator, optional
    species : sequence of str
        Formulas, electrons ``e-``. Of their nuclei only H and He have weight.

    Attributes
    ----------
    fields : ndarray of shape (FIRST + len(species) + 1, rows + 2 * GHOSTS, n)
        Mass density, momenta, total energy, number densities [cm^-3], temperature of this rank's rows and of two more
        below and above.
    time : float
        [s]
    n_steps : int
    sums : Sums
    """

    def __init__(self, n, size, comm=None, species=SPECIES):
        self.n, self.size, self.comm, self.species = n, size, comm or Alone(), tuple(species)
        self.dx = size / n
        rows = np.array_split(np.arange(n), self.comm.size)[self.comm.rank]
        if len(rows) < GHOSTS:
            raise ValueError(f"{n} rows on {self.comm.size} ranks: give every rank {GHOSTS} rows or more")
        self.rows = slice(int(rows[0]), int(rows[-1]) + 1)
        self.fields = np.zeros((FIRST + len(self.species) + 1, len(rows) + 2 * GHOSTS, n))
        self.time, self.n_steps, self.sums = 0.0, 0, Sums()

    @property
    def own(self):
        """The fields without ghost rows: a view."""
        return self.fields[:, GHOSTS:-GHOSTS]

    def set_gas(self, densities, temperature, velocity=(0.0, 0.0)):
        """Fill the own rows: number densities by name [cm^-3], temperature [K], velocity [cm/s]."""
        own = self.own
        for k, name in enumerate(self.species):
            own[FIRST + k] = densities[name]
        hydrogen, helium = nuclei(own, self.species)
        own[RHO] = MASS_H * hydrogen + MASS_HE * helium
        own[MX], own[MY] = own[RHO] * velocity[0], own[RHO] * velocity[1]
        own[TEMPERATURE] = temperature
        own[ENERGY] = thermal_energy(own) + kinetic_energy(own)

    def step(self, chemistry, dt_max=np.inf, courant=0.4):
        """Take one time step; `chemistry(cells, dt)` advances in place, as `Stepper.step`. Its report and dt."""
        start = time.perf_counter()
        dt = min(courant * min(self.comm.allgather(float(self._crossing_time()))), dt_max)
        for axis in (-1, -2) if self.n_steps % 2 == 0 else (-2, -1):
            self._sweep(axis, dt / self.dx)
        own = self.own
        before = own[ENERGY].sum()
        own[TEMPERATURE] = np.maximum(temperature_of(own), FLOOR)
        own[ENERGY] = thermal_energy(own) + kinetic_energy(own)
        floored = own[ENERGY].sum()
        middle = time.perf_counter()
        cells = dict(zip((*self.species, "T"), own[FIRST:]))
        report = chemistry(cells, dt)
        end = time.perf_counter()
        own[ENERGY] = thermal_energy(own) + kinetic_energy(own)
        self.sums.heated += (floored - before) * self.dx**2
        self.sums.cooled += (floored - own[ENERGY].sum()) * self.dx**2
        self.sums.chemistry_seconds += end - middle
        self.sums.hydro_seconds += middle - start + time.perf_counter() - end
        self.time += dt
        self.n_steps += 1
        return report, dt

    def _crossing_time(self):
        own = self.own
        sound = np.sqrt(GAMMA * pressure_of(own) / own[RHO])
        fastest = np.maximum(np.abs(own[MX]), np.abs(own[MY])) / own[RHO] + sound
        return self.dx / fastest.max()

    def _sweep(self, axis, dt_over_dx):
        """Advance the hydrodynamics along one axis."""
        if axis == -2:
            self._exchange_rows()
            padded = self.fields
        else:
            own = self.own
            padded = np.concatenate([own[..., -GHOSTS:], own, own[..., :GHOSTS]], axis=-1)
        main = [k for k, name in enumerate(self.species) if name in MAIN]
        flux = fluxes(padded, axis, dt_over_dx, main)
        self.own[:TEMPERATURE] -= dt_over_dx * np.diff(flux, axis=axis)

    def _exchange_rows(self):
        up, down = (self.comm.rank + 1) % self.comm.size, (self.comm.rank - 1) % self.comm.size
        f, received = self.fields, np.empty((len(self.fields), GHOSTS, self.n))
        self.comm.Sendrecv(f[:, -2 * GHOSTS : -GHOSTS].copy(), up, 0, received, down, 0)
        f[:, :GHOSTS] = received
        self.comm.Sendrecv(f[:, GHOSTS : 2 * GHOSTS].copy(), down, 1, received, up, 1)
        f[:, -GHOSTS:] = received

    def budget(self):
        """Totals over all ranks: energy [erg/cm], energy given off and added by the floor, H and He nuclei [1/cm]."""
        hydrogen, helium = nuclei(self.own, self.species)
        area = self.dx**2
        mine = (
            self.own[ENERGY].sum() * area,
            self.sums.cooled,
            self.sums.heated,
            hydrogen.sum() * area,
            helium.sum() * area,
        )
        return np.sum(self.comm.allgather(mine), axis=0)

    # ---- files -----------------------------------------------------------------------------------------------------

    def gather(self):
        """The fields of all ranks on rank 0, shape (n_fields, n, n); None elsewhere."""
        parts = self.comm.gather(self.own.copy()) if self.comm.size > 1 else [self.own.copy()]
        return np.concatenate(parts, axis=1) if parts else None

    def save(self, path, **attributes):
        """Write a snapshot (HDF5), from which `load` goes on; collective."""
        import h5py

        fields, sums = self.gather(), np.sum(self.comm.allgather(list(vars(self.sums).values())), axis=0)
        if fields is None:
            return
        with h5py.File(f"{path}.tmp", "w") as file:
            file.create_dataset("fields", data=fields, compression="gzip", shuffle=True)
            file["fields"].attrs["rows"] = ["rho", "mx", "my", "energy", *self.species, "T"]
            file.attrs.update(time=self.time, n_steps=self.n_steps, size=self.size, sums=sums, **attributes)
        os.replace(f"{path}.tmp", path)

    @classmethod
    def load(cls, path, comm=None):
        """Read a snapshot, each rank its rows."""
        import h5py

        with h5py.File(path) as file:
            species = file["fields"].attrs["rows"][FIRST:TEMPERATURE]
            gas = cls(file["fields"].shape[1], float(file.attrs["size"]), comm, species)
            gas.own[...] = file["fields"][:, gas.rows]
            gas.time, gas.n_steps = float(file.attrs["time"]), int(file.attrs["n_steps"])
            share = file.attrs["sums"] / gas.comm.size
            gas.sums = Sums(*(float(x) for x in share))
        return gas


# ---- one cell -----------------------------------------------------------------------------------------------------


def nuclei(fields, species=SPECIES):
    """Hydrogen and helium nuclei per volume."""
    densities = dict(zip(species, fields[FIRST:]))

    def total(element):
        by_count = {}
        for name in sorted(densities):
            by_count.setdefault(count(element, name), []).append(densities[name])
        return sum(n * sum(parts) for n, parts in by_count.items())

    return total("H"), total("He")


def count(element, species):
    """Nuclei of an element in a species, by its formula."""
    return sum(int(n or 1) for symbol, n in re.findall(r"([A-Z][a-z]?)(\d*)", species) if symbol == element)


def kinetic_energy(fields):
    return 0.5 * (fields[MX] ** 2 + fields[MY] ** 2) / fields[RHO]


def n_total(fields):
    return fields[FIRST:TEMPERATURE].sum(axis=0)


def thermal_energy(fields):
    return K_BOLTZMANN / (GAMMA - 1) * n_total(fields) * fields[TEMPERATURE]


def pressure_of(fields):
    """Pressure, not below that of `FLOOR`."""
    thermal = (GAMMA - 1) * (fields[ENERGY] - kinetic_energy(fields))
    return np.maximum(thermal, K_BOLTZMANN * FLOOR * n_total(fields))


def temperature_of(fields):
    return (GAMMA - 1) * (fields[ENERGY] - kinetic_energy(fields)) / (K_BOLTZMANN * n_total(fields))


# ---- fluxes -------------------------------------------------------------------------------------------------------


def fluxes(fields, axis, dt_over_dx, main):
    """Fluxes through the faces of the inner cells of `fields`, which has two ghosts on either side along `axis`.

    One row per conserved quantity: all rows but the temperature. `main`: which species are those of `MAIN`.
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


def minmod(a, b):
    return np.where(a * b > 0, np.where(np.abs(a) < np.abs(b), a, b), 0.0)


def common_slopes(x, left, right, main):
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


def hllc(a, b):
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
