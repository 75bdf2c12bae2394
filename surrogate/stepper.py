"""Steppers: a model with options and working memory, bound to one thread or rank."""

import threading

import numpy as np

from surrogate._engine import ffi, lib
from surrogate.cells import lay_out, spread
from surrogate.errors import CellsError, check, last_message
from surrogate.report import make_report


class Stepper:
    """Advances cells by one time step per call, in place. Made by `Model.stepper`; one thread may use it at a time.

    Attributes
    ----------
    model : Model
    comm : mpi4py communicator or None
    """

    def __init__(self, model, *, reals, integers, words, comm):
        self.model = model
        self.comm = comm
        self._names = [v.name for v in model.variables]
        self._plan = _make_plan(model, reals, integers, words)
        out = ffi.new("surr_work **")
        check(lib.surr_work_create(self._plan, 0, out))
        self._work = ffi.gc(out[0], lib.surr_work_free)

    def step(self, cells, dt, *, params=None, mask=None, index=None):
        """Advance every cell by `dt`, in place.

        Parameters
        ----------
        cells : ndarray of shape (..., n_vars), or mapping of name to ndarray of a common shape
            State in the model's units (number densities [cm^-3], temperature [K]), float64, writable, of any strides;
            changed in place and never copied. Nothing in it may overlap.
        dt : float or array_like of the cells' shape
            Time step [s], positive.
        params : dict of str to float or array_like of the cells' shape, optional
            Parameters of the model; those not given keep the values in ``model.parameters``.
        mask : array_like of bool of the cells' shape, optional
            True: leave this cell alone (status 32).
        index : array_like of int, optional
            Flat (C order) numbers of the cells to visit, none twice; all if not given.

        Returns
        -------
        Report
            ``report.status`` holds one byte per cell, in the cells' shape (with `index`: in its order). Cells with a
            status of 32 and above were left as they were.

        Raises
        ------
        ValueError, TypeError
            An argument cannot be used; no cell was changed. A bad *cell* raises nothing, see ``report.status``.
        CellsError
            ``on_failure="error"`` and some cell could not be advanced; no cell was changed.
        """
        if self.comm is None:
            return self._run(*self._prepare(cells, dt, params, mask, index))
        from surrogate import mpi

        return mpi.step_together(
            self.comm, lambda: self._prepare(cells, dt, params, mask, index), lambda prepared: self._run(*prepared)
        )

    def _prepare(self, cells, dt, params, mask, index):
        """Check all arguments; return the layout of the cells, the inputs and the shape of the status array."""
        layout = lay_out(cells, self._names, index)
        inputs = [spread(x, layout, index, what) for what, x in self._inputs(dt, params, mask)]
        _check_scalar_dt(inputs[-2])
        return layout, inputs, layout.shape if index is None else layout.index.shape

    def _run(self, layout, inputs, shape):
        status, cost = np.zeros(shape, dtype=np.int8), np.zeros(shape)
        columns = [*inputs, cost.reshape(-1)]
        base = ffi.new(
            "void *[]",
            [ffi.cast("void *", a) for a in layout.addresses]
            + [ffi.cast("void *", x.__array_interface__["data"][0]) for x in columns],
        )
        stride = ffi.new("int64_t[]", layout.strides + [x.strides[0] // 8 if x.ndim else 0 for x in columns])
        where = ffi.NULL if layout.index is None else ffi.cast("void *", layout.index.ctypes.data)
        stat = ffi.new("int64_t[]", lib.SURR_NSTAT)
        code = lib.surr_step(
            self._plan,
            self._work,
            status.size,
            1.0,
            base,
            stride,
            lib.SURR_F64,
            where,
            ffi.cast("uint8_t *", status.ctypes.data),
            stat,
        )
        if code == lib.SURR_E_CELLS:
            raise CellsError(last_message(), status)
        check(code)
        seconds = ffi.new("double[]", lib.SURR_NPHASE)
        check(lib.surr_work_seconds(self._work, seconds))
        audit = np.zeros(lib.SURR_NAUDIT, dtype=np.int64)
        check(lib.surr_work_audit(self._work, ffi.from_buffer("int64_t[]", audit)))
        return make_report(status, cost, list(stat), list(seconds), audit)

    def _inputs(self, dt, params, mask):
        """Name and value of every input, in the order of the plan's slots."""
        params = {} if params is None else params
        known = [p.name for p in self.model.parameters]
        unknown = [name for name in params if name not in known]
        if unknown:
            raise ValueError(
                f"params has {unknown[0]!r}, {self.model.name} has the parameters: {', '.join(known) or 'none'}"
            )
        inputs = [(f"params[{p.name!r}]", params.get(p.name, p.value)) for p in self.model.parameters]
        return [*inputs, ("dt", dt), ("mask", 0.0 if mask is None else mask)]


def _make_plan(model, reals, integers, words):
    out = ffi.new("surr_plan **")
    check(lib.surr_plan_create(model.handle, out))
    plan = ffi.gc(out[0], lib.surr_plan_free)
    slots = [(v.name, lib.SURR_Q_STATE, lib.SURR_F_INDEXED) for v in model.variables]
    slots += [(p.name, lib.SURR_Q_PARAM, lib.SURR_F_COMPACT) for p in model.parameters]
    slots += [("dt", lib.SURR_Q_DT, lib.SURR_F_COMPACT), ("mask", lib.SURR_Q_MASK, lib.SURR_F_COMPACT)]
    slots += [("cost", lib.SURR_Q_COST, lib.SURR_F_COMPACT)]
    for name, quantity, flags in slots:
        check(lib.surr_plan_field(plan, name.encode(), -1, quantity, 1.0, flags, ffi.NULL))
    check(lib.surr_plan_set_i(plan, b"index_bytes", -1, 8))
    for values, convert, setter in ((reals, float, lib.surr_plan_set_d), (integers, int, lib.surr_plan_set_i)):
        for key, value in values.items():
            check(setter(plan, key.encode(), -1, _as_number(value, convert, key)))
    for key, value in words.items():
        check(lib.surr_plan_set_s(plan, key.encode(), -1, str(value).encode(), -1))
    check(lib.surr_plan_commit(plan))
    return plan


def _as_number(value, convert, what):
    try:
        number = convert(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} is {value!r}: give a number") from error
    if number != value and number == number:
        raise TypeError(f"{what} is {value!r}: give a whole number")
    return number


def _check_scalar_dt(dt):
    if dt.ndim == 0 and not (np.isfinite(dt) and dt > 0):
        raise ValueError(f"dt is {float(dt)}: give a positive finite time step")


_cache = threading.local()


def step(cells, dt, *, model, rtol, params=None, mask=None, index=None, threads=1, audit=0.0, comm=None):
    """Advance cells in one line; see `Stepper.step` and `Model.stepper` for the arguments.

    Steppers are kept per thread, so that repeated calls do not set up anything anew.

    Parameters
    ----------
    model : str or path-like
        As in `surrogate.load`.

    Returns
    -------
    Report
    """
    from surrogate.model import load

    key = (str(model), rtol, threads, audit, None if comm is None else id(comm))
    steppers = _cache.__dict__.setdefault("steppers", {})
    if key not in steppers:
        steppers[key] = load(model).stepper(rtol=rtol, threads=threads, audit=audit, comm=comm)
    return steppers[key].step(cells, dt, params=params, mask=mask, index=index)
