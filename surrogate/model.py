"""Models: one system of equations with its solver, compiled to a shared library."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from surrogate import _engine, torch_net
from surrogate._engine import ffi, lib
from surrogate.errors import ModelError, check, last_message
from surrogate.stepper import Stepper

#: Where the compiled engine lives: beside the extension, which an editable install keeps apart from the sources.
ENGINE_DIR = Path(_engine.__file__).parent / "lib"


@dataclass(frozen=True)
class Variable:
    """A variable or parameter of a model: its name, unit and inclusive range of meaningful values.

    `value` is what a parameter has where the caller gives none, and None for a variable.
    """

    name: str
    unit: str
    lower: float
    upper: float
    value: float | None = None


@dataclass(frozen=True, repr=False)
class Model:
    """A loaded model: immutable, to be shared by any number of steppers and threads.

    Made by `surrogate.load`.

    Attributes
    ----------
    name : str
        As `surrogate export` was told; default that of the system, which is ``info["system"]``.
    variables : tuple of Variable
        In the order of the columns of ``cells``.
    parameters : tuple of Variable
        What ``params`` may hold.
    dt_range : tuple of float
        Time steps the model is meant for [s].
    info : mapping
        Provenance: system hash, references, versions.
    path : pathlib.Path or None
        The model library.
    """

    name: str
    variables: tuple[Variable, ...]
    parameters: tuple[Variable, ...]
    dt_range: tuple[float, float]
    info: Mapping[str, Any] = field(hash=False, compare=False)
    handle: Any
    path: Path | None = None

    def __repr__(self) -> str:
        names = " ".join(v.name for v in self.variables)
        return f"<{self.info.get('kind', 'model')} {self.name}: {names}; {len(self.parameters)} parameters>"

    def stepper(
        self,
        *,
        rtol: float,
        threads: int = 1,
        comm=None,
        audit: float = 0.0,
        coverage: float = 0.99,
        atol_frac: float | None = None,
        max_step: float | None = None,
        max_solver_steps: int = 100_000,
        net: bool = True,
        fallback: Literal["solver", "none"] = "solver",
        on_failure: Literal["flag", "error"] = "flag",
        isa: Literal["auto", "base", "v3", "v4"] = "auto",
        balance: Literal["world", "node", "off"] = "world",
        min_gain: float = 0.03,
        balance_interval: int = 1,
        timeout: float | None = None,
        harvest: float = 0.0,
        harvest_file: str | os.PathLike | None = None,
    ) -> Stepper:
        """Return a stepper: this model with options and working memory, for one thread or rank.

        Parameters
        ----------
        rtol : float
            Relative error per cell and step that you accept. Required: nobody else can know it.
        threads : int
            Threads that share the cells of a call. Results do not depend on it.
        comm : mpi4py communicator, optional
            Making the stepper and `Stepper.step` are then collective, the ranks share the solver's work, and reports
            are those of all ranks. Results do not depend on it.
        audit : float
            Fraction of the net's results to solve again; drawn by the cell's own bits. Found are the errors of the net
            (``report.audit``), and whether the promise holds in this run (``report.coverage``): where it does not, the
            net is trusted less, see `Stepper.trust`. Without effect on a model that has no net.
        coverage : float
            Share of the audited cells that are to be within `rtol` in the long run.
        atol_frac : float, optional
            Absolute error allowed, as a fraction of the total density; 1e-10 `rtol` if not given.
        max_step : float, optional
            Longest step of the solver [s], for what happens within a time step and cannot be seen from where the solver
            looks, such as a short pulse in a rate that depends on time. See also `Stepper.step`.
        max_solver_steps : int
            Step attempts after which the solver gives a cell up (status 34). One that makes no progress is given up
            after a few hundred (status 36).
        net : bool
            Whether the net may take the cells it vouches for, in a model that has one.
        fallback : {"solver", "none"}
            What advances the cells that the net does not.
        on_failure : {"flag", "error"}
            With "error", `CellsError` is raised and no cell modified if some cell cannot be advanced.
        isa : {"auto", "base", "v3", "v4"}
            Instruction set of the solver.
        balance : {"world", "node", "off"}
            With `comm`: who shares the solver's work. World: all ranks, those of a node first; node: the ranks of each
            node. Off with ``on_failure="error"``.
        min_gain : float
            Nobody sends work while he has less than 1 + `min_gain` times the mean; and after a step in which nobody had
            more, the next one is taken without asking.
        balance_interval : int
            Steps between two inquiries into the work of all ranks.
        timeout : float, optional
            Seconds after which a rank that does not take part in a step is given up with a `RanksError`; then end the
            run (``comm.Abort()``). Without it the others wait for ever, unless it has died, which ``mpiexec`` notices.
        harvest : float
            Share of the cells that a net is for to be kept as they come, for `surrogate adapt`: of all good cells but
            those that the net expects to be quick to solve. Drawn by the cell's own bits: the same ones on any number
            of threads and ranks. Results do not depend on it.
        harvest_file : path, optional
            Where to (.h5): a dataset for each variable, ``dt`` and each parameter, of one length. It can be read at any
            time, and holds 1e6 cells at most; later ones then take the place of earlier ones by chance. A file that is
            there is continued. Ranks write NAME.RANK.h5.

        Returns
        -------
        Stepper
        """
        return Stepper(
            self,
            reals={"rtol": rtol, "audit": audit, "coverage": coverage}
            | ({} if atol_frac is None else {"atol_frac": atol_frac}),
            integers={"threads": threads, "max_solver_steps": max_solver_steps, "net": net},
            words={"fallback": fallback, "on_failure": on_failure, "isa": isa},
            max_step=max_step,
            comm=comm,
            harvest=(harvest, harvest_file),
            ranks={"scope": balance, "tolerance": min_gain, "interval": balance_interval, "timeout": timeout},
        )

    def evaluate(
        self, cells: ArrayLike, params: ArrayLike | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Right-hand side and Jacobian, for checks and for solvers of your own; cells are not checked.

        Parameters
        ----------
        cells : array_like of shape (n_cells, n_vars)
        params : array_like of shape (n_cells, n_params), or one that broadcasts to it, optional
            In the order of `parameters`, whose values are the default.

        Returns
        -------
        f : ndarray of shape (n_cells, n_vars)
            Time derivatives [unit of the variable / s].
        jacobian : ndarray of shape (n_cells, n_vars, n_vars)
            ``jacobian[c, i, j]`` is the derivative of ``f[c, i]`` with respect to ``cells[c, j]``.
        """
        n_vars = len(self.variables)
        y = np.ascontiguousarray(cells, dtype=np.float64)
        if y.ndim != 2 or y.shape[1] != n_vars:
            raise ValueError(f"cells has shape {y.shape}: give (n_cells, {n_vars})")
        defaults = [p.value for p in self.parameters]
        given = np.asarray(defaults if params is None else params, dtype=np.float64)
        p = np.ascontiguousarray(np.broadcast_to(given, (len(y), len(defaults))))
        f, jacobian = np.empty_like(y), np.empty((len(y), n_vars, n_vars))
        check(
            lib.surr_model_evaluate(self.handle, len(y), *(ffi.from_buffer("double[]", x) for x in (y, p, f, jacobian)))
        )
        return f, jacobian

    def torch(self, device="cpu"):  # -> torch.nn.Module, without importing torch
        """Return the net as a torch module: (state, dt) -> (end, error, inside), all on `device`.

        A net that takes parameters is called with them, too, (state, dt, params): float64 of shape (n, n_inputs), those
        of the model's `parameters` that it takes, in their order (shipped nets: all).

        The net is read from the file NAME.pt beside the model library, which is code as the library is.
        ``state`` is float64 of shape (n, n_vars), ``dt`` float64 of shape (n,). ``error`` is the smallest `rtol` at
        which the prediction may be accepted, ``inside`` whether the cell is in the domain. Nothing is solved.

        Parameters
        ----------
        device : str or torch.device

        Raises
        ------
        ModelError
            PyTorch is not installed, or there is no net beside the library, or not one of this system. A model of this
            package needs the extra ``training`` for it.
        """
        is_shipped = self.path is not None and self.path.parent == ENGINE_DIR / "models"
        return torch_net.load(self.name, self.path, self.info, device, is_shipped)

    def selftest(self) -> float:
        """Replay the stored test vectors and return the largest error; raise `ModelError` above 1e-10."""
        error = ffi.new("double *")
        check(lib.surr_model_selftest(self.handle, error))
        return error[0]


def load(name_or_path: str | os.PathLike) -> Model:
    """Load a model by name, or from the path of a model library.

    Parameters
    ----------
    name_or_path : str or path-like
        A name is looked up in the directories of ``$SURROGATE_MODEL_PATH``, then among the models of this package
        (see `models`); anything with a slash is a path.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        There is no such model, or it cannot be used here.
    """
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, Path) and "/" not in text:
        text = "./" + text
    out = ffi.new("surr_model **")
    encoded = text.encode()
    if lib.surr_model_open(encoded, len(encoded), out) < 0:
        known = ", ".join(_find_libraries()) or "none"
        raise ModelError(f"{last_message()}. Models found: {known}")
    handle = ffi.gc(out[0], lib.surr_model_close)
    fields = _read_fields(handle)
    n_state = sum(f.value is None for f in fields)
    info = _read_info(handle)
    lower, upper = ffi.new("double *"), ffi.new("double *")
    check(lib.surr_model_dt_range(handle, lower, upper))
    return Model(
        name=info.get("name", info.get("system", Path(text).stem)),
        variables=fields[:n_state],
        parameters=fields[n_state:],
        dt_range=(lower[0], upper[0]),
        info=info,
        handle=handle,
        path=Path(text).absolute() if "/" in text else _find_libraries().get(text),
    )


def models() -> dict[str, Model]:
    """Return the models that can be loaded by name, as a dictionary name -> `Model`."""
    return {name: load(path) for name, path in _find_libraries().items()}


def _find_libraries():
    """Model libraries by name, in the order in which the engine would find them."""
    listed = [Path(d) for d in os.environ.get("SURROGATE_MODEL_PATH", "").split(":") if d]
    found = {}
    for directory in [*listed, ENGINE_DIR / "models"]:
        for path in sorted(directory.glob("*.so")):
            found.setdefault(path.stem, path.absolute())
    return found


def _read_fields(handle):
    n_state, n_param = ffi.new("int32_t *"), ffi.new("int32_t *")
    check(lib.surr_model_count(handle, n_state, n_param))
    name, unit = ffi.new("char[256]"), ffi.new("char[256]")
    lower, upper, value, is_param = (ffi.new(t) for t in ("double *", "double *", "double *", "int32_t *"))
    fields = []
    for i in range(n_state[0] + n_param[0]):
        check(lib.surr_model_field(handle, i, name, 256, unit, 256, lower, upper, value, is_param))
        fields.append(
            Variable(
                ffi.string(name).decode(),
                ffi.string(unit).decode(),
                lower[0],
                upper[0],
                value[0] if is_param[0] else None,
            )
        )
    return tuple(fields)


def _read_info(handle):
    needed = ffi.new("int64_t *")
    check(lib.surr_model_info(handle, ffi.NULL, 0, needed))
    text = ffi.new("char[]", needed[0])
    check(lib.surr_model_info(handle, text, needed[0], ffi.NULL))
    return json.loads(ffi.string(text).decode())
