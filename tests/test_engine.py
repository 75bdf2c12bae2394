"""The Python steppers: one answer for every layout, wrong arguments refused, bad cells flagged."""

import subprocess
import sys

import numpy as np
import pytest

import surrogate
from surrogate import Status

DT = 700.0
NAMES = ("A", "B", "T")


def make_cells(shape, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform([0.1, 0.1, 10.0], [10.0, 1.0, 1000.0], size=(*np.atleast_1d(shape), 3))


def advance(cells, dt=DT, rate=1e-3, cooling=5e-4):
    """The closed form; see tests/c/toy_model.c."""
    left = np.exp(-rate * (2 * cells[..., 0] + cells[..., 1]) * dt)
    return np.stack(
        [
            cells[..., 0] * left,
            cells[..., 1] + 2 * cells[..., 0] * (1 - left),
            10 + (cells[..., 2] - 10) * np.exp(-cooling * dt),
        ],
        axis=-1,
    )


@pytest.fixture(scope="module")
def stepper(toy):
    return toy.stepper(rtol=1e-2)


@pytest.fixture
def cells():
    return make_cells(1500)


@pytest.fixture
def expected(stepper, cells):
    """What the plain call makes of `cells`; every other way must give these bits."""
    result = cells.copy()
    stepper.step(result, DT)
    return result


def test_step_gives_closed_form(stepper, cells):
    before = cells.copy()
    report = stepper.step(cells, DT)
    np.testing.assert_allclose(cells, advance(before), rtol=1e-13)
    assert report.n_cells == report.counts["solver"] == 1500
    assert report.fraction_accepted == 0.0 and report.imbalance == 1.0
    assert report.status.shape == (1500,) and report.status.dtype == np.int8 and (report.status == Status.SOLVER).all()
    assert report.solver_steps >= 1500
    assert set(report.seconds) == {"gather", "net", "solver", "scatter"}
    assert report.seconds["net"] == 0 and min(v for k, v in report.seconds.items() if k != "net") > 0


def test_audit_reports_the_error_of_the_net(toys):
    cells = np.tile([1.0, 2.0, 100.0], (400, 1)) * np.linspace(1, 2, 400)[:, None]
    stepper = surrogate.load(toys / "toy_net.so").stepper(rtol=0.1, audit=0.25)
    report = stepper.step(cells, 10.0)
    assert 60 < report.counts["audit"] < 140 and report.counts["net"] == 400 - report.counts["audit"]
    assert report.audit_counts.sum() == 3 * report.counts["audit"]
    assert list(report.audit) == [0.5, 0.9, 0.99, 1.0]
    assert 1e-3 < report.audit[0.5] < 1.13e-3 and 1e-2 < report.audit[0.9] == report.audit[1.0] < 1.13e-2
    assert "error of audited cells: 50 % 0.001" in str(report) and "largest 0.01" in str(report)
    assert surrogate.load(toys / "toy_net.so").stepper(rtol=0.1).step(cells, 10.0).audit == {}


def test_advice_for_a_wrong_type_can_be_followed(stepper):
    """To pass what `astype` returns without keeping it would lose the step."""
    cells = np.ones((4, 3), int) * 20
    with pytest.raises(TypeError) as caught:
        stepper.step(cells, DT)
    names = {"cells": cells, "np": np}
    exec(str(caught.value).split(" and pass that, ")[1], names)
    stepper.step(names["cells"], DT)
    assert not np.array_equal(names["cells"], cells)


def test_single_precision_is_stepped_in_place(stepper, cells):
    """Computed in double precision, from rounded input to rounded output: in every layout, with every input."""
    single, rates = cells.astype(np.float32), np.linspace(1e-4, 9e-4, 1500).astype(np.float32)
    expected = single.astype(float)
    inputs = {"params": {"rate": rates.astype(float)}, "mask": np.arange(1500) % 5 == 0}
    report = stepper.step(expected, float(np.float32(DT)), **inputs)
    expected = expected.astype(np.float32)
    assert (expected != single).any()

    def check(array, got, inputs=inputs):
        np.testing.assert_array_equal(array, expected)
        np.testing.assert_array_equal(got.status, report.status)
        np.testing.assert_array_equal(got.cost, report.cost)

    whole = single.copy()
    check(whole, stepper.step(whole, DT, **inputs))
    whole = np.asfortranarray(single)
    check(whole, stepper.step(whole, np.full(1500, DT), **(inputs | {"params": {"rate": rates}})))
    whole = single.copy()
    check(whole, stepper.step({n: whole[:, k] for k, n in enumerate(NAMES)}, DT, **inputs))
    wide = np.full((30, 52, 3), 7.0, np.float32)
    wide[:, 1:-1] = single.reshape(30, 50, 3)
    inputs = {"params": {"rate": rates.reshape(30, 50)}, "mask": inputs["mask"].reshape(30, 50)}
    stepper.step(wide[:, 1:-1], DT, **inputs)
    np.testing.assert_array_equal(wide[:, 1:-1].reshape(-1, 3), expected)
    assert (wide[:, [0, -1]] == 7.0).all()
    with pytest.raises(ValueError, match="dt is inf"):
        stepper.step(single, 1e39)


def test_fortran_order(stepper, cells, expected):
    columns = np.asfortranarray(cells)
    stepper.step(columns, DT)
    np.testing.assert_array_equal(columns, expected)


def test_strided_columns_of_wider_array(stepper, cells, expected):
    wide = np.full((1500, 8), 7.0)
    wide[:, 2:5] = cells
    stepper.step(wide[:, 2:5], DT)
    np.testing.assert_array_equal(wide[:, 2:5], expected)
    assert (wide[:, [0, 1, 5, 6, 7]] == 7.0).all()


def test_backward_view(stepper, cells, expected):
    stepper.step(cells[::-1], DT)
    np.testing.assert_array_equal(cells, expected)


def test_mapping_of_columns_in_any_order(stepper, cells, expected):
    columns = {name: cells[:, k].copy() for k, name in enumerate(NAMES)}
    stepper.step({name: columns[name] for name in "TBA"}, DT)
    np.testing.assert_array_equal(np.stack([columns[n] for n in NAMES], axis=-1), expected)


def test_mapping_of_interleaved_columns(stepper, cells, expected):
    stepper.step({name: cells[:, k] for k, name in enumerate(NAMES)}, DT)
    np.testing.assert_array_equal(cells, expected)


def test_ghost_zones_in_three_dimensions_are_left_alone(stepper, cells, expected):
    shape = (10, 15, 10)
    arrays = {name: np.full((14, 19, 14), -1.0) for name in NAMES}
    inner = {name: a[2:-2, 2:-2, 2:-2] for name, a in arrays.items()}
    for k, name in enumerate(NAMES):
        inner[name][...] = cells[:, k].reshape(shape)
    report = stepper.step(inner, DT)
    assert report.status.shape == shape and (report.status == Status.SOLVER).all()
    for k, name in enumerate(NAMES):
        np.testing.assert_array_equal(inner[name].reshape(-1), expected[:, k])
        assert (arrays[name] == -1.0).sum() == 14 * 19 * 14 - 1500


def test_views_with_negative_and_exchanged_axes(stepper, cells, expected):
    grid = cells.reshape(10, 15, 10, 3)[::-1, :, ::2].transpose(2, 0, 1, 3)
    stepper.step(grid, DT)
    np.testing.assert_array_equal(cells.reshape(10, 15, 10, 3)[:, :, ::2], expected.reshape(10, 15, 10, 3)[:, :, ::2])
    np.testing.assert_array_equal(
        cells.reshape(10, 15, 10, 3)[:, :, 1::2], make_cells(1500).reshape(10, 15, 10, 3)[:, :, 1::2]
    )


@pytest.mark.parametrize("sliced", [False, True])
def test_index_visits_listed_cells_only(stepper, cells, expected, sliced):
    before = cells.copy()
    target = cells.reshape(30, 50, 3)[:, 1:-1] if sliced else cells
    index = np.arange(0, target.size // 3, 7)[::-1]
    report = stepper.step(target, DT, index=index)
    assert report.status.shape == index.shape and report.n_cells == index.size
    numbers = np.arange(1500).reshape(30, 50)[:, 1:-1].reshape(-1)[index] if sliced else index
    np.testing.assert_array_equal(cells[numbers], expected[numbers])
    others = np.setdiff1d(np.arange(1500), numbers)
    np.testing.assert_array_equal(cells[others], before[others])


def test_per_cell_dt_and_parameters(stepper, cells):
    before = cells.copy()
    rng = np.random.default_rng(3)
    dt, rate = rng.uniform(1, 1e3, 1500), rng.uniform(0, 1e-4, 1500)
    stepper.step(cells, dt, params={"rate": rate})
    np.testing.assert_allclose(cells, advance(before, dt, rate), rtol=1e-13)


def test_index_picks_inputs_of_its_cells(stepper, cells):
    before = cells.copy()
    dt, index = np.linspace(1, 1e3, 1500), np.array([1400, 3, 77])
    mask = np.zeros(1500, dtype=bool)
    mask[3] = True
    report = stepper.step(cells, dt, index=index, mask=mask)
    assert report.status.tolist() == [Status.SOLVER, Status.MASKED, Status.SOLVER]
    np.testing.assert_allclose(cells[1400], advance(before[1400], dt[1400]), rtol=1e-13)


def test_scalar_parameter_broadcasts(stepper, cells):
    twin = cells.copy()
    stepper.step(cells, DT, params={"rate": 2e-3})
    stepper.step(twin, np.full(1500, DT), params={"rate": np.full(1500, 2e-3)})
    np.testing.assert_array_equal(cells, twin)


def test_inputs_may_be_views_of_the_cells(stepper):
    wide = np.ones((200, 4))
    wide[:, 2], wide[:, 3] = 100.0, 50.0
    stepper.step(wide[:, :3], wide[:, 3])
    expected = advance(np.array([1.0, 1.0, 100.0]), 50.0)
    np.testing.assert_allclose(wide, np.tile([*expected, 50.0], (200, 1)), rtol=1e-13)
    temp_is_dt = np.ones((3000, 3))
    temp_is_dt[:, 2] = np.arange(3000) + 1
    before = temp_is_dt.copy()
    stepper.step(temp_is_dt, temp_is_dt[::-1, 2])  # read in the order opposite to writing
    np.testing.assert_allclose(temp_is_dt[:, 0], advance(before, before[::-1, 2])[:, 0], rtol=1e-13)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("isa", ["base", "auto"])
def test_threads_do_not_change_bits(toy, cells, expected, threads, isa):
    toy.stepper(rtol=1e-2, threads=threads, isa=isa).step(cells, DT)
    np.testing.assert_array_equal(cells, expected)


def test_single_cell_and_no_cell(stepper):
    cell = np.array([1.0, 2.0, 100.0])
    assert stepper.step(cell, DT).status.shape == ()
    np.testing.assert_allclose(cell, advance(np.array([1.0, 2.0, 100.0])), rtol=1e-13)
    report = stepper.step(np.empty((0, 3)), DT)
    assert report.n_cells == 0 and np.isnan(report.fraction_accepted) and "0 cells" in str(report)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1.0])
@pytest.mark.parametrize("column", range(3))
def test_bad_cell_is_flagged_and_disturbs_nobody(stepper, cells, expected, bad, column):
    cells[7, column] = bad
    broken = cells[7].copy()
    report = stepper.step(cells, DT)
    assert report.status[7] == Status.BAD_INPUT and report.counts["bad input"] == 1 and report.counts["solver"] == 1499
    np.testing.assert_array_equal(cells[7], broken)
    others = np.arange(1500) != 7
    np.testing.assert_array_equal(cells[others], expected[others])


def test_bad_time_step_of_a_cell_is_a_status(stepper, cells):
    dt = np.full(1500, DT)
    dt[:3] = np.nan, 0.0, -1.0
    assert stepper.step(cells, dt).status[:4].tolist() == [
        Status.BAD_INPUT,
        Status.BAD_INPUT,
        Status.BAD_INPUT,
        Status.SOLVER,
    ]


def test_mask(stepper, cells, expected):
    before, mask = cells.copy(), np.zeros(1500, dtype=bool)
    mask[::3] = True
    report = stepper.step(cells, DT, mask=mask)
    np.testing.assert_array_equal(cells, np.where(mask[:, None], before, expected))
    np.testing.assert_array_equal(report.status, np.where(mask, Status.MASKED, Status.SOLVER))


def test_solver_failure_is_a_status(toy, cells):
    report = toy.stepper(rtol=1e-2, max_solver_steps=10).step(cells, np.where(np.arange(1500) == 4, 1e6, 1.0))
    assert report.status[4] == Status.FAILED and report.counts["failed"] == 1


def test_on_failure_error_changes_no_cell(toy, cells):
    cells[1200, 2] = np.nan
    before = cells.copy()
    with pytest.raises(surrogate.CellsError, match="1 of 1500 cells") as caught:
        toy.stepper(rtol=1e-2, on_failure="error").step(cells, DT)
    assert caught.value.status[1200] == Status.BAD_INPUT
    np.testing.assert_array_equal(cells, before)


def read_only(array):
    array.flags.writeable = False
    return array


A = np.ones(4)
MISUSES = {
    "list": (lambda: [[1.0, 2.0, 3.0]], TypeError, "list"),
    "integers": (lambda: np.ones((4, 3), int), TypeError, r"cells = cells.astype\(float\)"),
    "half": (lambda: np.ones((4, 3), np.float16), TypeError, "float64 and float32"),
    "mixed": (
        lambda: {"A": np.ones(4), "B": np.ones(4, np.float32), "T": np.ones(4)},
        TypeError,
        r"cells\['B'\].astype\('float64'\)",
    ),
    "big endian": (lambda: np.ones((4, 3), ">f8"), TypeError, "byte order"),
    "columns": (lambda: np.ones((4, 5)), ValueError, "A, B, T"),
    "scalar": (lambda: np.array(1.0), ValueError, "last dimension"),
    "read-only": (lambda: read_only(np.ones((4, 3))), ValueError, "read-only"),
    "broadcast": (lambda: np.lib.stride_tricks.as_strided(np.ones(3), (4, 3), (0, 8)), ValueError, "overlaps itself"),
    "sliding": (lambda: np.lib.stride_tricks.as_strided(np.ones(9), (4, 3), (8, 8)), ValueError, "overlaps itself"),
    "unaligned": (lambda: np.zeros(4 * 3 * 8 + 1, np.uint8)[1:].view(np.float64).reshape(4, 3), ValueError, "8 bytes"),
    "missing": (lambda: {"A": np.ones(4), "B": np.ones(4)}, ValueError, "missing: T"),
    "unknown": (lambda: {n: np.ones(4) for n in "ABTX"}, ValueError, "unknown: X"),
    "shapes": (lambda: {"A": np.ones(4), "B": np.ones(5), "T": np.ones(4)}, ValueError, r"\(5,\)"),
    "shared": (lambda: {"A": A, "B": A, "T": np.ones(4)}, ValueError, "share memory"),
    "shifted": (lambda: {"A": A[1:], "B": A[:-1], "T": np.ones(3)}, ValueError, "share memory"),
    "odd slices": (
        lambda: {"A": np.ones((4, 4))[:2, :2], "B": np.ones((4, 8))[:2, :2], "T": np.ones((2, 2))},
        ValueError,
        "different strides",
    ),
}


@pytest.mark.parametrize("name", MISUSES)
def test_wrong_cells_are_refused(stepper, name):
    make, error, match = MISUSES[name]
    with pytest.raises(error, match=match):
        stepper.step(make(), DT)


@pytest.mark.parametrize(
    ("dt", "error", "match"),
    [
        (0.0, ValueError, "dt is 0.0"),
        (-1.0, ValueError, "positive"),
        (np.nan, ValueError, "nan"),
        (np.inf, ValueError, "inf"),
        ("soon", TypeError, "soon"),
        (None, ValueError, "dt is nan"),
        (np.ones(7), ValueError, r"\(7,\)"),
        (10**400, TypeError, "give a number"),
    ],
)
def test_wrong_dt_is_refused(stepper, cells, dt, error, match):
    before = cells.copy()
    with pytest.raises(error, match=match):
        stepper.step(cells, dt)
    np.testing.assert_array_equal(cells, before)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"params": {"flux": 1.0}}, ValueError, "rate, cooling"),
        ({"params": {"rate": np.ones(3)}}, ValueError, "rate"),
        ({"mask": np.ones((2, 2), bool)}, ValueError, "mask"),
        ({"index": [0, 1500]}, ValueError, "0..1499"),
        ({"index": [-1]}, ValueError, "-1"),
        ({"index": [3, 4, 3]}, ValueError, "twice"),
        ({"index": [0.5]}, TypeError, "float64"),
        ({"index": np.zeros((2, 2), int)}, TypeError, "shape"),
    ],
)
def test_wrong_inputs_are_refused(stepper, cells, arguments, error, match):
    with pytest.raises(error, match=match):
        stepper.step(cells, DT, **arguments)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({}, TypeError, "rtol"),
        ({"rtol": 0.0}, ValueError, "rtol is 0"),
        ({"rtol": "tight"}, TypeError, "tight"),
        ({"rtol": 1e-2, "threads": 0}, ValueError, "1..1024"),
        ({"rtol": 1e-2, "threads": 1.5}, TypeError, "whole"),
        ({"rtol": 1e-2, "max_solver_steps": 2**63}, ValueError, "9223372036854775808"),
        ({"rtol": 1e-2, "threads": 10**400}, ValueError, "64 bits"),
        ({"rtol": 10**400}, ValueError, "rtol is 1000"),
        ({"rtol": 1e-2, "threads": float("inf")}, ValueError, "threads is inf"),
        ({"rtol": 1e-2, "isa": "v9"}, ValueError, "v9"),
        ({"rtol": 1e-2, "audit": 2.0}, ValueError, "audit"),
        ({"rtol": 1e-2, "fallback": "none"}, surrogate.ModelError, "no net"),
    ],
)
def test_wrong_options_are_refused(toy, options, error, match):
    with pytest.raises(error, match=match):
        toy.stepper(**options)


def test_load_refuses_what_is_no_model(toys, tmp_path):
    with pytest.raises(surrogate.ModelError, match="no-such-model"):
        surrogate.load("no-such-model")
    with pytest.raises(surrogate.ModelError, match="model ABI 99"):
        surrogate.load(toys / "toy_abi.so")
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(surrogate.ModelError, match="not a loadable library"):
        surrogate.load(tmp_path / "text.so")


def test_selftest(toy, toys):
    assert toy.selftest() < 1e-12
    with pytest.raises(surrogate.ModelError, match="test vectors"):
        surrogate.load(toys / "toy_broken.so").selftest()


def test_evaluate_gives_rhs_and_jacobian(toy, cells):
    f, jacobian = toy.evaluate(cells)
    a, b, temp = cells.T
    np.testing.assert_allclose(
        f, np.stack([-1e-3 * a * (2 * a + b), 2e-3 * a * (2 * a + b), -5e-4 * (temp - 10)], axis=-1)
    )
    np.testing.assert_allclose(jacobian[:, 0, :2], -1e-3 * np.stack([4 * a + b, a], axis=-1))
    assert jacobian.shape == (1500, 3, 3)
    faster, _ = toy.evaluate(cells, params=[2e-3, 5e-4])
    np.testing.assert_array_equal(faster[:, 0], 2 * f[:, 0])
    with pytest.raises(ValueError, match=r"give \(n_cells, 3\)"):
        toy.evaluate(cells[:, :2])
    with pytest.raises(ValueError, match="broadcast"):
        toy.evaluate(cells, params=[1.0, 2.0, 3.0])


def test_model_describes_itself(toy):
    assert [v.name for v in toy.variables] == list(NAMES)
    assert [(p.name, p.unit, p.value) for p in toy.parameters] == [("rate", "cm^3/s", 1e-3), ("cooling", "s^-1", 5e-4)]
    assert toy.variables[2].upper == 1e9 and toy.dt_range == (1.0, 1e6) and toy.info["system"] == "toy"


def test_broken_library_in_the_model_path_is_not_hidden(toys, monkeypatch):
    monkeypatch.setenv("SURROGATE_MODEL_PATH", f"/nowhere:{toys}")
    with pytest.raises(surrogate.ModelError):
        surrogate.models()  # toy_abi.so cannot be opened


def test_one_liner(toys, cells, expected):
    for _ in range(2):
        again = cells.copy()
        surrogate.step(again, DT, model=toys / "toy.so", rtol=1e-2)
        np.testing.assert_array_equal(again, expected)


def test_stepper_says_what_it_is(toy):
    assert repr(toy.stepper(rtol=0.1, audit=0.5)).startswith("<stepper of toy: rtol=0.1, audit=0.5, threads=1, max_")


def test_report_fits_a_terminal(stepper, cells):
    cells[3] = np.nan
    report = stepper.step(cells, DT)
    text = str(report)
    assert "1500 cells of toy at rtol 0.01" in text and (report.model, report.rtol) == ("toy", 1e-2)
    assert max(map(len, text.splitlines())) <= 80
    assert "1500 cells" in text and "bad input" in text and "failed" not in text


def test_report_says_what_put_cells_outside(toys, cells):
    cells[:, 2] = np.where(np.arange(1500) % 3 == 0, 2000.0, 100.0)
    report = surrogate.load(toys / "toy_net.so").stepper(rtol=0.1).step(cells, DT)
    assert report.counts["outside"] == 500 and report.outside == {"T": 500}
    assert "outside by T (500)" in str(report)


def test_import_needs_numpy_and_cffi_alone():
    code = (
        "import sys, surrogate; bad = {'torch', 'sympy', 'scipy', 'h5py', 'matplotlib', 'mpi4py', 'yaml', 'tqdm'} & "
        "set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cost_is_the_attempts_of_the_solver(toy, toys, cells):
    mask = np.arange(len(cells)) % 2 == 0
    report = toy.stepper(rtol=1e-2).step(cells.copy(), DT, mask=mask)
    assert report.cost.shape == (1500,) and report.cost.sum() == report.solver_steps
    assert (report.cost[mask] == 0).all() and (report.cost[~mask] >= 1).all()
    report = surrogate.load(toys / "toy_net.so").stepper(rtol=0.1).step(cells.copy(), DT)
    assert ((report.cost == 0) == (report.status == Status.NET)).all() and report.counts["net"] > 0
