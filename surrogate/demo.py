"""A patch of multiphase interstellar gas, advanced one million years: ``surrogate demo``."""

import argparse
import os
import time

import numpy as np

from surrogate.model import load

MYR = 3.1536e13  # s
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


def nuclei_and_charge(patch):
    """H nuclei, He nuclei and charge per cell [cm^-3]."""
    hydrogen = patch["H"] + patch["H+"] + patch["H-"] + 2 * (patch["H2"] + patch["H2+"])
    helium = patch["He"] + patch["He+"] + patch["He++"]
    charge = patch["H+"] + patch["H2+"] + patch["He+"] + 2 * patch["He++"] - patch["e-"] - patch["H-"]
    return hydrogen, helium, charge


def draw(before, after, path):
    """Phase diagram and map of the molecular fraction, before and after."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    figure, axes = plt.subplots(2, 2, figsize=(10, 9), layout="constrained")
    for row, (patch, when) in zip(axes, ((before, "start"), (after, "after 1 Myr"))):
        hydrogen = nuclei_and_charge(patch)[0]
        bins = (np.geomspace(1e-3, 1e4, 160), np.geomspace(8, 3e4, 140))
        counts, *_ = np.histogram2d(hydrogen.ravel(), patch["T"].ravel(), bins=bins)
        mesh = row[0].pcolormesh(*bins, counts.T, norm=LogNorm(1, 3e3), cmap="magma", rasterized=True)
        row[0].set(xscale="log", yscale="log", xlabel="$n_\\mathrm{H}$ [cm$^{-3}$]", ylabel="T [K]",
                   title=f"temperature and density, {when}", facecolor="0.95")
        figure.colorbar(mesh, ax=row[0], label="cells")
        fraction = 2 * patch["H2"] / hydrogen
        image = row[1].imshow(fraction, norm=LogNorm(1e-6, 1), cmap="viridis", origin="lower")
        row[1].set(title=f"molecular fraction 2 n(H$_2$)/n$_\\mathrm{{H}}$, {when}", xticks=[], yticks=[])
        figure.colorbar(image, ax=row[1])
    temporary = f"{path}.tmp.png"
    figure.savefig(temporary, dpi=130)
    plt.close(figure)
    os.replace(temporary, path)


def run(n_side, n_steps, rtol, threads, progress=True):
    """Advance the patch by 1 Myr.

    Returns
    -------
    before, after : dict of str to ndarray
    reports : list of Report
    seconds : float
        Wall-clock time of the steps.
    """
    stepper = load("ism-molecular").stepper(rtol=rtol, threads=threads)
    patch = make_patch(n_side)
    before = {name: values.copy() for name, values in patch.items()}
    steps = range(n_steps)
    if progress:
        from tqdm import tqdm

        steps = tqdm(steps, desc=f"{n_side * n_side} cells, 1 Myr", unit="step")
    start = time.perf_counter()
    reports = [stepper.step(patch, MYR / n_steps) for _ in steps]
    return before, patch, reports, time.perf_counter() - start


def main(argv=None):
    """Run the demo, print what it cost and conserved, write the picture."""
    parser = argparse.ArgumentParser(prog="surrogate demo", description=__doc__)
    parser.add_argument("--side", type=int, default=360, help="cells along one side of the patch (default 360)")
    parser.add_argument("--steps", type=int, default=40, help="hydro steps in 1 Myr (default 40)")
    parser.add_argument("--rtol", type=float, default=1e-2, help="relative error per step (default 1e-2)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    parser.add_argument("--out", default="demo.png", help="picture to write (default demo.png)")
    options = parser.parse_args(argv)

    before, after, reports, seconds = run(options.side, options.steps, options.rtol, options.threads)
    advanced = sum(r.n_cells for r in reports)
    print(f"{options.side**2} cells x {options.steps} steps of {1e3 / options.steps:.3g} kyr, rtol {options.rtol:g}, "
          f"{options.threads} threads: {seconds:.1f} s")
    print(f"{seconds * 1e6 * options.threads / advanced:.2f} us per cell and step and thread, "
          f"{sum(r.solver_steps for r in reports) / advanced:.1f} solver steps per cell and step")
    print("first step:", *str(reports[0]).splitlines(), sep="\n  ")
    print("last step:", *str(reports[-1]).splitlines(), sep="\n  ")
    for name, x, y, scale in zip(("H nuclei", "He nuclei", "charge"), nuclei_and_charge(before),
                                 nuclei_and_charge(after), (None, None, after["e-"])):
        change = np.abs(y - x) / (x if scale is None else scale)
        print(f"largest relative change of {name}: {change.max():.1e}")
    draw(before, after, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
