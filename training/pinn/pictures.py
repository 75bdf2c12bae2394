"""The table of methods and the spectra of tangent kernels as a picture."""

import numpy as np


def draw_methods(summary, kernels):
    """Errors of all methods on all problems, and eigenvalues of the kernels before and after training.

    Parameters
    ----------
    summary : dict
        Of `table.summarise`.
    kernels : dict
        Spectra of `kernels.kernel_spectra` by method.

    Returns
    -------
    matplotlib.figure.Figure
    """
    import matplotlib.pyplot as plt

    columns = 1 + len(kernels)
    figure, axes = plt.subplots(
        1, columns, figsize=(6.5 + 3.6 * len(kernels), 6), layout="constrained", width_ratios=[2] + [1] * len(kernels)
    )
    _draw_errors(np.atleast_1d(axes)[0], summary)
    for axis, (method, spectra) in zip(np.atleast_1d(axes)[1:], kernels.items()):
        for (name, parts), color in zip(spectra.items(), ("C0", "C1")):
            for (when, values), style in zip(parts.items(), ("--", "-")):
                axis.plot(np.maximum(values, 1e-300), style, color=color, label=f"{name}, {when}")
        top = max(max(v) for parts in spectra.values() for v in parts.values())
        axis.set(
            yscale="log",
            ylim=(1e-12, 10 * top),
            xlim=(0, 40),
            xlabel="number of the eigenvalue",
            title=f"kernels, {method}",
        )
        axis.grid(alpha=0.3)
    if kernels:
        axis.legend(fontsize=8)
    return figure


def _draw_errors(axis, summary):
    problems = list(dict.fromkeys(p for cells in summary.values() for p in cells))
    for problem, marker in zip(problems, "osv^D<>"):
        values = [cells.get(problem, {}).get("error") for cells in summary.values()]
        axis.plot([np.nan if v is None else v for v in values], range(len(summary)), marker, label=problem)
    axis.set_yticks(range(len(summary)), list(summary))
    axis.invert_yaxis()
    axis.set(xscale="log", xlabel="mean error, median of the initialisations")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
