"""Two-dimensional gas dynamics on any number of ranks, with the chemistry by a `Stepper`: the host code of the demo.

Euler equations in cgs units, periodic in x and y, square cells. One time step: sweeps in x and y (MUSCL-Hancock with
the HLLC solver, in alternating order, see `surrogate.demo.riemann`), then the chemistry of every cell over the same
time. Ranks own slabs of rows and exchange two rows with each neighbour before a sweep in y. Only +, -, *, / and square
roots touch the cells, so that results are the same, bit by bit, on any number of ranks.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from surrogate.demo.riemann import fluxes
from surrogate.demo.state import (
    ENERGY,
    FIRST,
    FLOOR,
    GAMMA,
    MASS_H,
    MASS_HE,
    MX,
    MY,
    RHO,
    SPECIES,
    TEMPERATURE,
    kinetic_energy,
    nuclei,
    pressure_of,
    temperature_of,
    thermal_energy,
)

MAIN = ("H", "H+", "H2")  # whose extrema the limiter respects
GHOSTS = 2


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

    def __init__(self, n: int, size: float, comm=None, species: Sequence[str] = SPECIES):
        self.n, self.size, self.comm, self.species = n, size, comm or Alone(), tuple(species)
        self.dx = size / n
        rows = np.array_split(np.arange(n), self.comm.size)[self.comm.rank]
        if len(rows) < GHOSTS:
            raise ValueError(f"{n} rows on {self.comm.size} ranks: give every rank {GHOSTS} rows or more")
        self.rows = slice(int(rows[0]), int(rows[-1]) + 1)
        self.fields = np.zeros((FIRST + len(self.species) + 1, len(rows) + 2 * GHOSTS, n))
        self.time, self.n_steps, self.sums = 0.0, 0, Sums()

    @property
    def own(self) -> NDArray[np.float64]:
        """The fields without ghost rows: a view."""
        return self.fields[:, GHOSTS:-GHOSTS]

    def set_gas(self, densities: Mapping[str, ArrayLike], temperature: ArrayLike, velocity=(0.0, 0.0)) -> None:
        """Fill the own rows: number densities by name [cm^-3], temperature [K], velocity [cm/s]."""
        own = self.own
        for k, name in enumerate(self.species):
            own[FIRST + k] = densities[name]
        hydrogen, helium = nuclei(own, self.species)
        own[RHO] = MASS_H * hydrogen + MASS_HE * helium
        own[MX], own[MY] = own[RHO] * velocity[0], own[RHO] * velocity[1]
        own[TEMPERATURE] = temperature
        own[ENERGY] = thermal_energy(own) + kinetic_energy(own)

    def step(self, chemistry: Callable, dt_max: float = np.inf, courant: float = 0.4) -> tuple:
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

    def budget(self) -> NDArray[np.float64]:
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

    def gather(self) -> NDArray[np.float64] | None:
        """The fields of all ranks on rank 0, shape (n_fields, n, n); None elsewhere."""
        parts = self.comm.gather(self.own.copy()) if self.comm.size > 1 else [self.own.copy()]
        return np.concatenate(parts, axis=1) if parts else None

    def save(self, path: str | os.PathLike, **attributes) -> None:
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
    def load(cls, path: str | os.PathLike, comm=None) -> "Gas":
        """Read a snapshot, each rank its rows."""
        import h5py

        try:
            with h5py.File(path) as file:
                species = file["fields"].attrs["rows"][FIRST:TEMPERATURE]
                gas = cls(file["fields"].shape[1], float(file.attrs["size"]), comm, species)
                gas.own[...] = file["fields"][:, gas.rows]
                gas.time, gas.n_steps = float(file.attrs["time"]), int(file.attrs["n_steps"])
                share = file.attrs["sums"] / gas.comm.size
        except (OSError, KeyError) as error:
            raise ValueError(f"{path} cannot be read, or is no snapshot ({error})") from error
        gas.sums = Sums(*(float(x) for x in share))
        return gas
