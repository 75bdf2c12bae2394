"""A blast wave in clumpy interstellar gas, twice: with the surrogate and with the solver alone. ``surrogate demo``.

Hot gas in a medium of clumps (`surrogate.hydro`); the hot spot belongs to the first rank, so that the ranks have
different amounts of chemistry to do. Printed: what the chemistry and the whole run cost both ways, how far the results
are apart, how the ranks shared the work, and what was conserved.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from surrogate.model import load

YEAR = 3.1536e7  # s
PARSEC = 3.0857e18  # cm
#: 99 % of the cells of the surrogate run end within this many rtol of the solver run, see `relative_errors`
MARGIN = 5.0
#: options that describe the gas, see `make_gas`
GAS = ("box", "density", "pressure", "temperature", "spot", "flow", "seed")
#: frames of a film: about so many, ten per second; the names of their files, the number of the step
N_FRAMES, FRAMES = 50, "??????.png"
X_HELIUM = 0.107176  # He nuclei per H nucleus: mass fractions 0.3 and 0.7, for which the model was trained


def make_patch(n_side, seed=7):
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
    side, *, box, density, pressure, temperature, spot, seed, advance, age=1e6, flow=0.0, comm=None, species=None
):
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
        Formulas; those of `surrogate.hydro` if not given.

    Returns
    -------
    surrogate.hydro.Gas
    """
    from surrogate.hydro import SPECIES, Gas

    gas = Gas(side, box * PARSEC, comm, species or SPECIES)
    thinner = density / 5.0  # than the patch
    patch = {name: thinner * values[gas.rows] for name, values in make_patch(side, seed).items()}
    hydrogen = nuclei_and_charge(patch)[0]
    medium = in_species(patch, gas.species) | {"T": np.clip(pressure / hydrogen, 50.0, 8000.0)}
    advance(medium, age * YEAR)
    x = (np.arange(side) + 0.5) / side
    distance = np.hypot(x[None, :] - 0.5, x[gas.rows, None] - 0.25)
    is_hot = distance < spot
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
    for name, fraction in in_species(hot, gas.species).items():
        medium[name][is_hot] = (fraction * hydrogen)[is_hot]
    medium["T"][is_hot] = temperature
    gas.set_gas(medium, medium["T"], (-1e5 * flow * np.sin(2 * np.pi * x), 0.0))
    return gas


def in_species(densities, species):
    """Densities by name in another set of species: what it lacks falls apart into atoms, what it has more is zero."""
    from surrogate.hydro import count

    new = {name: densities.get(name, 0.0 * densities["e-"]) for name in species}
    for name in sorted(densities.keys() - {*species, "T"}):
        for atom in ("H", "He"):
            new[atom] = new[atom] + count(atom, name) * densities[name]
        new["e-"] = new["e-"] - (name.count("+") - name.count("-")) * densities[name]
    return new


def nuclei_and_charge(patch):
    """H nuclei, He nuclei and charge per cell [cm^-3]."""
    hydrogen = patch["H"] + patch["H+"] + patch["H-"] + 2 * (patch["H2"] + patch["H2+"])
    helium = patch["He"] + patch["He+"] + patch["He++"]
    charge = patch["H+"] + patch["H2+"] + patch["He+"] + 2 * patch["He++"] - patch["e-"] - patch["H-"]
    return hydrogen, helium, charge


class Run:
    """One run with its chemistry, and what it has cost so far (this rank)."""

    def __init__(self, name, options, comm, frames=None):
        from surrogate.hydro import Gas

        self.name, self.options, self.comm = name, options, comm
        self.frames = frames  # directory for the frames of a film, or None
        self.path = Path(options.out) / f"{name}.h5"
        self.stepper = load(options.model).stepper(
            rtol=options.rtol, net=name == "surrogate", comm=comm, threads=options.threads, balance=options.balance
        )
        go_on = options.restart and self.path.exists()
        self.gas = Gas.load(self.path, comm) if go_on else self._start(comm)
        self.start = self.gas.budget()
        self.first = self.gas.n_steps
        self.reports, self.cost = [], np.zeros((self.gas.rows.stop - self.gas.rows.start, options.side))

    def _start(self, comm):
        model = load(self.options.model)
        solver, species = model.stepper(rtol=1e-4, net=False), [v.name for v in model.variables if v.name != "T"]
        if not {"e-", "H", "H+", "He"} <= set(species):
            raise ValueError(f"{model.name} has {', '.join(species)}: the demo needs a model of interstellar gas")
        given = {name: getattr(self.options, name) for name in GAS}
        return make_gas(self.options.side, **given, advance=solver.step, comm=comm, species=species)

    def advance(self):
        """All steps, with a bar on the first rank, snapshots and the frames of a film."""
        steps = range(self.first, self.options.steps)
        is_first = self.gas.comm.rank == 0
        if is_first and self.options.progress:
            from tqdm import tqdm

            steps = tqdm(steps, desc=f"{self.name:>9}", unit="step")
        if self.frames:
            forget_frames(self.frames, self.first)
            draw_frame(self.gas, self.frames)
            self.gas.comm.allgather(None)  # who waits for the first rank must not book it as hydro, here and below
        for i in steps:
            report, _ = self.gas.step(self.stepper.step)
            self.reports.append(report)
            self.cost += report.cost.reshape(self.cost.shape)
            is_last = i + 1 == self.options.steps
            is_saved = (i + 1) % self.options.every == 0 or is_last
            is_drawn = self.frames and ((i + 1) % max(self.options.steps // N_FRAMES, 1) == 0 or is_last)
            if is_saved:
                self.gas.save(self.path)
            if is_drawn:
                draw_frame(self.gas, self.frames)
            if is_saved or is_drawn:
                self.gas.comm.allgather(None)

    def summary(self):
        """Numbers for the table; collective."""
        everybody = self.gas.comm.allgather((self.gas.sums.chemistry_seconds, self.gas.sums.hydro_seconds))
        chemistry, hydro = np.max(everybody, axis=0)
        n = max(sum(r.n_cells for r in self.reports), 1)
        counts = {name: sum(r.counts[name] for r in self.reports) for name in self.reports[0].counts}
        attempts = [r.solver_steps for r in self.reports]
        share = [r.balance.measured if r.balance else (1.0, 1.0) for r in self.reports]
        before, after = np.average(share, axis=0, weights=attempts) if sum(attempts) else (1.0, 1.0)
        moved = sum(r.balance.bytes for r in self.reports if r.balance) / len(self.reports)
        cost = self.gas.comm.gather(self.cost) if self.comm else [self.cost]
        return {
            "chemistry": chemistry,
            "hydro": hydro,
            "attempts": sum(attempts) / n,
            "before": before,
            "after": after,
            "moved": moved,
            "accepted": counts["net"] / n,
            "counts": counts,
            "cost": None if cost is None else np.concatenate(cost) / len(self.reports),
        }

    def budget_errors(self):
        """Relative errors of energy (with what chemistry took), H and He nuclei since the start; collective."""
        now = self.gas.budget()
        energy = now[0] + now[1] - now[2] - (self.start[0] + self.start[1] - self.start[2])
        return abs(energy) / self.start[0], *np.abs(now[3:] / self.start[3:] - 1)


def per_nucleus(fields, species, name):
    """Particles of a species per H nucleus."""
    from surrogate.hydro import FIRST, nuclei

    return fields[FIRST + species.index(name)] / nuclei(fields, species)[0]


def relative_errors(fields, reference, species):
    """|x/x_ref - 1| of T, H2 (H+ where there is none) and electrons per H nucleus, where there are more than 1e-10."""
    from surrogate.hydro import TEMPERATURE

    pairs = {"T": (fields[TEMPERATURE], reference[TEMPERATURE])}
    for name in ("H2" if "H2" in species else "H+", "e-"):
        pairs[f"x({name})"] = per_nucleus(fields, species, name), per_nucleus(reference, species, name)
    return {name: np.abs(x[y > 1e-10] / y[y > 1e-10] - 1) for name, (x, y) in pairs.items()}


# ---- pictures -----------------------------------------------------------------------------------------------------


def save_figure(figure, path):
    """Write to a temporary name and rename."""
    import matplotlib.pyplot as plt

    temporary = Path(path).with_suffix(".tmp.png")
    figure.savefig(temporary, dpi=110)
    plt.close(figure)
    os.replace(temporary, path)


def show(axis, values, title, low, high, cmap):
    from matplotlib.colors import LogNorm

    image = axis.imshow(np.clip(values, low, high), norm=LogNorm(low, high), cmap=cmap, origin="lower")
    axis.set(title=title, xticks=[], yticks=[])
    axis.figure.colorbar(image, ax=axis, shrink=0.85)


def draw_maps(axes, fields, species):
    """Density, temperature and molecular fraction, of atomic gas the ionised one."""
    from surrogate.hydro import TEMPERATURE, nuclei

    show(axes[0], nuclei(fields, species)[0], "$n_\\mathrm{H}$ [cm$^{-3}$]", 1e-2, 1e3, "viridis")
    show(axes[1], fields[TEMPERATURE], "T [K]", 20, 1e6, "inferno")
    if "H2" in species:
        show(axes[2], 2 * per_nucleus(fields, species, "H2"), "2 n(H$_2$) / n$_\\mathrm{H}$", 1e-8, 1, "cividis")
    else:
        show(axes[2], per_nucleus(fields, species, "H+"), "n(H$^+$) / n$_\\mathrm{H}$", 1e-5, 1, "cividis")


def make_axes(rows):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(rows, 3, figsize=(14, 4.2 * rows), layout="constrained", squeeze=False)


def forget_frames(directory, first):
    """Remove the frames of an earlier run from step `first` on."""
    for frame in directory.glob(FRAMES):
        if frame.stem.isdigit() and int(frame.stem) >= first:
            frame.unlink(missing_ok=True)  # another rank may have been quicker


def draw_frame(gas, directory):
    """One picture of a film, named after the step; collective."""
    fields = gas.gather()
    if fields is None:
        return
    directory.mkdir(parents=True, exist_ok=True)
    figure, axes = make_axes(1)
    draw_maps(axes[0], fields, gas.species)
    figure.suptitle(f"{gas.time / YEAR / 1e3:.0f} kyr")
    save_figure(figure, directory / f"{gas.n_steps:06d}.png")


def draw(fields, reference, species, costs, n_ranks, path):
    """The surrogate's result, how far it is from the solver's, and what the cells cost."""
    from surrogate.hydro import TEMPERATURE

    figure, axes = make_axes(2)
    draw_maps(axes[0], fields, species)
    error = np.abs(fields[TEMPERATURE] / reference[TEMPERATURE] - 1)
    show(axes[1, 0], error, "|T / T of the solver run - 1|", 1e-5, 1, "magma")
    show(axes[1, 1], costs + 0.1, "solver steps per cell and step", 0.1, 100, "plasma")
    for row in len(fields[0]) * np.arange(1, n_ranks) / n_ranks - 0.5 if n_ranks > 1 else ():
        axes[1, 1].axhline(row, color="white", linestyle="--")
    bins = np.geomspace(1e-7, 10, 80)
    for name, errors in relative_errors(fields, reference, species).items():
        axes[1, 2].hist(np.clip(errors, 1e-7, 10), bins, histtype="step", label=name)
    axes[1, 2].set(xscale="log", yscale="log", xlabel="error against the solver run", ylabel="cells")
    axes[1, 2].legend()
    save_figure(figure, path)


def make_movie(frames, path):
    """Join the frames, in a form that browsers and slides play; `path` ends in .mp4."""
    temporary = path.with_suffix(".tmp.mp4").absolute()
    subprocess.run(
        [
            "ffmpeg",
            "-nostdin",
            "-y",
            "-loglevel",
            "error",
            "-framerate",
            "10",
            "-pattern_type",
            "glob",
            "-i",
            FRAMES,
            "-vf",
            "pad=ceil(iw/2)*2:ceil(ih/2)*2",
            "-pix_fmt",
            "yuv420p",
            "-movflags",
            "+faststart",
            str(temporary),
        ],
        check=True,
        cwd=frames,
    )
    os.replace(temporary, path)
    return path


# ---- the demo -----------------------------------------------------------------------------------------------------


def print_results(runs, options, n_ranks):
    """The table, the errors, the budgets; collective. Returns the errors on the first rank."""
    is_first = runs[0].gas.comm.rank == 0
    rows = {run.name: run.summary() for run in runs}
    budgets = {run.name: run.budget_errors() for run in runs}
    fields = [run.gas.gather() for run in runs]
    if not is_first:
        return None
    gas, n_steps = runs[0].gas, len(runs[0].reports)
    cell_steps = options.side**2 * n_steps / n_ranks
    print(
        f"\n{options.side} x {options.side} cells, {n_steps} steps to {gas.time / YEAR / 1e3:.0f} kyr, {n_ranks} rank"
        f"{'s' * (n_ranks > 1)} x {options.threads} thread, rtol {options.rtol:g}, model {options.model}"
    )
    print(
        f"{'':<10}{'chemistry':>10}{'hydro':>8}{'chemistry':>14}{'attempts':>10}{'net':>8}{'imbalance':>15}{'moved':>9}"
    )
    print(f"{'':<10}{'s':>10}{'s':>8}{'us/cell, core':>14}{'per cell':>10}{'':>8}{'before  after':>15}{'kB/step':>9}")
    for name, r in rows.items():
        print(
            f"{name:<10}{r['chemistry']:>10.2f}{r['hydro']:>8.2f}"
            f"{1e6 * r['chemistry'] / cell_steps / options.threads:>14.2f}{r['attempts']:>10.2f}"
            f"{100 * r['accepted']:>6.1f} %{r['before']:>8.2f}{r['after']:>7.2f}{r['moved'] / 1e3:>9.1f}"
        )
    if len(rows) == 2:
        a, b = rows.values()
        whole = (b["chemistry"] + b["hydro"]) / (a["chemistry"] + a["hydro"])
        print(f"speed-up of the chemistry {b['chemistry'] / a['chemistry']:.2f}, of the whole step {whole:.2f}")
        errors = relative_errors(*fields, gas.species)
        print(f"error of the surrogate run against the solver run (stated: 99 % below {MARGIN:g} rtol):")
        for name, x in errors.items():
            q = np.quantile(x, [0.5, 0.9, 0.99])
            print(
                f"  {name:<8} 50 % {q[0]:.1e}   90 % {q[1]:.1e}   99 % {q[2]:.1e}   largest {x.max():.1e}"
                f"   {'kept' if q[2] <= MARGIN * options.rtol else 'NOT KEPT'}"
            )
    for name, (energy, hydrogen, helium) in budgets.items():
        print(f"{name}: budget of energy closed to {energy:.1e}, of H nuclei to {hydrogen:.1e}, of He to {helium:.1e}")
    counts = rows[runs[0].name]["counts"]
    print(f"cells by status, {runs[0].name} run: " + ", ".join(f"{k} {n}" for k, n in counts.items() if n))
    picture = Path(options.out) / "demo.png"
    draw(fields[0], fields[-1], gas.species, rows[runs[-1].name]["cost"], n_ranks, picture)
    print(f"picture: {picture}")
    if runs[0].frames:
        print(f"film: {make_movie(runs[0].frames, Path(options.out) / 'demo.mp4')}")
    return None if len(rows) < 2 else errors


def make_parser():
    parser = argparse.ArgumentParser(
        prog="surrogate demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=96, help="cells along one side (default 96)")
    parser.add_argument("--steps", type=int, default=200, help="time steps (default 200)")
    parser.add_argument("--rtol", type=float, default=0.03, help="relative error per cell and step (default 0.03)")
    parser.add_argument("--ranks", type=int, default=1, help="start so many MPI ranks (default 1: no MPI)")
    parser.add_argument("--threads", type=int, default=1, help="threads per rank (default 1)")
    parser.add_argument("--model", default="ism-molecular", help="of interstellar gas (default ism-molecular)")
    parser.add_argument("--chemistry", choices=("both", "surrogate", "solver"), default="both")
    parser.add_argument("--balance", choices=("world", "node", "off"), default="world", help="who shares the work")
    parser.add_argument("--box", type=float, default=50.0, help="side of the box [pc] (default 50)")
    parser.add_argument("--density", type=float, default=1.0, help="median n_H of the medium [cm^-3] (default 1)")
    parser.add_argument("--pressure", type=float, default=4000.0, help="of the medium, over k [K/cm^3] (default 4000)")
    parser.add_argument("--temperature", type=float, default=8e5, help="of the hot spot [K] (default 8e5)")
    parser.add_argument("--spot", type=float, default=0.12, help="radius of the hot spot over the box (default 0.12)")
    parser.add_argument("--flow", type=float, default=0.0, help="speed of two colliding streams [km/s] (default 0)")
    parser.add_argument("--seed", type=int, default=7, help="of the clumps (default 7)")
    parser.add_argument("--every", type=int, default=50, help="steps between snapshots (default 50)")
    parser.add_argument("--movie", action="store_true", help="a film of 50 frames, demo.mp4 (needs ffmpeg)")
    parser.add_argument("--restart", action="store_true", help="go on from the snapshots in the directory")
    parser.add_argument("--out", default="demo", help="directory for snapshots and pictures (default demo)")
    parser.add_argument("--quiet", dest="progress", action="store_false", help="no progress bar")
    parser.add_argument("--mpi", action="store_true", help=argparse.SUPPRESS)  # started by mpiexec
    return parser


def main(argv=None):
    """Run the demo; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = make_parser().parse_args(arguments)
    if options.movie and not shutil.which("ffmpeg"):
        raise ValueError("--movie needs ffmpeg, which is not installed (Debian, Ubuntu: apt-get install ffmpeg)")
    if options.ranks > 1 and not options.mpi:
        from surrogate.launch import find_mpiexec, run_ranks

        if find_mpiexec():
            return run_ranks(options.ranks, ["-m", "surrogate", "demo", *arguments, "--mpi"]).returncode
        print("MPI is not installed (pip install 'stiff-surrogate[mpi]'): on one rank")
    comm = None
    if options.mpi:
        from surrogate import mpi

        comm = mpi.world()
    Path(options.out).mkdir(parents=True, exist_ok=True)
    names = ("surrogate", "solver") if options.chemistry == "both" else (options.chemistry,)
    start = time.perf_counter()
    frames = Path(options.out) / "frames" if options.movie else None
    runs = [Run(name, options, comm, frames if name == names[0] else None) for name in names]
    for run in runs:
        run.advance()
    print_results(runs, options, comm.size if comm else 1)
    if comm is None or comm.rank == 0:
        print(f"all in all {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
