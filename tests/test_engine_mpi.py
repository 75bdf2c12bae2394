"""Steppers with a communicator: reports cover all ranks, an error on one rank is an error on all.

The file is its own MPI program: pytest starts it under mpiexec, where it calls `main`.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig

import numpy as np
import pytest

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_ranks_report_together(n_ranks, toys):
    launcher = shutil.which("mpiexec", path=sysconfig.get_path("scripts")) or shutil.which("mpiexec")
    if not launcher or not importlib.util.find_spec("mpi4py"):
        pytest.skip("MPI is not installed: pip install 'stiff-surrogate[mpi]'")
    environment = os.environ | {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",  # containers
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",  # more ranks than cores
    }
    done = subprocess.run(
        [launcher, "-n", str(n_ranks), sys.executable, "-W", "error", __file__, str(toys / "toy.so")],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("rank passed") == n_ranks


def main(path):
    """What every rank does."""
    from mpi4py import MPI

    import surrogate

    comm = MPI.COMM_WORLD
    rank, size = comm.rank, comm.size
    stepper = surrogate.load(path).stepper(rtol=1e-2, comm=comm)
    n_mine = 10 * rank  # rank 0 has none
    cells = np.tile([1.0, 2.0, 100.0], (n_mine, 1))
    if rank == size - 1 and n_mine:
        cells[0] = np.nan
    report = stepper.step(cells, 1000.0 * (rank + 1))
    n_cells, n_bad = 10 * size * (size - 1) // 2, int(size > 1)
    assert report.n_cells == n_cells and report.counts["bad input"] == n_bad
    assert report.counts["solver"] == n_cells - n_bad and report.status.shape == (n_mine,)
    steps = [(10 * r - (r == size - 1)) * (r + 2) if r else 0 for r in range(size)]  # 1 + rate*dt per good cell
    assert report.solver_steps == sum(steps)
    assert report.imbalance == (max(steps) * size / sum(steps) if sum(steps) else 1.0)

    audited = surrogate.load(path.replace("toy.so", "toy_net.so")).stepper(rtol=0.1, audit=1.0, comm=comm)
    report = audited.step(np.tile([1.0, 2.0, 100.0], (n_mine, 1)), 10.0)
    assert report.counts["audit"] == n_cells and report.audit_counts.sum() == 3 * n_cells
    assert bool(report.audit) == (n_cells > 0)

    dt = -1.0 if rank == size - 1 else 1.0
    expected = ValueError if rank == size - 1 else surrogate.ModelError
    before = cells.copy()
    try:
        stepper.step(cells, dt)
    except expected as error:
        assert "dt is -1.0" in str(error), error
    else:
        raise AssertionError("the error of one rank did not reach this one")
    np.testing.assert_array_equal(cells, before)  # on no rank
    print("rank passed", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
