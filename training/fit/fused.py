"""The gradient of the supervised loss by a C kernel of our own, compiled for this machine when training starts.

PyTorch writes every activation of a batch to memory and reads it back, layer by layer. `fused.c` takes a tile of
samples through all layers forward and back within the caches: see NOTES.md for what this is worth.
"""

import functools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cffi
import torch

from ..codegen.library import compiler, kernel_source, run
from .config import TrainConfig
from .prepare import Prepared

FLAGS = [
    "-std=gnu11",
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fPIC",
    "-shared",
]
_DECLARATIONS = """
typedef struct {
    int32_t n_in, width, depth, n_out, batch;
    float beta;
    const float *inputs, *target, *counts;
    const int64_t *rows;
    const float *out_std;
    const float *const *weights, *const *biases;
    float *const *d_weights, *const *d_biases;
} fused_problem;
int64_t fused_scratch(const fused_problem *p);
double fused_gradient(const fused_problem *p, int32_t first, int32_t last, float *scratch);
int32_t fused_lanes(void);
int32_t fused_max_layers(void);
"""


class FusedGradient:
    """Gradient of the supervised loss for residual experts on the CPU.

    Parameters
    ----------
    experts : Experts
        Its parameters get ``grad`` tensors, which every call overwrites.
    inputs, target, counts : float32 Tensors of shape (n, n_in), (n, n_vars), (n, n_vars)
        All samples, kept by reference.
    out_std : float32 Tensor of shape (n_experts, n_vars)
    batch : int
        Samples per expert and call.
    beta : float
        See `TrainConfig`.
    threads : int
        Each takes a share of the experts; the result does not depend on them.

    Raises
    ------
    OSError, RuntimeError
        If there is no working C compiler.
    ValueError
        If the width is not a multiple of the machine's vectors, or there are too many layers.
    """

    def __init__(self, experts, inputs, target, counts, out_std, batch, beta, threads=1):
        self._ffi, self._lib = _compiled()
        n_experts, _, width = experts.weights[0].shape
        if width % self._lib.fused_lanes():
            raise ValueError(f"width {width} is not a multiple of {self._lib.fused_lanes()}")
        if len(experts.weights) > self._lib.fused_max_layers():
            raise ValueError(f"{len(experts.weights)} layers are more than {self._lib.fused_max_layers()}")
        self._samples = [t.contiguous() for t in (inputs, target, counts, out_std)]
        weights, biases = list(experts.weights), list(experts.biases)
        for p in (*weights, *biases):
            p.grad = torch.zeros_like(p)
        stacks = [
            self._ffi.new("float *[]", [self._pointer(t) for t in group])
            for group in (weights, biases, [p.grad for p in weights], [p.grad for p in biases])
        ]
        first = [self._pointer(t) for t in self._samples]
        self._problem = self._ffi.new(
            "fused_problem *",
            [
                inputs.shape[1],
                width,
                len(weights) - 2,
                weights[-1].shape[2],
                batch,
                beta,
                *first[:3],
                self._ffi.NULL,
                first[3],
                *stacks,
            ],
        )
        self._stacks = stacks
        size = self._lib.fused_scratch(self._problem)
        threads = max(1, min(threads, n_experts))
        self._scratch = [torch.empty(size) for _ in range(threads)]
        bounds = [n_experts * i // threads for i in range(threads + 1)]
        self._shares = list(zip(bounds[:-1], bounds[1:], self._scratch))
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._n, self._batch = n_experts * batch, batch

    def __call__(self, rows):
        """Loss for ``rows`` (int64, n_experts * batch), summed over experts; the parameters' ``grad`` is set."""
        if rows.dtype != torch.int64 or rows.numel() != self._n or not rows.is_contiguous():
            raise ValueError(f"rows: need {self._n} contiguous int64 numbers")
        self._problem.rows = self._ffi.cast("const int64_t *", rows.data_ptr())

        def work(share):
            first, last, scratch = share
            return self._lib.fused_gradient(self._problem, first, last, self._pointer(scratch))

        losses = self._pool.map(work, self._shares) if self._pool else map(work, self._shares)
        return sum(losses) / self._batch

    def _pointer(self, tensor):
        return self._ffi.cast("float *", tensor.data_ptr())


@functools.cache
def _compiled():
    """The kernel, compiled once per process: (ffi, library)."""
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory) / "fused.so"
        command = [
            *compiler(),
            *FLAGS,
            "-I",
            str(kernel_source()),
            str(Path(__file__).with_name("fused.c")),
            "-o",
            str(library),
            "-lm",
        ]
        run(command)
        return ffi, ffi.dlopen(str(library))


def make_fused(data: Prepared, config: TrainConfig) -> FusedGradient | None:
    """The fast way to the gradient of the supervised loss, or None where it does not apply."""
    surrogate = data.surrogate
    if surrogate.config.kind != "residual" or data.inputs.device.type != "cpu":
        return None
    try:
        return FusedGradient(
            surrogate.experts,
            data.inputs,
            data.remaining,
            data.counts,
            surrogate.out_std.float(),
            config.batch,
            config.beta,
            config.threads,
        )
    except (OSError, RuntimeError, ValueError):
        return None  # no compiler, or a width that does not fit: PyTorch does it, a few times slower
