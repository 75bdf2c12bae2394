"""How well a voltage trace agrees with the true one: the measures of the published tables."""

import numpy as np

#: a spike is a maximum above this [mV]
THRESHOLD = 0.0
#: and found if the other trace has one this near [ms]; the paper does not say
TOLERANCE = 2.0


def spike_peaks(t, v):
    """Times and heights of the maxima above `THRESHOLD`, by a parabola through three points."""
    inner = np.flatnonzero((v[1:-1] > v[:-2]) & (v[1:-1] >= v[2:]) & (v[1:-1] > THRESHOLD)) + 1
    left, middle, right = v[inner - 1], v[inner], v[inner + 1]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend
    return t[inner] + shift * (t[1] - t[0]), middle - 0.25 * (left - right) * shift


def f1_score(found, true, tolerance=TOLERANCE):
    """F1 of spike times matched one to one, each within `tolerance` [ms] of its partner; 1 if there are none at all."""
    hits, i, j = 0, 0, 0
    while i < len(found) and j < len(true):
        if abs(found[i] - true[j]) <= tolerance:
            hits, i, j = hits + 1, i + 1, j + 1
        elif found[i] < true[j]:
            i += 1
        else:
            j += 1
    return 2 * hits / (len(found) + len(true)) if len(found) + len(true) else 1.0


def compare(t, z, truth):
    """Measures of the states `z` beside `truth`, both of shape (n, 4), at the times `t`.

    Returns
    -------
    dict
        ``rmse`` per variable; ``f1``; of the spikes paired in their order ``phase`` (mean deviation of their times) and
        ``isi`` (mean deviation of their distances) [ms]; ``amplitude`` [mV] and ``amplitude_percent``: mean deviation
        of their heights and the lowest trough. None for what does not exist: a trace that is lost, or without spikes.
    """
    good = bool(np.isfinite(z).all())
    measures = {"rmse": np.sqrt(np.mean((z - truth) ** 2, 0)).tolist() if good else [None] * 4}
    v = np.where(np.isfinite(z[:, 0]), z[:, 0], -1e3)
    (found, heights), (true, true_heights) = spike_peaks(t, v), spike_peaks(t, truth[:, 0])
    n = min(len(found), len(true))
    measures["f1"] = f1_score(found, true)
    measures["phase"] = float(np.mean(np.abs(found[:n] - true[:n]))) if n else None
    measures["isi"] = float(np.mean(np.abs(np.diff(found[:n]) - np.diff(true[:n])))) if n > 1 else None
    measures["amplitude"] = measures["amplitude_percent"] = None
    if good and n:
        lows, true_lows = z[:, 0].min(), truth[:, 0].min()
        off = np.append(np.abs(heights[:n] - true_heights[:n]), abs(lows - true_lows))
        size = np.append(np.abs(true_heights[:n]), abs(true_lows))
        measures["amplitude"], measures["amplitude_percent"] = float(off.mean()), float(100 * (off / size).mean())
    return measures
