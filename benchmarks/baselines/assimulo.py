"""Fortran solvers that Assimulo bundles unchanged, fetched with pip as its source distribution.

On the package index ODEPACK and Hairer's codes exist only there. Nothing of Assimulo is built or used.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ._build import OPTIMISE, SHARED, BaselineError, build_once, find_tool, has_digests, last_line

SDIST = "Assimulo==2.9 --hash=sha256:e61f5278618f3c2c920c0ef758eae0ae9a0538240d0ceaaae06b5dadff35aa2e"


def build(folder, name, sources, flags=()):
    """Fetch and compile Fortran files once.

    Parameters
    ----------
    folder : Path
        Where sources and library are kept. Without a network, put the files there beforehand.
    name : str
        File name of the library.
    sources : dict of str to str
        File name to sha256.
    flags : sequence of str

    Returns
    -------
    Path
        The library.
    """
    compiler = find_tool(os.environ.get("FC", "gfortran"), f"install a Fortran compiler, it compiles {name}")
    if not has_digests(folder, sources):
        fetch_sources(folder, sources)
    files = [folder / file for file in sources]
    return build_once(folder, name, files, [compiler, *OPTIMISE, *SHARED, "-std=legacy", "-w", *flags, *files])


def fetch_sources(folder, sources):
    """Put the files of `sources` into `folder`, with pip and its configured index."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        log = _download(Path(scratch))
        found = next(Path(scratch).rglob(next(iter(sources))), None)
        if found is None:
            raise BaselineError(f"pip could not fetch {', '.join(sources)}: {last_line(log)}")
        if not has_digests(found.parent, sources):
            raise BaselineError(f"{', '.join(sources)} in {SDIST.split()[0]} are not the expected ones")
        for name in sources:
            shutil.copyfile(found.parent / name, folder / name)


def _download(scratch):
    """Let pip unpack the sdist below `scratch`; return its log.

    pip checks the archive against the hash, unpacks it and then asks the package for its metadata. That last step needs
    numpy.distutils and fails with every recent Python, which is why the exit status means nothing here and the
    unpacked tree, kept by --no-clean, is what counts (pip 21.3 to 26.3).
    """
    requirements = scratch / "requirements.txt"
    requirements.write_text(SDIST + "\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-clean",
        "--no-deps",
        "--no-build-isolation",
        "--no-binary",
        ":all:",
        "--require-hashes",
        "-r",
        str(requirements),
        "-d",
        str(scratch),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout
