"""The old name of `surrogate.apps.relic`, for one version."""

import warnings

from surrogate.apps.relic import *  # noqa: F403

warnings.warn("surrogate.relic is surrogate.apps.relic now", DeprecationWarning, stacklevel=2)
