"""What does Grackle take for a comparable problem of nine species?

    python -m benchmarks.grackle_cost           # needs the wheel gracklepy

NOT the same problem, so there is no common error and no Pareto curve: Grackle's own nine-species primordial network and
cooling (primordial_chemistry=2, no metals, dust, radiation or cosmic rays) beside our ism-molecular with the like
switched off. The same evolved cells, `relaxed` under the reduced physics, and one time step for all, since Grackle's
calls take one. Its solver is first order with substeps of at most 10 % change in electrons, H or energy, and 10,000 of
them: a cell that needs more is left where it is (`given up`). It has no tolerance. Its error is therefore that against
its own answer with the step cut into 64 calls, a lower bound.
"""

import contextlib
import os
import sys
import tempfile

import numpy as np
from surrogate.training import get_system
from surrogate.training.codegen.library import export_model
from surrogate.training.populations import relaxed
from surrogate.training.systems.network import MYR, YEAR

import surrogate

from .cases import SEED, make_case
from .contenders import measure_engine
from .errors import P99, quantiles, relative_errors
from .options import finish, make_parser, progress, start
from .timing import median_seconds

YEARS = (1e3, 1e4, 1e5)
FIELDS = {
    "e-": "e",
    "H-": "HM",
    "H": "HI",
    "H+": "HII",
    "He": "HeI",
    "He+": "HeII",
    "He++": "HeIII",
    "H2": "H2I",
    "H2+": "H2II",
}
GAMMA = 5 / 3


@contextlib.contextmanager
def captured():
    """What Fortran prints meanwhile, as a list of one text that is there afterwards."""
    text = []
    with tempfile.TemporaryFile() as file:
        kept = [os.dup(1), os.dup(2)]
        sys.stdout.flush()
        try:
            os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
            yield text
        finally:
            os.dup2(kept[0], 1), os.dup2(kept[1], 2)
            file.seek(0)
            text.append(file.read().decode(errors="replace"))


def make_chemistry():
    """Grackle set up for nine species; densities in hydrogen masses per cm^3, times in Myr."""
    os.environ["OMP_NUM_THREADS"] = "1"  # Grackle's OpenMP reads it when it is loaded
    from gracklepy import chemistry_data
    from gracklepy.utilities.physical_constants import cm_per_mpc, mass_hydrogen_cgs

    data = chemistry_data()
    settings = {
        "use_grackle": 1,
        "with_radiative_cooling": 1,
        "primordial_chemistry": 2,
        "metal_cooling": 0,
        "dust_chemistry": 0,
        "UVbackground": 0,
        "Gamma": GAMMA,
        "comoving_coordinates": 0,
        "a_units": 1.0,
        "a_value": 1.0,
        "density_units": mass_hydrogen_cgs,
        "length_units": cm_per_mpc,
        "time_units": MYR,
    }
    for name, value in settings.items():
        setattr(data, name, value)
    data.set_velocity_units()
    if data.initialize() != 1:
        raise SystemExit("Grackle did not initialise")
    return data


def fill(data, system, cells):
    """A container with our cells."""
    from gracklepy import FluidContainer

    fluid, names = FluidContainer(data, len(cells)), system.names
    atoms = {"e": 1, "HM": 1, "HI": 1, "HII": 1, "HeI": 4, "HeII": 4, "HeIII": 4, "H2I": 2, "H2II": 2}
    for name, field in FIELDS.items():
        fluid[f"{field}_density"][:] = cells[:, names.index(name)] * atoms[field]
    fluid["density"][:] = sum(fluid[f"{f}_density"] for f in FIELDS.values() if f != "e")
    fluid["internal_energy"][:] = 1.0
    fluid.calculate_temperature()
    # Grackle's temperature depends on its energy through the H2 part of gamma: a few fixed-point steps
    for _ in range(30):
        fluid["internal_energy"] *= cells[:, names.index("T")] / fluid["temperature"]
        fluid.calculate_temperature()
    return fluid


def read(fluid, system):
    """Cells of a container, in our order."""
    atoms = {"HeI": 4, "HeII": 4, "HeIII": 4, "H2I": 2, "H2II": 2}
    fluid.calculate_temperature()
    columns = [
        fluid["temperature"] if n == "T" else fluid[f"{FIELDS[n]}_density"] / atoms.get(FIELDS[n], 1)
        for n in system.names
    ]
    return np.stack(columns, 1)


def measure_grackle(data, system, cells, dt, repeats):
    """Row of Grackle: us per cell, share of cells given up, the error of the others against its own finer answer."""
    fluid = fill(data, system, cells)
    kept = {name: np.array(fluid[name]) for name in fluid.input_fields}

    def run(parts):
        for name, values in kept.items():
            fluid[name][:] = values
        for _ in range(parts):
            fluid.solve_chemistry(dt / MYR / parts)

    with captured() as text:
        run(1)
    once = read(fluid, system)
    stuck = sum(line.strip(" TF\n") == "" and line.count("T") for line in text[0].splitlines())
    with captured():
        us = 1e6 * median_seconds(lambda: run(1), repeats) / len(cells)
        run(64)
    finer = read(fluid, system)
    return {"us": us, "given_up": stuck / len(cells), "errors": quantiles(relative_errors(once, finer))}, finer


def main(arguments=None):
    """Measure, print, save."""
    options = start(make_parser(__doc__), arguments)
    n, repeats = (64, 1) if options.quick else (1024, 5)
    try:
        data = make_chemistry()
    except ImportError as error:
        raise SystemExit(f"Grackle left out: {error}: pip install gracklepy") from error
    system, rows = get_system("ism-molecular", cosmic_rays=False, metals="none"), []
    off = {"Z": 0.0, "d2g": 0.0, "G0": 0.0, "zeta": 0.0}
    with tempfile.TemporaryDirectory() as directory:
        model = surrogate.load(export_model(system, directory))
        off = {name: value for name, value in off.items() if name in [p.name for p in model.parameters]}
        cells, _ = relaxed(system, n, SEED, lambda q, dt: model.stepper(rtol=1e-6).step(q, dt, params=off))
        for years in progress(YEARS):
            dt = years * YEAR
            row, finer = measure_grackle(data, system, cells, dt, repeats)
            case = make_case(model, f"{years:g} yr", cells, np.full(n, dt), off)
            ours = measure_engine(model, case, "ours", (1e-1, 1e-2), repeats)
            apart = quantiles(relative_errors(finer, case.reference))
            rows.append({"years": years, "grackle": row, "ours": ours, "apart": apart})
            print(
                f"{years:8g} yr   Grackle {row['us']:8.2f} us, {100 * row['given_up']:.1f} % given up, 99 % error "
                f"{row['errors'][P99]:.1e}   "
                + "   ".join(f"ours at {r['rtol']:g} {r['us']:.2f} us, {r['errors'][P99]:.1e}" for r in ours)
                + f"   physics apart: 50 % {apart[0]:.1e}"
            )
    finish("grackle_cost", options, {"cells": n, "results": rows})


if __name__ == "__main__":
    main()
