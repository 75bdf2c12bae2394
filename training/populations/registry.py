"""Populations of cells and time steps with fixed seeds, shared by training, tests and benchmarks.

Four for interstellar networks: `wide`, `relaxed`, `hydro`, and `single` of one start alone; and `box` for any other
system. `draw` takes them by name.

Seeds belong to splits: `SPLITS` cuts them into disjoint ranges, so that a training, a calibration and a test set never
share one. Seeds below 2**40, those that people type into tests and benchmarks, are all held out for testing.
"""

import operator

import numpy as np
from scipy.stats import qmc

from surrogate.demo.scene import make_gas

from ..systems.network import MYR, YEAR

#: mass fractions of hydrogen and helium nuclei
X, Y = 0.7, 0.3

#: seeds of each split; set number K of a split has the seeds K * SEEDS_PER_SET and up, see `seed_of`
SPLITS = {"test": range(2**40), "train": range(2**40, 2 * 2**40), "calibrate": range(2 * 2**40, 3 * 2**40)}
SEEDS_PER_SET = 2**20

#: shortest and longest time step of each population [s]; `box` has those of its caller
DT_RANGES = {
    "wide": (10 * YEAR, MYR),
    "relaxed": (10 * YEAR, MYR),
    "hydro": (100 * YEAR, 0.3 * MYR),
    "single": (10 * YEAR, MYR),
}
POPULATIONS = (*DT_RANGES, "box")


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

#: the one start of population `single`: T [K], total density [cm^-3] and fractions of it; electrons make it neutral.
#: Branca & Pallottini 2023 (MNRAS 518, 5718), whose fractions with electrons sum to 1.0098 and 1.0000: taken as printed
SINGLE = {
    "ism-molecular": (
        1000.0,
        100.0,
        {"H": 0.6241, "H-": 0.001, "H2": 0.104, "He": 0.26, "H+": 0.0062, "H2+": 0.001, "He+": 0.0026, "He++": 0.0007},
    ),
    "ism-atomic": (1000.0, 90.4, {"H-": 0.0015, "H": 0.69, "He": 0.288, "H+": 0.0069, "He+": 0.0029, "He++": 0.0008}),
}


def draw(name, system, n, seed, advance=None, dt_range=None):
    """Cells and time steps of a population.

    Two populations of one seed may share start cells: give each part of a mixed set a seed of its own.

    Parameters
    ----------
    name : {"wide", "relaxed", "hydro", "single", "box"}
    system : System
    n : int
    seed : int
        In one of the `SPLITS`.
    advance : callable, optional
        ``advance(cells, dt)`` advances in place, e.g. ``stepper.step``; `relaxed` and `hydro` need it.
    dt_range : tuple of float, optional
        Time steps; `box` needs them, the others have their own.

    Returns
    -------
    cells : ndarray of shape (n, n_vars)
    dt : ndarray of shape (n,)
    """
    seed = operator.index(seed)
    if not any(seed in seeds for seeds in SPLITS.values()):
        raise ValueError(f"seed is {seed}: give one of 0..{max(s.stop for s in SPLITS.values()) - 1}, see SPLITS")
    check_population(name, system, dt_range)
    if name in ("relaxed", "hydro") and advance is None:
        raise ValueError(f"population {name!r} evolves its cells: give advance, e.g. stepper.step")
    if name == "box":
        return box(system, n, seed, dt_range)
    if name in ("wide", "single"):
        return {"wide": wide, "single": single}[name](system, n, seed)
    return {"relaxed": relaxed, "hydro": hydro}[name](system, n, seed, advance)


def check_population(name, system, dt_range=None):
    """Raise ValueError if `name` is no population, or not one for this system."""
    if name not in POPULATIONS:
        raise ValueError(f"no population {name!r}; choose from {', '.join(POPULATIONS)}")
    is_network = {"H", "He", "charge"} <= system.conserved.keys() and "T" in system.names
    if is_network == (name == "box"):
        fitting = "wide, relaxed, hydro or single" if is_network else "box"
        raise ValueError(f"population {name!r} is not for {system.name}: choose {fitting}")
    if name == "single" and system.name not in SINGLE:
        raise ValueError(f"population 'single' has no start for {system.name}: choose wide, relaxed or hydro")
    if name != "box" and dt_range is not None:
        raise ValueError(f"population {name!r} has its own time steps: leave out dt_range")
    if name == "box" and not (dt_range and len(dt_range) == 2 and 0 < dt_range[0] < dt_range[1] < np.inf):
        raise ValueError(f"dt_range is {dt_range}: population 'box' needs the shortest and the longest time step")


def seed_of(split, number, part=0):
    """Seed of one part of set `number` of a split; no two (split, number, part) share one.

    Parameters
    ----------
    split : {"train", "calibrate", "test"}
    number, part : int
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; choose from {', '.join(SPLITS)}")
    n_sets = len(SPLITS[split]) // SEEDS_PER_SET
    if not 0 <= number < n_sets:
        raise ValueError(f"seed is {number}: a split has the seeds 0..{n_sets - 1}")
    if not 0 <= part < SEEDS_PER_SET:
        raise ValueError(f"part is {part}: a set has the parts 0..{SEEDS_PER_SET - 1}")
    return SPLITS[split][number * SEEDS_PER_SET + part]


def wide(system, n, seed):
    """Cells far from equilibrium, everything drawn log-uniformly.

    T 20..1e6 K, total density 1e-2..1e3 cm^-3, weights of the species 1e-6..1 scaled to the mass fractions `X` and
    `Y` of H and He nuclei, electrons from neutrality (draws with more negative than positive ions are dropped),
    time step 10 yr..1 Myr.

    Parameters
    ----------
    system : System
        A network with species, H, He and charge laws, and T last.
    n : int
    seed : int

    Returns
    -------
    cells : ndarray of shape (n, n_vars)
        [cm^-3] and [K].
    dt : ndarray of shape (n,)
        [s].
    """
    names = system.names
    atoms = [k for k, name in enumerate(names) if name not in ("e-", "T")]
    low, high = DT_RANGES["wide"]
    sampler = qmc.Sobol(len(atoms) + 3, seed=seed)
    cells, dts, found = [], [], 0
    while found < n:
        u = sampler.random(1 << max(int(np.ceil(np.log2(2 * (n - found) + 16))), 4))
        state = np.zeros((len(u), len(names)))
        state[:, atoms] = 10 ** (-6 + 6 * u[:, : len(atoms)])
        electrons = _compose(system, state)
        state *= (10 ** (-2 + 5 * u[:, -3]) / state.sum(1))[:, None]
        state[:, names.index("T")] = 20 * (1e6 / 20) ** u[:, -2]
        good = electrons > 0
        cells.append(state[good])
        dts.append(low * (high / low) ** u[good, -1])
        found += good.sum()
    return np.concatenate(cells)[:n], np.concatenate(dts)[:n]


def single(system, n, seed):
    """`n` times the one start of `SINGLE`, with time steps as in `wide`; see there for what is returned."""
    temperature, density, fractions = SINGLE[system.name]
    cell = np.array([density * fractions.get(name, 0.0) for name in system.names])
    charges = np.array(system.conserved["charge"])
    cell[system.names.index("e-")] = cell @ charges
    cell[system.names.index("T")] = temperature
    return np.tile(cell, (n, 1)), _spread([DT_RANGES["single"]], n, seed)[:, 0]


def relaxed(system, n, seed, advance):
    """`wide` cells evolved for a log-uniform 10 yr..10 Myr, with new time steps as in `wide`.

    Parameters
    ----------
    advance : callable
        ``advance(cells, dt)`` advances in place, e.g. ``stepper.step``.
    """
    cells, dt = wide(system, n, seed)
    age = 10 * YEAR * 1e6 ** np.random.default_rng(seed).random(n)
    advance(cells, age)
    return cells, dt


def hydro(system, n, seed, advance, n_side=24, n_steps=48, every=4):
    """Cells of runs of the demo's gas dynamics, as they are handed to the chemistry, with the time steps of the runs.

    A blast wave, or colliding streams, in clumpy gas (`surrogate.demo.scene.make_gas`), where advection takes
    traces away from their quasi-steady values, shocks heat, and hot ionised gas mixes with cold. The runs differ in `RUNS`; the
    mass fractions are `X` and `Y` (as in all of the demo), species other than the demo's start from zero. Cells may
    be colder, hotter, thinner or denser than in `wide`. Those that `advance` cannot advance stay as they are in that
    step.

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
    for run in _spread([*RUNS.values()], n_runs, seed):
        sampled, start = False, dict(zip(RUNS, run))
        courant = start.pop("courant")
        gas = make_gas(n_side, **start, seed=rng.integers(2**32), advance=chemistry, species=species)
        for i in range(n_steps):
            sampled = i % every == 0
            gas.step(chemistry, DT_RANGES["hydro"][1], courant)
    chosen = rng.permutation(n_taken * len(cells))[:n]
    return np.concatenate(cells)[chosen], np.concatenate(dts)[chosen]


def _compose(system, state):
    """Scale the species to the mass fractions `X` and `Y` and make the cells neutral, in place; return the electrons.

    The densities that come out are per unit mass. Where negative ions prevail, electrons are negative.
    """
    laws, electron = system.conserved, system.names.index("e-")
    mass = np.array([v.mass for v in system.variables])
    state[:, electron] = 0
    for law, fraction in (("H", X), ("He", Y)):
        members = [k for k, weight in enumerate(laws[law]) if weight > 0]
        state[:, members] *= fraction / (state[:, members] @ mass[members])[:, None]
    electrons = state @ np.array(laws["charge"])
    state[:, electron] = electrons
    return electrons


def box(system, n, seed, dt_range):
    """Cells over the typical ranges of the variables (logarithmic where positive), time steps log-uniform.

    Parameters
    ----------
    system : System
        Any that is not an interstellar network.
    n, seed : int
    dt_range : tuple of float
        Shortest and longest time step, in the system's unit of time.

    Returns
    -------
    cells : ndarray of shape (n, n_vars)
    dt : ndarray of shape (n,)
    """
    drawn = _spread([*(v.sample for v in system.variables), dt_range], n, seed)
    return np.ascontiguousarray(drawn[:, :-1]), drawn[:, -1].copy()


def draw_params(system, n, seed, ranges):
    """Parameters over given ranges (logarithmic where positive), the others at their defaults.

    Parameters
    ----------
    system : System
    n, seed : int
    ranges : dict of str to tuple of float
        Lower and upper end by name of the parameter.

    Returns
    -------
    ndarray of shape (n, n_params)
    """
    names = [p.name for p in system.parameters]
    for name, (lower, upper) in ranges.items():
        if name not in names:
            raise ValueError(f"{system.name} has no parameter {name!r}; it has: {', '.join(names) or 'none'}")
        allowed = system.parameters[names.index(name)]
        if not allowed.lower <= lower < upper <= allowed.upper:
            raise ValueError(
                f"{name} ranges over {lower:g}..{upper:g}: give a range in {allowed.lower:g}..{allowed.upper:g}"
            )
    params = np.tile(system.parameter_values, (n, 1))
    if ranges:
        params[:, [names.index(name) for name in ranges]] = _spread(list(ranges.values()), n, [seed, 1])
    return params


def draw_dts(dt, n_dts, seed, dt_range):
    """Increasing time steps per cell: its own `dt` and ``n_dts - 1`` more, log-uniform; shape (len(dt), n_dts)."""
    low, high = dt_range
    more = low * (high / low) ** np.random.default_rng([seed, 2]).random((len(dt), n_dts - 1))
    return np.sort(np.concatenate([dt[:, None], more], axis=1), axis=1)


def _spread(ranges, n, seed):
    """Sobol points over `ranges`, logarithmic where the lower end is positive; shape (n, len(ranges))."""
    lower, upper = np.array(ranges, float).T
    u = qmc.Sobol(len(ranges), seed=np.random.default_rng(seed)).random_base2(max(n - 1, 1).bit_length())[:n]
    log = lower > 0
    safe = np.where(log, lower, 1.0)
    return np.where(log, safe * (np.where(log, upper, 1.0) / safe) ** u, lower + (upper - lower) * u)
