"""Pictures of how good a surrogate is, for ``surrogate evaluate``."""

import numpy as np
import torch
from matplotlib.figure import Figure

N_TRAJECTORIES, N_TIMES = 6, 60


def draw_errors(surrogate, state, measured):
    """Error in the temperature-density plane, incurred against predicted error, and the risk-coverage curve."""
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    axes = figure.subplots(1, 3)
    predicted, worst = measured.predicted, measured.worst
    encoding, log_worst = surrogate.encoding, np.log10(worst + 1e-12)
    x = np.log10(encoding.total_density(state).numpy()[:, 0]) if encoding.has_total else state[:, 0].numpy()
    y = np.log10(state[:, encoding.names.index("T")].numpy()) if "T" in encoding.names else state[:, -1].numpy()
    image = axes[0].hexbin(x, y, C=log_worst, gridsize=40, cmap="viridis", vmin=-4, vmax=0)
    axes[0].set(xlabel="log10 density [cm$^{-3}$]", ylabel="log10 T [K]", title="mean of the worst variable")
    figure.colorbar(image, ax=axes[0], label="log10 error")
    log_predicted = np.log10(np.minimum(predicted, 10))
    axes[1].hexbin(log_predicted, log_worst, gridsize=50, bins="log", cmap="magma", extent=(-5, 1, -5, 1))
    axes[1].plot([-5, 1], [-5, 1], "w:", lw=1)
    axes[1].set(xlabel="log10 predicted error", ylabel="log10 incurred error", title="does it know its error?")
    order = np.argsort(predicted)
    share = np.arange(1, len(order) + 1) / len(order)
    for rtol in (0.1, 1e-2, 1e-3):
        axes[2].plot(share, np.cumsum(worst[order] > rtol) / np.arange(1, len(order) + 1), label=f"rtol {rtol:g}")
    axes[2].axhline(0.01, color="0.5", lw=1)
    axes[2].set(xlabel="share accepted, by predicted error", ylabel="share beyond rtol", yscale="log", ylim=(1e-4, 1))
    axes[2].legend()
    return figure


def draw_histograms(surrogate, measured):
    """Distribution of the error of each variable, with its median and its 90 % quantile."""
    names = surrogate.encoding.names
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for k, (name, axes) in enumerate(zip(names, panels)):
        errors = np.log10(measured.errors[measured.counts[:, k], k].numpy() + 1e-12)
        axes.set_title(name, fontsize=9)
        if len(errors):
            axes.hist(errors, bins=np.linspace(-6, 1, 57), histtype="stepfilled", alpha=0.6)
            for q, style in ((0.5, "-"), (0.9, ":")):
                axes.axvline(np.quantile(errors, q), color="k", ls=style, lw=1)
        axes.set_yticks([])
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    figure.supxlabel("log10 |y/y_ref - 1|   (line: median, dots: 90 %)", fontsize=9)
    return figure


def draw_trajectories(surrogate, solver, domain, state):
    """Some cells over time: the solver as lines, predictions straight from the start as dots.

    Parameters
    ----------
    surrogate : Surrogate
    solver : surrogate.Model
    domain : Domain
        Its time steps are shown.
    state : Tensor of shape (n, n_vars)
        Cells to choose from.
    """
    encoding = surrogate.encoding
    times = np.geomspace(encoding.dt_lower, 10.0 ** domain.upper[-1] * (1 - 1e-9), N_TIMES)
    chosen = state[np.linspace(0, len(state) - 1, N_TRAJECTORIES).astype(int)]
    cells, dt = chosen.repeat_interleave(N_TIMES, 0), torch.from_numpy(np.tile(times, N_TRAJECTORIES))
    with torch.no_grad():
        predicted = surrogate(cells, dt)[0].numpy()
    solved = cells.numpy().copy()
    solver.stepper(rtol=1e-6, net=False).step(solved, dt.numpy())
    columns = 3
    figure = Figure(figsize=(13, 3.4 * (N_TRAJECTORIES // columns)), layout="constrained")
    panels = figure.subplots(N_TRAJECTORIES // columns, columns, sharex=True).ravel()
    for i, axes in enumerate(panels):
        rows = slice(i * N_TIMES, (i + 1) * N_TIMES)
        for k, name in enumerate(encoding.names):
            (line,) = axes.plot(times, solved[rows, k], label=name)
            axes.plot(times[::3], predicted[rows, k][::3], ".", color=line.get_color(), ms=4)
        axes.set(xscale="log", yscale="log" if bool(encoding.log.all()) else "linear")
        if encoding.has_total:
            axes.set_ylim(1e-10 * float(encoding.total_density(chosen[i : i + 1])), None)
    figure.supxlabel("time" + (" [s]" if encoding.has_total else ""))
    panels[columns - 1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
