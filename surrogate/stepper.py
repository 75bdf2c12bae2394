"""Steppers: a model with options and working memory, bound to one thread or rank."""

import math
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from numpy.typing import ArrayLike

from surrogate._engine import ffi, lib
from surrogate.cells import Cells, address, lay_out, spread
from surrogate.coverage import Coverage
from surrogate.errors import CellsError, check, last_message
from surrogate.harvest import open_harvest, write_at_end
from surrogate.report import STATUS_NAMES, Report, make_report


class Stepper:
    """Advances cells by one time step per call, in place. Made by `Model.stepper`; one thread may use it at a time.

    Attributes
    ----------
    model : Model
    comm : mpi4py communicator or None
    harvest : HarvestFile or None
        Where this rank's harvest goes; ``harvest.write()`` writes at once what waits in memory.
    """

    def __init__(self, model, *, reals, integers, words, max_step=None, comm=None, ranks=None, harvest=(0.0, None)):
        self.model = model
        self._max_step = max_step
        self.comm = comm
        self._options = {"atol_frac": None, **reals, **integers, **words, "max_step": max_step}
        self._names = [v.name for v in model.variables]
        self._trust, self._audited, self._wrong = 1.0, 0, 0
        share, path = harvest

        def make_plan():
            self.harvest = open_harvest(model, share, path, comm)
            return _make_plan(model, reals, integers, words, self.harvest, share)

        if comm is None:
            self._plan = make_plan()
            self._make_work()
        else:
            from surrogate import mpi

            self._ranks = mpi.Ranks(comm, **ranks)
            can_wait = words["on_failure"] == "flag"  # else a queue could not undo what the net did
            self._is_balanced = self._ranks.is_balanced and can_wait
            self._plan = self._ranks.agree(make_plan)
            self._ranks.agree(self._make_work)
            shared = {"threads", "timeout"} ^ {*self._options, *ranks}  # all but these
            options = {name: value for name, value in (self._options | ranks).items() if name in shared}
            library = "the fingerprint of model library, instruction set (isa) and options"
            self._ranks.agree_on({"model": model.name, **options, library: self._fingerprint()})
        if self.harvest:
            write_at_end(self, self.harvest)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options.items() if value is not None)
        where = "" if self.comm is None else f", on {self.comm.size} ranks"
        return f"<stepper of {self.model.name}: {options}{where}>"

    def _make_work(self):
        out = ffi.new("surr_work **")
        check(lib.surr_work_create(self._plan, 0, out))
        self._work = ffi.gc(out[0], lib.surr_work_free)
        check(lib.surr_work_set_trust(self._work, self._trust))

    def _fingerprint(self):
        number = ffi.new("int64_t *")
        check(lib.surr_work_fingerprint(self._work, number))
        return f"{number[0] & (2**64 - 1):016x}"

    def step(
        self,
        cells: Cells,
        dt: ArrayLike,
        *,
        params: Mapping[str, ArrayLike] | None = None,
        mask: ArrayLike | None = None,
        index: ArrayLike | None = None,
        max_step: ArrayLike | None = None,
    ) -> Report:
        """Advance every cell by `dt`, in place.

        Parameters
        ----------
        cells : ndarray of shape (..., n_vars), or mapping of name to ndarray of a common shape
            State in the model's units (number densities [cm^-3], temperature [K]), writable, of any strides; changed in
            place and never copied. Nothing in it may overlap. All float64, or all float32: then `dt`, `params` and the
            results are rounded to float32, too, and all is computed in float64 in between.
        dt : float or array_like of the cells' shape
            Time step [s], positive.
        params : dict of str to float or array_like of the cells' shape, optional
            Parameters of the model; those not given keep the values in ``model.parameters``.
        mask : array_like of bool of the cells' shape, optional
            True: leave this cell alone (status 32).
        index : array_like of int, optional
            Flat (C order) numbers of the cells to visit, none twice; all if not given.
        max_step : float or array_like of the cells' shape, optional
            Longest step of the solver [s], positive; that of the stepper if not given.

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
        RanksError
            With a communicator: another rank could not take part.
        """
        if self.comm is None:
            return self._learn(self._run(*self._prepare(cells, dt, params, mask, index, max_step)))
        prepared = self._ranks.agree(lambda: self._prepare(cells, dt, params, mask, index, max_step))
        if self._is_balanced and self._ranks.is_due:
            return self._learn(self._run_balanced(*prepared))
        # no queue, no overhead
        return self._learn(self._ranks.sum_report(self._ranks.agree(lambda: self._run(*prepared)), self.model))

    @property
    def trust(self) -> float:
        """How far the net is trusted, see `Coverage.trust`: the state of a run, for its restart files.

        Set it to go on as before, alike on all ranks.
        """
        return self._trust

    @trust.setter
    def trust(self, value: float):
        check(lib.surr_work_set_trust(self._work, _as_number(value, float, "trust")))
        self._trust = float(value)

    def _learn(self, report):
        """Let the audit of a step, of all ranks, decide how far the net is trusted in the next."""
        if not self._options["audit"]:
            return report
        trust = ffi.new("double *")
        check(lib.surr_work_learn(self._work, ffi.from_buffer("int64_t[]", report.outcomes)))
        check(lib.surr_work_trust(self._work, trust))
        self._trust = trust[0]
        self._audited += int(report.outcomes[0])
        self._wrong += int(report.outcomes[1])
        return replace(report, coverage=Coverage(self._audited, self._wrong, self._trust))

    def failures(
        self,
        cells: Cells,
        dt: ArrayLike,
        report: Report,
        *,
        params: Mapping[str, ArrayLike] | None = None,
        most: int = 10,
    ) -> list[dict]:
        """The cells that a step has left alone because the solver gave them up, for a report of a fault.

        Parameters
        ----------
        cells, dt, params
            As given to `step`, without `index`: such cells are as they were.
        report : Report
            What `step` returned.
        most : int
            Of so many cells at most.

        Returns
        -------
        list of dict
            Numbers and texts alone, so that ``json.dumps`` takes it: the cell, its parameters and time step, the
            status, and the model, its equations' hash, the tolerance and the version.
        """
        layout = lay_out(cells, self._names, None)
        inputs = [(what, spread(x, layout, None, what)) for what, x in self._inputs(dt, params, None, None)]
        status = report.status.reshape(-1)
        result = []
        for i in np.flatnonzero(status >= lib.SURR_CELL_FAILED)[:most]:
            at = np.unravel_index(i, layout.shape)
            values = [cells[name][at] for name in self._names] if isinstance(cells, Mapping) else cells[at]
            others = {what: x if isinstance(x, float) else float(x[i]) for what, x in inputs if what != "mask"}
            result.append(
                {
                    "cell": dict(zip(self._names, map(float, values))),
                    "inputs": {k: v for k, v in others.items() if math.isfinite(v)},
                    "status": STATUS_NAMES[int(status[i])],
                    "attempts": int(report.cost.reshape(-1)[i]),
                    "model": self.model.name,
                    "system_hash": self.model.info.get("system_hash"),
                    "options": self._options,
                    "version": version("stiff-surrogate"),
                }
            )
        return result

    def _prepare(self, cells, dt, params, mask, index, max_step):
        """Check all arguments; return the layout of the cells, the inputs and the shape of the status array."""
        layout = lay_out(cells, self._names, index)
        inputs = [spread(x, layout, index, what) for what, x in self._inputs(dt, params, mask, max_step)]
        _check_scalar_dt(inputs[-3])  # dt, mask and max_step are the last ones
        if isinstance(inputs[-1], float) and not inputs[-1] > 0:
            raise ValueError(f"max_step is {inputs[-1]}: give a positive time")
        return layout, inputs, layout.shape if index is None else layout.index.shape

    def _run(self, layout, inputs, shape):
        call = _Call(self, layout, inputs, shape)
        code = call(lib.surr_step)
        if code == lib.SURR_E_CELLS:
            raise CellsError(last_message(), call.status)
        check(code)
        return call.report(self._work)

    def _run_balanced(self, layout, inputs, shape):
        """As `_run`, on all ranks: what the net does not take is solved where there is least to do."""
        call = _Call(self, layout, inputs, shape)
        try:
            self._ranks.agree(lambda: check(call(lib.surr_queue)))
            done = self._ranks.exchange(self._work)
            call.seconds[lib.SURR_PHASE_SOLVER] += done.solver_seconds
            self._ranks.agree(lambda: check(call.flush()))
            return self._ranks.sum_report(call.report(self._work), self.model, done)
        except BaseException:
            self._make_work()  # the cells of this call must wait no longer, they may be gone before the next
            raise

    def _inputs(self, dt, params, mask, max_step):
        """Name and value of every input, in the order of the plan's slots."""
        params = {} if params is None else params
        known = [p.name for p in self.model.parameters]
        unknown = [name for name in params if name not in known]
        if unknown:
            raise ValueError(
                f"params has {unknown[0]!r}, {self.model.name} has the parameters: {', '.join(known) or 'none'}"
            )
        inputs = [(f"params[{p.name!r}]", params.get(p.name, p.value)) for p in self.model.parameters]
        max_step = self._max_step if max_step is None else max_step
        inputs += [("dt", dt), ("mask", 0.0 if mask is None else mask)]
        return [*inputs, ("max_step", math.inf if max_step is None else max_step)]


class _Call:
    """One call of the engine on one lot of cells, and what it answers."""

    def __init__(self, stepper, layout, inputs, shape):
        number, size = layout.dtype, layout.dtype.itemsize
        self.status, self.cost = np.zeros(shape, dtype=np.int8), np.zeros(shape, number)
        self._handles, self._type = (stepper._plan, stepper._work), lib.SURR_F64 if size == 8 else lib.SURR_F32
        columns = [*inputs, self.cost.reshape(-1)]
        is_constant = [isinstance(x, float) for x in columns]
        constants = np.array([x if c else 0.0 for x, c in zip(columns, is_constant)], number)
        first = address(constants)
        addresses = [first + size * k if c else address(x) for k, (x, c) in enumerate(zip(columns, is_constant))]
        addresses = np.array(layout.addresses + addresses, dtype=np.uintp)
        strides = layout.strides + [0 if c else x.strides[0] // size for x, c in zip(columns, is_constant)]
        self._base, self._stride = ffi.from_buffer("void *[]", addresses), ffi.new("int64_t[]", strides)
        self._alive = layout, columns, constants  # what is in ffi.from_buffer lives as long as that
        self._where = ffi.NULL if layout.index is None else ffi.cast("void *", layout.index.ctypes.data)
        self.stat, self.seconds = np.zeros(lib.SURR_NSTAT, dtype=np.int64), np.zeros(lib.SURR_NPHASE)
        self.model, self.rtol = stepper.model, stepper._options["rtol"]
        self.harvest = stepper.harvest
        self.outside = np.zeros(4 + len(stepper.model.variables) + len(stepper.model.parameters), dtype=np.int64)

    def __call__(self, function):
        """Call surr_step or surr_queue."""
        status = ffi.cast("uint8_t *", self.status.ctypes.data)
        call = self.status.size, 1.0, self._base, self._stride, self._type, self._where, status
        return self._add(function, *self._handles, *call)

    def flush(self):
        """Call surr_flush."""
        return self._add(lib.surr_flush, self._handles[1])

    def _add(self, function, *arguments):
        stat = ffi.new("int64_t[]", lib.SURR_NSTAT)
        code = function(*arguments, stat)
        if code >= 0:
            self.stat += list(stat)
            self.seconds += _seconds(self._handles[1])
            if stat[lib.SURR_STAT_OUTSIDE] or function is lib.surr_queue:
                self.outside += _outside(self._handles[1], len(self.outside))
        return code

    def report(self, work):
        """What all calls together have done, and what the audit has found in `work`."""
        audit = np.zeros(lib.SURR_NAUDIT, dtype=np.int64)
        check(lib.surr_work_audit(work, ffi.from_buffer("int64_t[]", audit)))
        outcomes = np.zeros(5, dtype=np.int64)
        check(lib.surr_work_outcomes(work, ffi.from_buffer("int64_t[]", outcomes)))
        stat, seconds = self.stat.tolist(), self.seconds.tolist()
        report = make_report(
            self.model, self.rtol, self.status, self.cost, stat, seconds, audit, self.outside, outcomes
        )
        return replace(report, harvest=self.harvest.after_step()) if self.harvest else report


def _seconds(work):
    """Seconds of the last call, by phase."""
    spent = ffi.new("double[]", lib.SURR_NPHASE)
    check(lib.surr_work_seconds(work, spent))
    return list(spent)


def _outside(work, n):
    """Cells of the last call outside the domain of the net, by reason; array of shape (n,)."""
    count = np.empty(n, dtype=np.int64)
    check(lib.surr_work_outside(work, ffi.from_buffer("int64_t[]", count)))
    return count


def _make_plan(model, reals, integers, words, harvest, share):
    out = ffi.new("surr_plan **")
    check(lib.surr_plan_create(model.handle, out))
    plan = ffi.gc(out[0], lib.surr_plan_free)
    slots = [(v.name, lib.SURR_Q_STATE, lib.SURR_F_INDEXED) for v in model.variables]
    slots += [(p.name, lib.SURR_Q_PARAM, lib.SURR_F_COMPACT) for p in model.parameters]
    slots += [("dt", lib.SURR_Q_DT, lib.SURR_F_COMPACT), ("mask", lib.SURR_Q_MASK, lib.SURR_F_COMPACT)]
    slots += [("max_step", lib.SURR_Q_MAX_STEP, lib.SURR_F_COMPACT)]
    slots += [("cost", lib.SURR_Q_COST, lib.SURR_F_COMPACT)]
    for name, quantity, flags in slots:
        check(lib.surr_plan_field(plan, name.encode(), -1, quantity, 1.0, flags, ffi.NULL))
    check(lib.surr_plan_set_i(plan, b"index_bytes", -1, 8))
    check(lib.surr_plan_set_i(plan, b"control", -1, 0))  # what is learned is learned of all ranks
    for values, convert, setter in ((reals, float, lib.surr_plan_set_d), (integers, int, lib.surr_plan_set_i)):
        for key, value in values.items():
            check(setter(plan, key.encode(), -1, _as_number(value, convert, key)))
    for key, value in words.items():
        check(lib.surr_plan_set_s(plan, key.encode(), -1, str(value).encode(), -1))
    if harvest:
        harvest.plug_into(plan, _as_number(share, float, "harvest"))
    check(lib.surr_plan_commit(plan))
    return plan


def _as_number(value, convert, what):
    try:
        number = convert(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} is {value!r}: give a number") from error
    except OverflowError as error:
        raise ValueError(f"{what} is {value!r}: give a smaller number") from error
    if number != value and number == number:
        raise TypeError(f"{what} is {value!r}: give a whole number")
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        raise ValueError(f"{what} is {number}, which takes more than 64 bits: give a smaller number")
    return number


def _check_scalar_dt(dt):
    if isinstance(dt, float) and not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"dt is {dt}: give a positive finite time step")
