"""LSODES and LSODE: the pristine ODEPACK, compiled on this machine from sources that pip fetches.

ODEPACK is in the public domain, but on the package index it exists only inside the source distribution of
Assimulo, which bundles it unchanged. Nothing of Assimulo is built or used.

References
----------
Hindmarsh 1983, ODEPACK, a systematized collection of ODE solvers, in Scientific Computing, p. 55.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ._build import DEFAULT_DIRECTORY, OPTIMISE, SHARED, BaselineError, build_once, find_tool, has_digests, last_line

SDIST = "Assimulo==2.9 --hash=sha256:e61f5278618f3c2c920c0ef758eae0ae9a0538240d0ceaaae06b5dadff35aa2e"
SOURCES = {
    "opkdmain.f": "3927b26bd7492832b2b1b08fa1bb309ab2c7272ced45dab937ab676adc156c5b",
    "opkda1.f": "5229da30f02aae65907c0d3cfaee0a75580bbe42ddcbd6d7f5639024451f4504",
    "opkda2.f": "2dd229cb112b463d6c3151a259aae28bf480c75eda6861507ab678ea0d204046",
}


def build(directory=None):
    """Fetch and compile ODEPACK once.

    Parameters
    ----------
    directory : path, optional
        Where sources and library are kept, default ``build/baselines`` of this repository. Without a network, put
        the three files of `SOURCES` into ``<directory>/odepack`` beforehand.

    Returns
    -------
    Path
        ``libodepack.so`` with dlsode_, dlsodes_, dlsoda_ ... It keeps its state in COMMON blocks: one integration at
        a time per process.
    """
    folder = Path(directory or DEFAULT_DIRECTORY) / "odepack"
    compiler = find_tool(os.environ.get("FC", "gfortran"), "install a Fortran compiler, it compiles ODEPACK")
    if not has_digests(folder, SOURCES):
        fetch_sources(folder)
    files = [folder / name for name in SOURCES]
    return build_once(folder, "libodepack.so", files, [compiler, *OPTIMISE, *SHARED, "-std=legacy", "-w", *files])


def fetch_sources(folder):
    """Put the three ODEPACK files into `folder`, with pip and its configured index."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        log = _download(Path(scratch))
        found = next(Path(scratch).rglob("opkdmain.f"), None)
        if found is None:
            raise BaselineError(f"pip could not fetch the ODEPACK sources: {last_line(log)}")
        if not has_digests(found.parent, SOURCES):
            raise BaselineError(f"the ODEPACK sources in {SDIST.split()[0]} are not the expected ones")
        for name in SOURCES:
            shutil.copyfile(found.parent / name, folder / name)


def _download(scratch):
    """Let pip unpack the sdist below `scratch`; return its log.

    pip checks the archive against the hash, unpacks it and then asks the package for its metadata. That last step needs
    numpy.distutils and fails with every recent Python, which is why the exit status means nothing here and the
    unpacked tree, kept by --no-clean, is what counts (pip 21.3 to 26.3).
    """
    requirements = scratch / "requirements.txt"
    requirements.write_text(SDIST + "\n")
    command = [sys.executable, "-m", "pip", "download", "--no-clean", "--no-deps", "--no-build-isolation",
               "--no-binary", ":all:", "--require-hashes", "-r", str(requirements), "-d", str(scratch)]
    done = subprocess.run(command, env={**os.environ, "TMPDIR": str(scratch)}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout
