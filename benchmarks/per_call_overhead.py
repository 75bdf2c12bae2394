"""What does a call cost with 1 and with 32 cells, as hosts call, against TorchScript and ONNX Runtime?

    python -m benchmarks.per_call_overhead                  # needs torch, onnx, onnxruntime and a C compiler

Two comparisons, one thread, each program in a process of its own. ``this net``: the shipped model ism-molecular on
cells that its net accepts: our whole step (gather, checks, domain, judge, net, conservation, scatter), from C and from
Python through cffi, against the TorchScript that `surrogate export` writes of the same net. ``MLP``: a perceptron
12-64-64-64-11 with SiLU in float32 and nothing around it, of the size in which couplings of PyTorch to Fortran are
timed. Microseconds per call (the lowest of five medians), called from Python where not from C, and resident memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from surrogate import Status

from .options import finish, make_parser, progress, start
from .timing import ROOT, ZOO

RTOL, CELLS, WIDTHS = 0.1, (1, 32), (12, 64, 64, 64, 11)
WHAT = {
    "c": "this net: surr_step_block, from C",
    "cffi": "this net: surr_step_block, from Python",
    "torchscript": "this net: TorchScript",
    "mlp_torch": "MLP: PyTorch",
    "mlp_torchscript": "MLP: TorchScript, frozen",
    "mlp_onnx": "MLP: ONNX Runtime",
}


def median_us(call, repeats, prepare=lambda: None):
    """Median microseconds of `call`, each after `prepare`: the lowest of five medians, against bursts of other load."""
    times = []
    for _ in range(repeats):
        prepare()
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    fifth = repeats // 5
    return 1e6 * min(statistics.median(times[i * fifth : (i + 1) * fifth]) for i in range(5))


def accepted_cells(model, n=4096):
    """Cells and time steps [s] that the net takes: warm neutral gas over two decades of density."""
    gas = {
        "H": 0.9,
        "H+": 0.1,
        "H-": 1e-6,
        "H2": 1e-3,
        "H2+": 1e-6,
        "He": 0.10738,
        "He+": 1e-6,
        "He++": 1e-6,
        "e-": 0.100003,
        "T": 8000.0,
    }
    cells = np.outer(np.geomspace(1, 100, 2 * n), [gas[v.name] for v in model.variables])
    cells[:, -1] = np.random.default_rng(1).uniform(6000, 9000, len(cells))
    dt = np.full(len(cells), 3.15576e12)
    taken = model.stepper(rtol=RTOL).step(cells.copy(), dt).status == Status.NET
    return np.column_stack([cells, dt])[taken][:n]


def run_cffi(directory, repeats):
    """Our step through the C interface, with everything prepared."""
    from surrogate._engine import ffi, lib

    import surrogate

    model = surrogate.load(directory / "ism-molecular.so")
    rows = np.fromfile(directory / "cells.f64").reshape(-1, len(model.variables) + 1)
    stepper = model.stepper(rtol=RTOL)
    result = {}
    for n in CELLS:
        q, n_vars = np.empty((n, rows.shape[1])), len(model.variables)
        scalars = [np.array(p.value) for p in model.parameters]
        cost, mask = np.zeros(n), np.zeros(())
        fields = [*(q[:, k] for k in range(n_vars)), *scalars, q[:, n_vars], mask, cost]
        base = ffi.new("void *[]", [ffi.cast("void *", f.__array_interface__["data"][0]) for f in fields])
        stride = ffi.new("int64_t[]", [q.shape[1]] * n_vars + [0] * len(scalars) + [q.shape[1], 0, 1])
        step, plan, work = lib.surr_step, stepper._plan, stepper._work
        starts = iter(np.random.default_rng(2).integers(0, len(rows) - n, repeats).tolist())

        def prepare(q=q, n=n, starts=starts):
            first = next(starts)
            q[:] = rows[first : first + n]

        def call(n=n, base=base, stride=stride, step=step, plan=plan, work=work):
            step(plan, work, n, 1.0, base, stride, 0, ffi.NULL, ffi.NULL, ffi.NULL)

        result[n] = median_us(call, repeats, prepare)
    return result


def run_torchscript(directory, repeats):
    """The same net as TorchScript."""
    import torch

    import surrogate

    torch.set_num_threads(1)
    model = surrogate.load(directory / "ism-molecular.so")
    module = model.torch().eval()
    rows = torch.from_numpy(np.fromfile(directory / "cells.f64").reshape(-1, len(model.variables) + 1))
    state, dt = rows[:, :-1].contiguous(), rows[:, -1].contiguous()
    with torch.inference_mode():
        return {n: median_us(lambda n=n: module(state[:n], dt[:n]), max(repeats // 10, 100)) for n in CELLS}


def mlp_weights():
    """Weights and biases of the perceptron."""
    rng = np.random.default_rng(0)
    return [
        (rng.normal(0, n**-0.5, (n, m)).astype(np.float32), rng.normal(0, 0.1, m).astype(np.float32))
        for n, m in zip(WIDTHS, WIDTHS[1:])
    ]


def mlp_inputs(n):
    """The same cells for every program."""
    return np.random.default_rng(3).normal(size=(n, WIDTHS[0])).astype(np.float32)


def run_mlp_torch(_directory, repeats, script=False):
    """The perceptron in PyTorch, eager or as frozen TorchScript."""
    import torch

    torch.set_num_threads(1)
    layers = []
    for weight, bias in mlp_weights():
        layer = torch.nn.Linear(*weight.shape)
        layer.weight.data, layer.bias.data = torch.from_numpy(weight.T.copy()), torch.from_numpy(bias)
        layers += [layer, torch.nn.SiLU()]
    net = torch.nn.Sequential(*layers[:-1]).eval()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if script:
            net = torch.jit.freeze(torch.jit.trace(net, torch.from_numpy(mlp_inputs(32))))
        inputs = {n: torch.from_numpy(mlp_inputs(n)) for n in CELLS}
        return {n: median_us(lambda n=n: net(inputs[n]), repeats) for n in CELLS}


def run_mlp_onnx(directory, repeats):
    """The perceptron in ONNX Runtime."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, x = [], [], "x"
    for i, (weight, bias) in enumerate(mlp_weights()):
        constants += [numpy_helper.from_array(weight, f"w{i}"), numpy_helper.from_array(bias, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], [f"g{i}"]))
        x = f"g{i}"
        if i < len(WIDTHS) - 2:
            nodes.append(helper.make_node("Sigmoid", [x], [f"s{i}"]))
            nodes.append(helper.make_node("Mul", [x, f"s{i}"], [f"m{i}"]))
            x = f"m{i}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
        for name, width in (("x", WIDTHS[0]), (x, WIDTHS[-1]))
    ]
    graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, directory / "mlp.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(directory / "mlp.onnx", options, providers=["CPUExecutionProvider"])
    weights = mlp_weights()
    expected = mlp_inputs(32)
    for i, (weight, bias) in enumerate(weights):
        expected = expected @ weight + bias
        if i < len(weights) - 1:
            expected = expected / (1 + np.exp(-expected))
    assert np.allclose(session.run(None, {"x": mlp_inputs(32)})[0], expected, atol=1e-4)
    inputs = {n: {"x": mlp_inputs(n)} for n in CELLS}
    return {n: median_us(lambda n=n: session.run(None, inputs[n]), repeats) for n in CELLS}


RUNNERS = {
    "cffi": run_cffi,
    "torchscript": run_torchscript,
    "mlp_torch": run_mlp_torch,
    "mlp_onnx": run_mlp_onnx,
    "mlp_torchscript": lambda d, r: run_mlp_torch(d, r, script=True),
}


def resident_mb():
    """Resident memory of this process [MB]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def measure(name, directory, repeats):
    """Run one program in a process of its own: microseconds per call by number of cells, and resident MB."""
    if name == "c":
        from surrogate.model import ENGINE_DIR

        program = directory / "per_call"
        subprocess.run(
            [
                os.environ.get("CC", "cc"),
                "-O2",
                f"-I{ROOT / 'bindings' / 'include'}",
                Path(__file__).with_name("per_call.c"),
                "-o",
                program,
                f"-L{ENGINE_DIR}",
                f"-Wl,-rpath,{ENGINE_DIR}",
                "-lsurrogate",
            ],
            check=True,
        )
        command = [program, directory / "ism-molecular.so", str(RTOL), directory / "cells.f64", str(repeats)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        lines = dict(line.split() for line in out.splitlines())
        return {"us": {n: float(lines[str(n)]) for n in CELLS}, "resident_mb": float(lines["rss"])}
    command = [
        sys.executable,
        "-m",
        "benchmarks.per_call_overhead",
        "--only",
        name,
        "--directory",
        str(directory),
        "--repeats",
        str(repeats),
    ]
    out = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ).stdout
    result = json.loads(out.splitlines()[-1])
    return {"us": {int(n): us for n, us in result["us"].items()}, "resident_mb": result["resident_mb"]}


def main(arguments=None):
    """Measure, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=20000)
    parser.add_argument("--only", choices=RUNNERS, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    options = start(parser, arguments, repeats=50)
    if options.only:
        us = RUNNERS[options.only](options.directory, options.repeats)
        print(json.dumps({"us": us, "resident_mb": resident_mb()}))
        return
    import surrogate

    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        subprocess.run(
            [sys.executable, "-m", "surrogate", "export", ZOO / "ism-molecular.h5", "--to", directory],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        accepted_cells(surrogate.load(directory / "ism-molecular.so")).tofile(directory / "cells.f64")
        results = {}
        print(f"{'':<42}" + "".join(f"{f'{n} cells [us]':>15}" for n in CELLS) + f"{'resident [MB]':>15}")
        for name, text in progress(WHAT.items()):
            results[name] = measure(name, directory, options.repeats)
            row = "".join(f"{results[name]['us'][n]:>15.2f}" for n in CELLS)
            print(f"{text:<42}{row}{results[name]['resident_mb']:>15.1f}", flush=True)
    finish("per_call_overhead", options, {"results": results})


if __name__ == "__main__":
    main()
