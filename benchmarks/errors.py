"""How the error of a prediction is measured."""

import numpy as np

QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)
#: place of the 99 % quantile, by which costs are compared
P99 = QUANTILES.index(0.99)


def relative_errors(cells, reference, floor=1e-10):
    """|y/y_ref - 1| stacked over T (last column) and the species above `floor` of the total in the reference."""
    counted = is_counted(reference, floor)
    return np.abs(cells[counted] / reference[counted] - 1)


def worst_errors(cells, reference, floor=1e-10):
    """Largest |y/y_ref - 1| of each cell, shape (n,)."""
    counted = is_counted(reference, floor)
    return np.where(counted, np.abs(cells / np.where(counted, reference, 1.0) - 1), 0.0).max(1)


def is_counted(reference, floor=1e-10):
    """Whether a variable is no trace, bool of the shape of `reference`."""
    fraction = reference[:, :-1] / reference[:, :-1].sum(1, keepdims=True)
    return np.concatenate([fraction >= floor, np.ones((len(reference), 1), bool)], 1)


def quantiles(errors):
    """Errors at `QUANTILES`, as floats."""
    return [float(q) for q in np.quantile(errors, QUANTILES)]
