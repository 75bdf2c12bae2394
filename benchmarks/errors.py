"""How the error of a prediction is measured."""

import numpy as np

QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)


def relative_errors(cells, reference, floor=1e-10):
    """|y/y_ref - 1| stacked over T (last column) and the species above `floor` of the total in the reference."""
    fraction = reference[:, :-1] / reference[:, :-1].sum(1, keepdims=True)
    counted = np.concatenate([fraction >= floor, np.ones((len(reference), 1), bool)], 1)
    return np.abs(cells[counted] / reference[counted] - 1)


def quantiles(errors):
    """Errors at `QUANTILES`, as floats."""
    return [float(q) for q in np.quantile(errors, QUANTILES)]
