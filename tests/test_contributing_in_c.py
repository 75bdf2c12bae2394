"""A toy of each kind that CONTRIBUTING tells how to add in C, added that way.

A method is added outside of the sources; a status, a quantity and a language in a copy of them.
"""

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import surrogate
from surrogate import Status

BINDINGS = Path(__file__).resolve().parent.parent / "bindings"

#: L-stable, order 2(1) in two stages: order 1 of y + a u_1 and order 2 of the whole leave gamma = 1 - 1/sqrt 2
METHOD = """
#include "tableau.h"
static const tableau TWO_STAGES = {
    .stages = 2, .order = 2, .growth = 1.0,
    .gamma = 0.2928932188134524, .alpha = {0, 1}, .delta = {0.2928932188134524},
    .a = {{0}, {3.414213562373095}},
    .c = {{0}, {-3.414213562373095}},
};
"""


def generator(bindings):
    """bindings/generate.py of a copy, as a module."""
    spec = importlib.util.spec_from_file_location("generate", bindings / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def replace(path, *pairs):
    text = path.read_text()
    for old, new in pairs:
        assert text.count(old) == 1, (path, old)
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture
def copy(tmp_path):
    """The sources of the bindings, to be changed."""
    shutil.copytree(BINDINGS, tmp_path / "bindings", ignore=shutil.ignore_patterns("examples", "__pycache__"))
    (tmp_path / "surrogate").mkdir()
    return tmp_path / "bindings"


def build(bindings, cc):
    """libsurrogate of a copy of the sources."""
    library = bindings / "libsurrogate.so"
    flags = ["-std=c11", "-O1", "-fPIC", "-shared", "-D_GNU_SOURCE", '-DSURR_VERSION="0"', "-DSURR_API=", "-pthread"]
    include = [f"-I{bindings / room}" for room in ("include", "kernel")]
    subprocess.run([cc, *flags, *include, *(bindings / "engine").glob("*.c"), "-o", library, "-ldl", "-lm"], check=True)
    return library


def test_method_outside_of_the_sources(tmp_path):
    """One file: a table, named to the compiler when a model is exported."""
    from surrogate.training import get_system
    from surrogate.training.codegen.library import export_model

    (tmp_path / "mine.h").write_text(METHOD)
    flags = ["-include", str(tmp_path / "mine.h"), "-DSURR_METHOD=TWO_STAGES"]
    mine = surrogate.load(export_model(get_system("robertson"), tmp_path / "mine", cflags=flags))
    own = surrogate.load(export_model(get_system("robertson"), tmp_path / "own"))
    start, ends = np.array([[1.0, 0.0, 0.0]]), {}
    for name, model in (("mine", mine), ("own", own)):
        for rtol in (1e-2, 1e-4):
            cells = start.copy()
            report = model.stepper(rtol=rtol).step(cells, 40.0)
            assert report.status[0] == Status.SOLVER
            ends[name, rtol] = cells[0], report.solver_steps
    reference = np.array([0.7158270688, 9.185534765e-6, 0.2841637457])  # Robertson at 40, Hairer & Wanner II, IV.10
    for (name, rtol), (end, _) in ends.items():
        assert np.abs(end / reference - 1).max() < 10 * rtol, (name, rtol)
    assert ends["mine", 1e-4][1] > 2 * ends["own", 1e-4][1], "a method of order 2 takes more steps than one of order 5"


def test_status_is_a_row_of_the_table(copy, cc):
    """One file: all languages know its name, and the library its words."""
    replace(
        copy / "include" / "surrogate_codes.def",
        ('"stalled")', '"stalled")\nSURR_CELL_STATUS(SURR_CELL_FROZEN, 37, "frozen")'),
    )
    written = generator(copy).outputs()
    assert "SURR_CELL_FROZEN = 37" in written[copy / "fortran" / "surrogate.f90"]
    assert "    FROZEN = 37" in written[copy.parent / "surrogate" / "codes.py"]
    text = ctypes.create_string_buffer(32)
    assert ctypes.CDLL(build(copy, cc)).surr_status_name(37, text, 32) == 0 and text.value == b"frozen"


def test_quantity_is_a_row_and_where_it_goes(copy, cc, toys):
    """Three files: the table, the plan's slot, and the block that reads it: here a factor on every cell's time step."""
    replace(
        copy / "include" / "surrogate_codes.def",
        (
            "SURR_QUANTITY(SURR_Q_MASK,",
            "SURR_QUANTITY(SURR_Q_SLOWNESS, 40, INPUT, PURE, slowness)\nSURR_QUANTITY(SURR_Q_MASK,",
        ),
    )
    replace(copy / "engine" / "plan.h", ("dt_slot, mask_slot", "dt_slot, slowness_slot, mask_slot"))
    replace(copy / "engine" / "block.c", (
        "    case SURR_Q_MASK: return s->mask;", "    case SURR_Q_SLOWNESS: return s->cost; /* free until the end */\n"
        "    case SURR_Q_MASK: return s->mask;"), (
        "    for (int32_t i = 0; i < n; i++) {\n        double *y =",
        "    for (int32_t i = 0; i < n && p->slowness_slot > 0; i++) s->dt[i] *= s->cost[i];\n"
        "    for (int32_t i = 0; i < n; i++) {\n        double *y ="))  # fmt: skip
    assert "SURR_Q_SLOWNESS = 40" in generator(copy).outputs()[copy / "fortran" / "surrogate.f90"]
    library = ctypes.CDLL(build(copy, cc))
    slow = advance_with_ctypes(library, generator(copy).codes(), toys / "toy.so", 100.0, {"SURR_Q_SLOWNESS": 0.5})
    half = advance_with_ctypes(library, generator(copy).codes(), toys / "toy.so", 50.0, {})
    assert slow == half and slow[0] < 1.0


def advance_with_ctypes(library, codes, model, dt, inputs):
    """A language of its own, in one file: what a binding does, with ctypes and the table of codes."""
    code = {name: value for rows in codes.values() for name, (value, *_) in rows.items()}
    handles = [ctypes.c_void_p() for _ in range(3)]
    opened, plan, work = map(ctypes.byref, handles)
    assert library.surr_model_open(str(model).encode(), -1, opened) == code["SURR_OK"]
    assert library.surr_plan_create(handles[0], plan) == code["SURR_OK"]
    fields = [("A", "SURR_Q_STATE"), ("B", "SURR_Q_STATE"), ("T", "SURR_Q_STATE"), *(("", name) for name in inputs)]
    for name, quantity in fields:
        done = library.surr_plan_field(
            handles[1], name.encode(), -1, code[quantity], ctypes.c_double(1.0), code["SURR_F_COMPACT"], None
        )
        assert done == code["SURR_OK"]
    assert library.surr_plan_set_d(handles[1], b"rtol", -1, ctypes.c_double(1e-3)) == code["SURR_OK"]
    assert library.surr_plan_commit(handles[1]) == code["SURR_OK"]
    assert library.surr_work_create(handles[1], ctypes.c_int64(1), work) == code["SURR_OK"]
    cell = (ctypes.c_double * len(fields))(1.0, 2.0, 100.0, *inputs.values())
    status = ctypes.c_int32(-1)
    assert library.surr_step_cell(handles[1], handles[2], ctypes.c_double(dt), cell, ctypes.byref(status)) == 0
    assert status.value == code["SURR_CELL_SOLVER"]
    for free, handle in ((library.surr_work_free, 2), (library.surr_plan_free, 1), (library.surr_model_close, 0)):
        free(handles[handle])
    return list(cell)[:3]
