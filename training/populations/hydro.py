"""Population `hydro`."""

import numpy as np

from surrogate.demo.scene import make_gas

from ..systems import System
from ..systems.network import MYR, YEAR
from .composition import is_primordial
from .population import Advance, Population
from .sampling import spread

#: shortest and longest time step [s]
DT_RANGE = (100 * YEAR, 0.3 * MYR)
#: the runs of `hydro`, log-uniform from run to run: what `surrogate.demo.scene.make_gas` takes, with its units, and the
#: Courant number, as the time step of a host follows from the fastest cell anywhere, or from something else
RUNS = {
    "box": (10, 1000),
    "density": (0.03, 30),
    "pressure": (1e3, 1e5),
    "temperature": (1e5, 1e6),
    "spot": (0.05, 0.2),
    "age": (1e4, 1e7),
    "flow": (0.1, 100),
    "courant": (0.1, 0.4),
}


def hydro(
    system: System, n: int, seed: int, advance: Advance, n_side: int = 24, n_steps: int = 48, every: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Cells of runs of the demo's gas dynamics, as they are handed to the chemistry, with the time steps of the runs.

    A blast wave, or colliding streams, in clumpy gas (`surrogate.demo.scene.make_gas`), where advection takes traces
    away from their quasi-steady values, shocks heat, and hot ionised gas mixes with cold. The runs differ in `RUNS`;
    the mass fractions are `X` and `Y` of `composition` (as in all of the demo), species other than the demo's start
    from zero. Cells may be colder, hotter, thinner or denser than in `wide`. Those that `advance` cannot advance stay
    as they are in that step.

    Parameters
    ----------
    system, n, seed
        As for `wide`.
    advance : callable
        As for `relaxed`.
    n_side : int
        A run has ``n_side * n_side`` cells.
    n_steps : int
        Time steps of a run.
    every : int
        One in so many steps contributes a tenth of its cells.

    Returns
    -------
    cells, dt
        As for `wide`, in random order.
    """
    rng = np.random.default_rng(seed)
    n_taken = n_side**2 // 10
    n_runs = -(-n // (n_taken * -(-n_steps // every)))
    cells, dts = [], []

    def chemistry(fields, dt):
        state = np.stack([fields[name].ravel() for name in system.names], axis=1)
        times = np.full(len(state), dt)
        if sampled:
            taken = rng.choice(len(state), n_taken, replace=False)
            cells.append(state[taken])
            dts.append(times[taken])
        advance(state, times)
        for name, column in zip(system.names, state.T):
            fields[name][...] = column.reshape(fields[name].shape)

    species = [name for name in system.names if name != "T"]
    for run in spread([*RUNS.values()], n_runs, seed):
        sampled, start = False, dict(zip(RUNS, run))
        courant = start.pop("courant")
        gas = make_gas(n_side, **start, seed=rng.integers(2**32), advance=chemistry, species=species)
        for i in range(n_steps):
            sampled = i % every == 0
            gas.step(chemistry, DT_RANGE[1], courant)
    chosen = rng.permutation(n_taken * len(cells))[:n]
    return np.concatenate(cells)[chosen], np.concatenate(dts)[chosen]


POPULATION = Population(
    "hydro",
    lambda system, n, seed, advance, *_: hydro(system, n, seed, advance),
    is_primordial,
    DT_RANGE,
    needs_solver=True,
    takes_parameters=False,
)
