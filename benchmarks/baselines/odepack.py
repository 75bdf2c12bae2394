"""LSODES and LSODE: the pristine ODEPACK (public domain), compiled on this machine from sources that pip fetches.

References
----------
Hindmarsh 1983, ODEPACK, a systematized collection of ODE solvers, in Scientific Computing, p. 55.
"""

from pathlib import Path

from . import assimulo
from ._build import DEFAULT_DIRECTORY

SOURCES = {
    "opkdmain.f": "3927b26bd7492832b2b1b08fa1bb309ab2c7272ced45dab937ab676adc156c5b",
    "opkda1.f": "5229da30f02aae65907c0d3cfaee0a75580bbe42ddcbd6d7f5639024451f4504",
    "opkda2.f": "2dd229cb112b463d6c3151a259aae28bf480c75eda6861507ab678ea0d204046",
}


def build(directory=None):
    """Fetch and compile ODEPACK once, below `directory` (default ``build/baselines`` of this repository).

    Returns
    -------
    Path
        ``libodepack.so`` with dlsode_, dlsodes_, dlsoda_ ... It keeps its state in COMMON blocks: one integration at
        a time per process.
    """
    return assimulo.build(Path(directory or DEFAULT_DIRECTORY) / "odepack", "libodepack.so", SOURCES)
