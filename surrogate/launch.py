"""Start Python programs on several MPI ranks: for the demo, the tests and the benchmarks."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable


def find_mpiexec() -> str | None:
    """Path of ``mpiexec``, first that of this environment; None without it or without mpi4py."""
    if not importlib.util.find_spec("mpi4py"):
        return None
    return shutil.which("mpiexec", path=sysconfig.get_path("scripts")) or shutil.which("mpiexec")


def run_ranks(n_ranks: int, arguments: Iterable, **options) -> subprocess.CompletedProcess:
    """Run ``python *arguments`` on `n_ranks` ranks, more than cores if need be; as `subprocess.run`.

    An exception on one rank ends them all; without mpi4py's runner the others would wait for it.

    Raises
    ------
    FileNotFoundError
        There is no MPI here.
    """
    launcher = find_mpiexec()
    if launcher is None:
        raise FileNotFoundError("MPI is not installed: pip install 'stiff-surrogate[mpi]'")
    settings = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",  # containers
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",  # Open MPI 5
        "OMPI_MCA_rmaps_base_oversubscribe": "1",  # Open MPI 4
    }
    environment = settings | dict(options.pop("env", os.environ))
    command = [launcher, "-n", str(n_ranks), sys.executable, "-m", "mpi4py", *map(str, arguments)]
    return subprocess.run(command, env=environment, **options)
