"""Which cross section leaves the dark matter we see? <sigma v>(m) for Omega h^2 = 0.12 in three cosmologies.

    python -m benchmarks.relic_cross_section      # results/relic_cross_section.png and .json

The curves are the inverse of the trained net; each is checked by solving the Boltzmann equation at its points.
"""

import numpy as np

import surrogate

from .timing import RESULTS, save

COSMOLOGIES = {"standard": 0.0, "Gauss-Bonnet": -2 / 3, "Randall-Sundrum": 2.0}
X_TRANSITION = 500.0


def main():
    """Compute, check, save, draw."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    mass = np.geomspace(1.0, 1e5, 101)
    figure, axis = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
    results = {}
    for name, gamma in COSMOLOGIES.items():
        sigma_v = surrogate.relic_cross_section(mass, gamma=gamma, x_transition=X_TRANSITION)
        check = surrogate.relic_density(mass, sigma_v, gamma=gamma, x_transition=X_TRANSITION, rtol=1e-7)
        worst = float(np.abs(check / 0.12 - 1).max())
        print(f"{name:16} 100 GeV: {np.interp(2, np.log10(mass), sigma_v):.3e} cm^3/s, off by {worst:.1e} at most")
        results[name] = {"mass": mass.tolist(), "sigma_v": sigma_v.tolist(), "worst": worst}
        axis.loglog(mass, sigma_v, label=name if gamma == 0 else f"{name}, until m/T = {X_TRANSITION:g}")
    axis.set(
        xlabel="mass [GeV]",
        ylabel=r"$\langle\sigma v\rangle$ [cm$^3$/s]",
        title=r"$\Omega h^2 = 0.12$, s-wave, $g = 2$",
    )
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    figure.savefig(RESULTS / "relic_cross_section.png", dpi=110)
    print(f"results: {save('relic_cross_section', {'x_transition': X_TRANSITION, 'cosmologies': results})}")


if __name__ == "__main__":
    main()
