"""RODAS and RADAU5 (2-clause BSD), compiled on this machine from sources that pip fetches.

References
----------
Hairer & Wanner 1996, Solving Ordinary Differential Equations II, 2nd edition, doi:10.1007/978-3-642-05221-7.
"""

from pathlib import Path

from . import assimulo
from ._build import DEFAULT_DIRECTORY

SOURCES = {
    "rodas_decsol.f": "ac7606807fb24e9333d4262a25c23a3e21b0895d918263a69de8680261f32a93",
    "radau_decsol.f": "4fd26d364bec6bcf1d2a6fe7ac94079cae52edbfc11f85191edc476a5c4ba75c",
}


def build(directory=None):
    """Fetch and compile both once, below `directory` (default ``build/baselines`` of this repository).

    Returns
    -------
    Path
        ``libhairer.so`` with rodas_ and radau5_. One integration at a time per process: COMMON blocks.
    """
    both_carry_linear_algebra = ["-Wl,--allow-multiple-definition"]
    return assimulo.build(
        Path(directory or DEFAULT_DIRECTORY) / "hairer", "libhairer.so", SOURCES, both_carry_linear_algebra
    )
