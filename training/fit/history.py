"""The course of a training run as a picture."""


def draw_history(history, path):
    """Losses and errors on the check labels over time; nothing is drawn without matplotlib, or without a history.

    Parameters
    ----------
    history : list of dict
        With ``minutes``, ``loss`` (mean by term) and ``quantiles`` (log10, at 50, 75, 90 and 99 %).
    path : path
        Of the picture.
    """
    try:
        import matplotlib
    except ImportError:
        return
    if not history:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    minutes = [entry["minutes"] for entry in history]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name in history[0]["loss"]:
        left.plot(minutes, [entry["loss"].get(name, float("nan")) for entry in history], ".-", label=name)
    left.set(xlabel="minutes", title="loss, mean since the last point", yscale="log")
    for i, label in enumerate(("50 %", "75 %", "90 %", "99 %")):
        right.plot(minutes, [entry["quantiles"][i] for entry in history], ".-", label=label)
    right.set(xlabel="minutes", title="log10 error on the check labels")
    for axes in (left, right):
        if axes.lines:
            axes.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)
