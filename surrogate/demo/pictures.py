"""Pictures and the film of the demo: all that needs Matplotlib, or ffmpeg."""

import os
import subprocess
from pathlib import Path

import numpy as np

from surrogate.demo.state import TEMPERATURE, YEAR, nuclei, per_nucleus, relative_errors

FRAMES = "??????.png"  # of a film: their names are the number of the step


def save_figure(figure, path):
    """Write to a temporary name and rename."""
    import matplotlib.pyplot as plt

    temporary = Path(path).with_suffix(".tmp.png")
    figure.savefig(temporary, dpi=110)
    plt.close(figure)
    os.replace(temporary, path)


def show(axis, values, title, low, high, cmap):
    """One map with a logarithmic scale of colours."""
    from matplotlib.colors import LogNorm

    image = axis.imshow(np.clip(values, low, high), norm=LogNorm(low, high), cmap=cmap, origin="lower")
    axis.set(title=title, xticks=[], yticks=[])
    axis.figure.colorbar(image, ax=axis, shrink=0.85)


def draw_maps(axes, fields, species):
    """Density, temperature and molecular fraction, of atomic gas the ionised one."""
    show(axes[0], nuclei(fields, species)[0], "$n_\\mathrm{H}$ [cm$^{-3}$]", 1e-2, 1e3, "viridis")
    show(axes[1], fields[TEMPERATURE], "T [K]", 20, 1e6, "inferno")
    if "H2" in species:
        show(axes[2], 2 * per_nucleus(fields, species, "H2"), "2 n(H$_2$) / n$_\\mathrm{H}$", 1e-8, 1, "cividis")
    else:
        show(axes[2], per_nucleus(fields, species, "H+"), "n(H$^+$) / n$_\\mathrm{H}$", 1e-5, 1, "cividis")


def make_axes(rows):
    """A figure of three maps in a row, without a display."""
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
    read = f"-framerate 10 -pattern_type glob -i {FRAMES}"
    write = "-vf pad=ceil(iw/2)*2:ceil(ih/2)*2 -pix_fmt yuv420p -movflags +faststart"
    command = ["ffmpeg", *f"-nostdin -y -loglevel error {read} {write}".split(), str(temporary)]
    subprocess.run(command, check=True, cwd=frames)
    os.replace(temporary, path)
    return path
