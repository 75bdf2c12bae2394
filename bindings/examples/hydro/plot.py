"""Pictures of what hydro.f90 writes.

python plot.py blast.dat [blast.png]
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np


def read(path):
    """Density [m_H/cm^3], T [K], fractions of H nuclei in H+ and in H2: array of shape (4, n, n), rows along y."""
    data = np.fromfile(path)
    n = int(data[0])
    return data[1:].reshape(4, n, n)


def main(path, picture="blast.png"):
    """Plot the four fields, each on a logarithmic scale."""
    titles = ("density [$m_H$ cm$^{-3}$]", "temperature [K]", "H nuclei in H$^+$", "H nuclei in H$_2$")
    figure, axes = plt.subplots(1, 4, figsize=(16, 4), layout="constrained")
    for axis, field, title in zip(axes, read(path), titles):
        image = axis.imshow(np.log10(np.maximum(field, 1e-30)), origin="lower")
        axis.set(title="log " + title, xticks=[], yticks=[])
        figure.colorbar(image, ax=axis, shrink=0.8)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main(*sys.argv[1:])
