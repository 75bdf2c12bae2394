"""Are the opponents built right? Robertson's problem and published step counts: `python -m benchmarks.baselines.check`.

The steps of LSODES depend on rounding: shifting the rate coefficients by one or two units in the last place moves them
by 10 %. The check therefore integrates many such shifted cells and asks that the published count lies in their range,
and that every opponent lands on the reference solution.
"""

import sys

import numpy as np

from ._build import HERE
from .baselines import MODES, Baseline, BaselineError

# y1 at t = 1e4: RADAU5 at rtol 3e-14, and SciPy Radau at 1e-12 to 14 digits.
REFERENCE = 0.10730042853780476
# rtol -> steps of DLSODES, MF=121, atol 1e-20, from an independent Fortran host (gfortran 12, another machine).
PUBLISHED_STEPS = {1e-4: 260, 1e-5: 380, 1e-6: 536, 1e-7: 769, 1e-8: 1207}
# Largest error accepted, in units of rtol: global errors exceed the local tolerance.
ERROR_FACTOR = 50
# Without KROME's restarts a sparsity pattern taken from differences at t = 0, where two species are zero, stays wrong:
# Newton hardly converges, however well the library is built.
NOT_JUDGED = ("lsodes-222",)


def make_cells(n_cells, seed=1):
    """Initial states and parameters, the latter shifted by up to two units in the last place."""
    rng = np.random.default_rng(seed)
    rates = np.array([0.04, 3e7, 1e4])
    shifts = rng.integers(-2, 3, (n_cells, 3))
    shifts[0] = 0
    return np.tile([1.0, 0.0, 0.0], (n_cells, 1)), rates * (1 + np.finfo(float).eps * shifts)


def check_mode(baseline, mode, n_cells):
    """Print one line per rtol, return how many of them are wrong."""
    cells, params = make_cells(n_cells)
    n_wrong = 0
    for rtol, published in PUBLISHED_STEPS.items():
        result = baseline.solve(cells, 1e4, params, mode, rtol=rtol, atol=1e-20)
        errors = result.states[:, 0] / REFERENCE - 1
        is_right = not result.failed.any()
        is_right &= bool(np.abs(errors).max() < ERROR_FACTOR * rtol)
        if mode == "lsodes-121":
            is_right &= bool(result.steps.min() <= published <= result.steps.max())
        is_judged = mode not in NOT_JUDGED
        n_wrong += is_judged and not is_right
        verdict = ("ok" if is_right else "WRONG") if is_judged else "not judged"
        print(
            f"{mode:16} {rtol:7.0e} {result.steps[0]:6} {result.steps.min():6} {result.steps.max():6} "
            f"{errors[0]:+10.1e} {np.abs(errors).max():9.1e} {result.us_per_cell:9.1f}  {verdict}"
        )
    return n_wrong


def main(n_cells=200):
    """Check every mode whose library can be had; exit status 1 if one is wrong."""
    print(f"{'mode':16} {'rtol':>7} {'steps':>6} {'min':>6} {'max':>6} {'error':>10} {'largest':>9} {'us/cell':>9}")
    baseline, n_wrong = Baseline(HERE / "robertson"), 0
    for mode in MODES:
        try:
            n_wrong += check_mode(baseline, mode, n_cells)
        except BaselineError as error:
            print(f"{mode:16} skipped: {error}")
    return int(n_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
