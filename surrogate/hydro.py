"""The old name of `surrogate.demo.gas`, `riemann` and `state`, for one version."""

import warnings

from surrogate.demo.gas import GHOSTS, MAIN, Alone, Gas, Sums  # noqa: F401
from surrogate.demo.riemann import common_slopes, fluxes, hllc, minmod  # noqa: F401
from surrogate.demo.state import *  # noqa: F403

warnings.warn("surrogate.hydro is surrogate.demo.gas, .riemann and .state now", DeprecationWarning, stacklevel=2)
