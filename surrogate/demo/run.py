"""A blast wave in clumpy interstellar gas, twice: with the surrogate and with the solver alone. ``surrogate demo``.

Hot gas in a medium of clumps (`surrogate.demo.gas`); the hot spot belongs to the first rank, so that the ranks have
different amounts of chemistry to do. Printed: what the chemistry and the whole run cost both ways, how far the results
are apart, how the ranks shared the work, and what was conserved.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from surrogate.demo.gas import Gas
from surrogate.demo.pictures import draw, draw_frame, forget_frames, make_movie
from surrogate.demo.scene import make_gas
from surrogate.demo.state import YEAR, relative_errors
from surrogate.launch import find_mpiexec, run_ranks
from surrogate.model import load

#: 99 % of the cells of the surrogate run end within this many rtol of the solver run, see `state.relative_errors`
MARGIN = 5.0
#: options that describe the gas, see `make_gas`
GAS = ("box", "density", "pressure", "temperature", "spot", "flow", "seed")
#: a film has about so many frames, ten per second
N_FRAMES = 50


class Run:
    """One run with its chemistry, and what it has cost so far (this rank)."""

    def __init__(self, name, options, comm, frames=None):
        self.name, self.options, self.comm = name, options, comm
        self.frames = frames  # directory for the frames of a film, or None
        self.path = Path(options.out) / f"{name}.h5"
        is_harvested = options.harvest is not None and name == _names_of(options)[0]
        self.stepper = load(options.model).stepper(
            rtol=options.rtol,
            net=name == "surrogate",
            comm=comm,
            threads=options.threads,
            balance=options.balance,
            **({"harvest": options.share, "harvest_file": options.harvest} if is_harvested else {}),
        )
        go_on = options.restart and self.path.exists()
        self.gas = self._go_on(comm) if go_on else self._start(comm)
        self.start = self.gas.budget()
        self.first = self.gas.n_steps
        self.reports, self.cost = [], np.zeros((self.gas.rows.stop - self.gas.rows.start, options.side))

    def _go_on(self, comm):
        gas, species = Gas.load(self.path, comm), _species_of(self.stepper.model)
        if gas.n != self.options.side or list(gas.species) != species:
            raise ValueError(
                f"{self.path} has {gas.n} cells along a side and the species {' '.join(gas.species)}: "
                f"give --side {gas.n} and a --model of them"
            )
        if gas.n_steps >= self.options.steps:
            raise ValueError(f"{self.path} is of step {gas.n_steps}: give more --steps than that")
        return gas

    def _start(self, comm):
        model = load(self.options.model)
        solver, species = model.stepper(rtol=1e-4, net=False), _species_of(model)
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


def _names_of(options):
    """The runs that are asked for."""
    return ("surrogate", "solver") if options.chemistry == "both" else (options.chemistry,)


def _species_of(model):
    return [v.name for v in model.variables if v.name != "T"]


def print_results(runs: Sequence[Run], options: argparse.Namespace, n_ranks: int) -> dict | None:
    """The table, the errors, the budgets; collective. Returns the errors on the first rank."""
    is_first = runs[0].gas.comm.rank == 0
    rows = {run.name: run.summary() for run in runs}
    budgets = {run.name: run.budget_errors() for run in runs}
    fields = [run.gas.gather() for run in runs]
    if not is_first:
        return None
    gas, n_steps = runs[0].gas, len(runs[0].reports)
    print(
        f"\n{options.side} x {options.side} cells, {n_steps} steps to {gas.time / YEAR / 1e3:.0f} kyr, {n_ranks} rank"
        f"{'s' * (n_ranks > 1)} x {options.threads} thread, rtol {options.rtol:g}, model {options.model}"
    )
    _print_costs(rows, options.side**2 * n_steps / n_ranks, options.threads)
    errors = relative_errors(*fields, gas.species) if len(rows) == 2 else None
    if errors:
        _print_errors(errors, options.rtol)
    for name, (energy, hydrogen, helium) in budgets.items():
        print(f"{name}: budget of energy closed to {energy:.1e}, of H nuclei to {hydrogen:.1e}, of He to {helium:.1e}")
    counts = rows[runs[0].name]["counts"]
    print(f"cells by status, {runs[0].name} run: " + ", ".join(f"{k} {n}" for k, n in counts.items() if n))
    picture = Path(options.out) / "demo.png"
    draw(fields[0], fields[-1], gas.species, rows[runs[-1].name]["cost"], n_ranks, picture)
    print(f"picture: {picture}")
    if options.harvest:
        harvested = sum(report.harvest.cells for report in runs[0].reports)
        print(f"harvest: {harvested} cells in {options.harvest} (one file per rank, with several)")
    if runs[0].frames:
        print(f"film: {make_movie(runs[0].frames, Path(options.out) / 'demo.mp4')}")
    return errors


def _print_costs(rows, cell_steps, n_threads):
    """One line per run, and how much cheaper the surrogate is."""
    print(
        f"{'':<10}{'chemistry':>10}{'hydro':>8}{'chemistry':>14}{'attempts':>10}{'net':>8}{'imbalance':>15}{'moved':>9}"
    )
    print(f"{'':<10}{'s':>10}{'s':>8}{'us/cell, core':>14}{'per cell':>10}{'':>8}{'before  after':>15}{'kB/step':>9}")
    for name, r in rows.items():
        print(
            f"{name:<10}{r['chemistry']:>10.2f}{r['hydro']:>8.2f}"
            f"{1e6 * r['chemistry'] / cell_steps / n_threads:>14.2f}{r['attempts']:>10.2f}"
            f"{100 * r['accepted']:>6.1f} %{r['before']:>8.2f}{r['after']:>7.2f}{r['moved'] / 1e3:>9.1f}"
        )
    if len(rows) == 2:
        a, b = rows.values()
        whole = (b["chemistry"] + b["hydro"]) / (a["chemistry"] + a["hydro"])
        print(f"speed-up of the chemistry {b['chemistry'] / a['chemistry']:.2f}, of the whole step {whole:.2f}")


def _print_errors(errors, rtol):
    print(f"error of the surrogate run against the solver run (stated: 99 % below {MARGIN:g} rtol):")
    for name, x in errors.items():
        q = np.quantile(x, [0.5, 0.9, 0.99])
        print(
            f"  {name:<8} 50 % {q[0]:.1e}   90 % {q[1]:.1e}   99 % {q[2]:.1e}   largest {x.max():.1e}"
            f"   {'kept' if q[2] <= MARGIN * rtol else 'NOT KEPT'}"
        )


def make_parser() -> argparse.ArgumentParser:
    """Options of the demo."""
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
    parser.add_argument("--harvest", metavar="FILE", help="keep cells of the first run (.h5), for `surrogate adapt`")
    parser.add_argument("--share", type=float, default=1.0, help="of the cells that a net is for (default 1)")
    parser.add_argument("--movie", action="store_true", help="a film of 50 frames, demo.mp4 (needs ffmpeg)")
    parser.add_argument("--restart", action="store_true", help="go on from the snapshots in the directory")
    parser.add_argument("--out", default="demo", help="directory for snapshots and pictures (default demo)")
    parser.add_argument("--quiet", dest="progress", action="store_false", help="no progress bar")
    parser.add_argument("--mpi", action="store_true", help=argparse.SUPPRESS)  # started by mpiexec
    return parser


def _check(options):
    for name in ("side", "steps", "every", "ranks", "threads"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} is {getattr(options, name)}: give 1 or more")
    for name in ("box", "density", "pressure", "temperature", "spot"):
        if not 0 < getattr(options, name) < np.inf:
            raise ValueError(f"--{name} is {getattr(options, name):g}: give a positive number")
    if not np.isfinite(options.flow):
        raise ValueError(f"--flow is {options.flow}: give a speed")
    if options.seed < 0:
        raise ValueError(f"--seed is {options.seed}: give 0 or more")
    if options.movie and not shutil.which("ffmpeg"):
        raise ValueError("--movie needs ffmpeg, which is not installed (Debian, Ubuntu: apt-get install ffmpeg)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = make_parser().parse_args(arguments)
    _check(options)
    if options.ranks > 1 and not options.mpi:
        if find_mpiexec():
            return run_ranks(options.ranks, ["-m", "surrogate", "demo", *arguments, "--mpi"]).returncode
        print("MPI is not installed (pip install 'stiff-surrogate[mpi]'): on one rank")
    comm = None
    if options.mpi:
        from surrogate import mpi

        comm = mpi.world()
    Path(options.out).mkdir(parents=True, exist_ok=True)
    names = _names_of(options)
    start = time.perf_counter()
    frames = Path(options.out) / "frames" if options.movie else None
    runs = [Run(name, options, comm, frames if name == names[0] else None) for name in names]
    for run in runs:
        run.advance()
        if run.stepper.harvest:
            run.stepper.harvest.write()
    print_results(runs, options, comm.size if comm else 1)
    if comm is None or comm.rank == 0:
        print(f"all in all {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
