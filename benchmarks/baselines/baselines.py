"""Established stiff solvers on the very right-hand side and Jacobian our own solver runs.

    baseline = Baseline(mechanism_dir)
    result = baseline.solve(cells, dt, params, "lsodes-21", rtol=1e-4, atol=1e-20)

Costs are CPU time of one core, measured in C around the loop over the cells; report them beside the error.
"""

import ctypes
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import cvode, hairer, odepack
from ._build import DEFAULT_DIRECTORY, HERE, OPTIMISE, REPOSITORY, SHARED, BaselineError, build_once, find_tool

C_FLAGS = (
    *OPTIMISE,
    *SHARED,
    "-std=gnu11",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fno-strict-aliasing",
    "-Werror=implicit-function-declaration",
    "-DSURR_LANES=1",
)

# How the generated mechanism is compiled: folders of simd.h, vecmath.h and mechfun.h, first match wins.
ARITHMETIC = {"scalar": (HERE / "scalar",), "lane": (REPOSITORY / "bindings" / "kernel",)}

COUNTS = ("status", "steps", "n_rhs", "n_jac", "n_restarts")


@dataclass(frozen=True)
class Mode:
    """One way to run one opponent.

    Attributes
    ----------
    library : str
        'odepack', 'cvode' or 'hairer'.
    method : tuple of int
        What the driver calls its method: (is sparse, MF, is KROME protocol), (is KLU, 0, 0) or (is RADAU5, 0, 0).
    rtol, atol : float, optional
        Tolerances that belong to the protocol; None where the caller must choose.
    """

    library: str
    method: tuple
    rtol: float = None
    atol: float = None


MODES = {
    # MF: 222 pattern and Jacobian by differences, 121 given Jacobian, 21 given Jacobian and pattern.
    "lsodes-krome": Mode("odepack", (1, 222, 1), rtol=1e-4, atol=1e-20),
    "lsodes-krome-21": Mode("odepack", (1, 21, 1), rtol=1e-4, atol=1e-20),
    "lsodes-222": Mode("odepack", (1, 222, 0)),
    "lsodes-121": Mode("odepack", (1, 121, 0)),
    "lsodes-21": Mode("odepack", (1, 21, 0)),
    "lsode-dense": Mode("odepack", (0, 21, 0)),
    "cvode-dense": Mode("cvode", (0, 0, 0)),
    "cvode-klu": Mode("cvode", (1, 0, 0)),
    "rodas": Mode("hairer", (0, 0, 0)),
    "radau5": Mode("hairer", (1, 0, 0)),
}


@dataclass(frozen=True)
class Result:
    """What an opponent returned and what it took; arrays have one entry per cell.

    Attributes
    ----------
    states : ndarray of shape (n_cells, n_state)
        Final states, NaN in failed cells.
    seconds : float
        CPU time of the loop over all cells, failed ones included [s].
    steps, n_rhs, n_jac, n_restarts : ndarray of int64
        Steps, right-hand sides (those for structure detection and difference Jacobians included), Jacobians,
        extra calls after the solver broke off.
    status : ndarray of int64
        0, or the last error code of the library (ISTATE, CVODE flag; -1 is the step limit of both).
    """

    states: np.ndarray
    seconds: float
    steps: np.ndarray
    n_rhs: np.ndarray
    n_jac: np.ndarray
    n_restarts: np.ndarray
    status: np.ndarray

    @property
    def failed(self):
        """Boolean ndarray: which cells did not arrive."""
        return self.status != 0

    @property
    def us_per_cell(self):
        """CPU time per cell [µs]."""
        return 1e6 * self.seconds / max(len(self.status), 1)


class _Task(ctypes.Structure):
    """`baseline_task` of driver.h."""

    _fields_ = [
        ("method", ctypes.c_int32 * 3),
        ("is_vector_atol", ctypes.c_int32),
        ("max_steps", ctypes.c_int64),
        ("rtol", ctypes.c_double),
        ("atol", ctypes.c_void_p),
        ("atol_stride", ctypes.c_int64),
    ]


@dataclass(frozen=True)
class Baseline:
    """The opponents on one mechanism; each library is compiled at its first use and kept.

    Parameters
    ----------
    mechanism_dir : path
        Folder with the generated ``mechanism.h``.
    build_dir : path, optional
        Where sources, libraries and drivers are kept, default ``build/baselines`` of this repository.
    arithmetic : str
        'scalar' compiles the mechanism as plain C, the faster way for one cell at a time; 'lane' as vectors of one
        lane, with our exp and log.
    max_steps : int
        Steps granted to a cell, restarts included; the KROME protocol has its own limit, 100 calls of 500 steps.

    Notes
    -----
    ODEPACK keeps global state: one `solve` at a time per process.
    """

    mechanism_dir: Path
    build_dir: Path = None
    arithmetic: str = "scalar"
    max_steps: int = 100_000
    _libraries: dict = field(default_factory=dict, init=False, repr=False)

    def solve(self, cells, dt, params, mode, rtol=None, atol=None):
        """Integrate every cell from time 0 to its dt.

        Parameters
        ----------
        cells : array_like of shape (n_cells, n_state)
            Initial states, not changed.
        dt : array_like of shape (n_cells,) or float
            Time to integrate over [s].
        params : array_like of shape (n_cells, n_param) or (n_param,), or None
            Parameters of the mechanism.
        mode : str
            A key of `MODES`.
        rtol : float
            Relative tolerance; may be left out where the mode prescribes it.
        atol : array_like broadcastable to (n_cells, n_state)
            Absolute tolerance, in the units of the state. One number per cell: shape (n_cells, 1).

        Returns
        -------
        Result
        """
        mode = find_mode(mode)
        library = self.load(mode.library)
        n_state, n_param = _shape_of(library)
        states = np.array(cells, dtype=float, order="C", ndmin=2)
        if states.ndim != 2 or states.shape[1] != n_state:
            raise ValueError(f"cells has shape {np.shape(cells)}, the mechanism needs (n_cells, {n_state})")
        dt = np.ascontiguousarray(_spread("dt", dt, (len(states),)))
        params = np.zeros(0) if params is None else params
        params = np.ascontiguousarray(_spread("params", params, (len(states), n_param)))
        if not (dt >= 0).all():
            raise ValueError("dt must not be negative or NaN")
        task, _keep = self._make_task(mode, rtol, atol, states.shape)
        counts = np.zeros((len(states), len(COUNTS)), dtype=np.int64)
        seconds = ctypes.c_double()
        if library.baseline_solve(
            ctypes.byref(task),
            ctypes.c_int64(len(states)),
            _pointer(states),
            _pointer(dt),
            _pointer(params),
            _pointer(counts),
            ctypes.byref(seconds),
        ):
            raise BaselineError(f"this build of {mode.library} lacks a linear solver; KLU needs SuiteSparse's headers")
        states[counts[:, 0] != 0] = np.nan
        return Result(states, seconds.value, **dict(zip(COUNTS, counts.T, strict=True)))

    def load(self, name):
        """The driver of library `name` ('odepack', 'cvode', 'hairer') for this mechanism, built if need be."""
        if name not in self._libraries:
            build_dir = Path(self.build_dir or DEFAULT_DIRECTORY).resolve()
            source, flags, libraries = _PARTS[name](build_dir)
            if self.arithmetic not in ARITHMETIC:
                raise ValueError(f"unknown arithmetic {self.arithmetic!r}; there are {', '.join(ARITHMETIC)}")
            headers = [Path(self.mechanism_dir).resolve(), *ARITHMETIC[self.arithmetic]]
            self._libraries[name] = ctypes.CDLL(str(_compile_driver(source, headers, build_dir, flags, libraries)))
        return self._libraries[name]

    def _make_task(self, mode, rtol, atol, shape):
        """The task and the array it points to."""
        rtol = mode.rtol if rtol is None else rtol
        atol = mode.atol if atol is None else atol
        if rtol is None or atol is None:
            raise ValueError("this mode needs rtol and atol")
        atol = np.ascontiguousarray(atol, dtype=float)
        _spread("atol", atol, shape)
        width = atol.shape[-1]
        stride = width if atol.ndim == 2 and shape[0] > 1 and atol.shape[0] > 1 else 0
        task = _Task((ctypes.c_int32 * 3)(*mode.method), width > 1, self.max_steps, rtol, atol.ctypes.data, stride)
        return task, atol


def find_mode(name):
    """The `Mode` called `name`."""
    if name not in MODES:
        raise ValueError(f"unknown mode {name!r}; there are {', '.join(MODES)}")
    return MODES[name]


def _spread(name, array, shape):
    """`array` broadcast to `shape`, or an error that names it."""
    try:
        return np.broadcast_to(np.asarray(array, dtype=float), shape)
    except ValueError:
        raise ValueError(f"{name} has shape {np.shape(array)}, which does not broadcast to {tuple(shape)}") from None


def _pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def _shape_of(library):
    n_param = ctypes.c_int32()
    return library.baseline_shape(ctypes.byref(n_param)), n_param.value


def _compile_driver(source, headers, build_dir, flags, libraries):
    """Compile one driver against the mechanism in the first of the header folders."""
    compiler = find_tool(os.environ.get("CC", "gcc"), "install a C compiler with GNU vector extensions")
    inputs = [HERE / source, HERE / "driver.h", *(path for folder in headers for path in sorted(folder.glob("*.h")))]
    includes = [f"-I{folder}" for folder in headers]
    command = [compiler, *C_FLAGS, *includes, *flags, HERE / source, *libraries, "-lm"]
    return build_once(build_dir / "drivers", f"lib{Path(source).stem}.so", inputs, command)


def _odepack_parts(build_dir):
    return "driver.c", [], [odepack.build(build_dir)]


def _cvode_parts(build_dir):
    return "driver_cvode.c", *cvode.flags(cvode.build(build_dir))


def _hairer_parts(build_dir):
    return "driver_hairer.c", [], [hairer.build(build_dir)]


_PARTS = {"odepack": _odepack_parts, "cvode": _cvode_parts, "hairer": _hairer_parts}
