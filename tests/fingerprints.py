"""One hash per way through the library, to compare before and after a change that must not change results.

``python tests/fingerprints.py > before``, change, install, ``python tests/fingerprints.py | diff before -``. Hashes are
those of this machine, compiler and versions of NumPy and PyTorch: only differences mean something.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from surrogate.training import get_system
from surrogate.training.populations import draw

import surrogate
from surrogate.launch import find_mpiexec, run_ranks

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("ism-molecular", "ism-atomic")
ISA = "base"  # that every machine has


def digest(*items):
    """Hash of arrays, texts and numbers."""
    h = hashlib.sha256()
    for item in items:
        h.update(np.ascontiguousarray(item).tobytes() if isinstance(item, np.ndarray) else str(item).encode())
    return h.hexdigest()[:16]


def population(model, name, n=3000):
    advance = surrogate.load(model).stepper(rtol=1e-2, net=False, isa=ISA).step
    return draw(name, get_system(model), n, 11, advance)


def outcome(cells, report):
    return digest(cells, report.status, report.cost, report.counts, report.audit_counts, report.outside_counts)


def solver_and_net():
    for model in MODELS:
        for name in ("wide", "relaxed", "hydro"):
            start, dt = population(model, name)
            yield f"population {model} {name}", digest(start, dt)
            for rtol in (0.1, 1e-2, 1e-4):
                for net in (False, True):
                    cells = start.copy()
                    stepper = surrogate.load(model).stepper(rtol=rtol, net=net, isa=ISA, audit=0.05)
                    report = stepper.step(cells, dt)
                    yield f"{'net' if net else 'solver'} {model} {name} {rtol:g}", outcome(cells, report)
        odd = start.astype(np.float32)
        odd[::7, 0], odd[::11, -1] = np.nan, 1e12
        mask, index = np.arange(len(odd)) % 5 == 0, np.arange(len(odd))[::-2].copy()
        report = surrogate.load(model).stepper(rtol=0.03, isa=ISA).step(odd, dt, mask=mask, index=index, max_step=1e10)
        yield f"float32, mask, index, bad cells {model}", outcome(odd, report)
    f, jacobian = surrogate.load("ism-molecular").evaluate(start[:10] if start.shape[1] == 10 else np.ones((10, 10)))
    yield "evaluate", digest(f, jacobian)
    relic = surrogate.relic_density(np.geomspace(10, 1e5, 12), 1e-26, 1e-3)
    yield "relic density", digest(np.asarray(relic))


RANKS = """
import numpy as np, sys
from surrogate import mpi
import surrogate
sys.path.insert(0, sys.argv[1])
from fingerprints import ISA, digest, population
comm = mpi.world()
start, dt = population("ism-molecular", "wide", 4000)
cut = np.array_split(np.argsort(-start[:, -1]), comm.size)[comm.rank]
cells = start[cut]
stepper = surrogate.load("ism-molecular").stepper(rtol=1e-2, isa=ISA, comm=comm)
reports = [stepper.step(cells, dt[cut]) for _ in range(3)]
everything = comm.gather(cells)
if comm.rank == 0:
    print(digest(*everything, [r.counts for r in reports], [r.solver_steps for r in reports]))
"""


def ranks():
    load = np.random.default_rng(3).lognormal(0, 1.5, 500) * 1e5
    from surrogate import balance

    yield "balance plan", digest(*map(np.asarray, balance.plan(load, tolerance=0.03, floor=250.0)))
    if find_mpiexec():
        with tempfile.TemporaryDirectory() as directory:
            script = Path(directory) / "ranks.py"
            script.write_text(RANKS)
            for n in (1, 3):
                done = run_ranks(n, [script, ROOT / "tests"], capture_output=True, text=True, check=True)
                yield f"{n} ranks in Python", done.stdout.split()[-1]


def hosts():
    """The hydro examples in Fortran, where ctest has built them: one rank, three ranks, the KROME shim."""
    where = ROOT / "build" / "cmake" / "release" / "bindings" / "examples"
    models = {"SURROGATE_MODEL_PATH": str(surrogate.model.ENGINE_DIR / "models")}
    mpi = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    for chemistry in ("net", "solver", "krome"):
        for program, launcher in (("example_hydro_serial", []), ("example_hydro", ["/usr/bin/mpiexec", "-n", "3"])):
            if not (where / program).exists():
                continue
            with tempfile.TemporaryDirectory() as directory:
                options = Path(directory) / "run.nml"
                options.write_text(f"&run n = 48, t_end = 1, chemistry = '{chemistry}', output = 'out.dat' /\n")
                subprocess.run(
                    [*launcher, where / program, options],
                    cwd=directory,
                    check=True,
                    capture_output=True,
                    env=os.environ | models | mpi,
                )
                yield f"{program} {chemistry}", digest(np.fromfile(Path(directory) / "out.dat"))


def training():
    """Generated code, labels, a short training, its calibration, and both exports."""
    from surrogate import cli

    def command(*words):
        assert cli.main(list(map(str, words))) == 0, words

    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        quiet, keep = open(os.devnull, "w"), sys.stdout
        sys.stdout = quiet
        try:
            command("export", "ism-molecular", "--to", out, "--keep-source", "--library-only")
            command("export", "freeze-out", "--to", out, "--keep-source", "--library-only")
            for split, dts in (("train", 3), ("calibrate", 1), ("test", 1)):
                fixed = "labels ism-atomic --population wide --n 3000 --rtol 1e-5 --seed 3 --quiet".split()
                command(*fixed, "--dts", dts, "--split", split, "--out", out / f"{split}.h5")
        finally:
            sys.stdout = keep
        for model in ("ism-molecular", "freeze-out"):
            for file in sorted((out / f"{model}.src").iterdir()):
                yield f"generated {model} {file.name}", digest(file.read_text())
        import h5py

        for split in ("train", "calibrate", "test"):
            with h5py.File(out / f"{split}.h5") as f:
                yield f"labels {split}", digest(*(f[k][()] for k in ("start", "dt", "end")))
        yield from short_training(out)
        import torch
        from surrogate.training.nets.model_file import shipped_files
        from surrogate.training.nets.torch_export import load_predictor

        for model in MODELS:
            system, predictor = load_predictor(shipped_files()[model])
            start, dt = population(model, "wide", 500)
            with torch.no_grad():
                answer = predictor(torch.from_numpy(start), torch.from_numpy(dt))
            yield f"predictor {model}", digest(*(x.numpy() for x in answer))


def short_training(out):
    """Forty iterations of a small trainer."""
    from surrogate.training.fit.config import TrainConfig
    from surrogate.training.fit.pairs import read_pairs
    from surrogate.training.fit.trainer import Trainer
    from surrogate.training.nets.experts import NetConfig

    system = get_system("ism-atomic")
    train, check = (read_pairs([out / f"{s}.h5"], system, (s,)) for s in ("train", "calibrate"))
    net = NetConfig(16, 2, (2, 2, 1))
    trainer = Trainer(system, train, check, out / "net.h5", net, TrainConfig(minutes=1, batch=64))
    seconds = iter(range(10**6))
    for _ in range(40):
        trainer.seconds = next(seconds)  # the schedule follows the clock
        trainer._iterate()
    yield "training", digest(*(p.detach().numpy() for p in trainer.parameters))


def main():
    for part in (solver_and_net, ranks, hosts, training):
        for name, value in part():
            print(f"{value}  {name}", flush=True)


if __name__ == "__main__":
    main()
