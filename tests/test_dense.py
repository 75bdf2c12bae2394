"""Layers of the neural net against NumPy in double precision, and float exp, log and activations against mpmath.

tests/c/test_dense.c is compiled once per vector width, with the flags of the project.
"""

import ctypes
import functools

import mpmath
import numpy as np
import pytest

#: largest error allowed [ulp]; every third float was tried and gave 1.05, 0.97, 3.93, 4.53 and 2.61
MAX_ULP = {"exp": 1.5, "log": 1.5, "sigmoid": 4.0, "silu": 5.0, "tanh": 3.0}
MAX_ULP_SILU_FAR = 8.0  # below -16, where the result is below 2e-6

#: (n_out, n_in) as in SHAPES of tests/c/test_dense.c
SHAPES = [(1, 1), (10, 11), (19, 13), (20, 64), (64, 12), (96, 96), (192, 192)]
#: every number of cells up to two full groups and one more, of any width
BATCH = 29
#: in the order of `epilogues` of tests/c/test_dense.c
EPILOGUES = {
    "none": lambda x: x,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "add": lambda x: x,
}

INF, NAN = np.inf, np.nan
LOG_MIN_NORMAL, LOG_MAX_FINITE = np.float32(-87.33654), np.float32(88.72283)
EPS = np.finfo(np.float32).eps
TINY = np.finfo(np.float32).tiny
HUGE = np.finfo(np.float32).max


class FloatLibrary:
    """tests/c/test_dense.c for one width."""

    def __init__(self, path, lanes):
        self._c = ctypes.CDLL(str(path))
        self.lanes = self._c.surr_test_lanes()
        assert self.lanes == 2 * lanes

    def __call__(self, name, x, dtype=np.float32, out_dtype=np.float32):
        """Function `name` of every element of x."""
        x = np.asarray(x, dtype=dtype)
        padded = np.resize(x, -(-x.size // self.lanes) * self.lanes)
        out = np.empty(padded.size, dtype=out_dtype)
        getattr(self._c, f"surr_test_{name}")(ctypes.c_int64(padded.size), pointer(padded), pointer(out))
        return out[: x.size]

    def layer(self, weights, bias, x, epilogue="none", residual=None, shift=0):
        """One layer, weights of shape (n_out, n_in) and cells as rows; stored `shift` floats past a cache line."""
        n_out, n_in = weights.shape
        rows, width = n_in + 1, -(-n_out // 16) * 16
        filled = np.pad(np.vstack([bias, weights.T]), ((0, 0), (0, width - n_out)))
        room = np.empty(rows * width + 32, dtype=np.float32)
        start = -room.ctypes.data // 4 % 16 + shift
        layer = room[start : start + rows * width]
        layer[:] = filled.reshape(rows, -1, 16).transpose(1, 0, 2).ravel()
        out = np.full((len(x), width), NAN, dtype=np.float32)
        x = np.ascontiguousarray(x)
        if residual is not None:
            residual = np.pad(residual, ((0, 0), (0, width - n_out)))
        status = self._c.surr_test_layer(
            n_out,
            n_in,
            pointer(layer),
            len(x),
            pointer(x),
            list(EPILOGUES).index(epilogue),
            pointer(residual),
            pointer(out),
        )
        assert status == 0, f"test_dense.c has no shape {weights.shape}"
        return np.ascontiguousarray(out[:, :n_out])


def pointer(array):
    """NULL for None."""
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


@pytest.fixture(scope="module")
def vector(compile_vector):
    return FloatLibrary(*compile_vector("test_dense"))


# ---- exp, log and activations ----


def points(name):
    """Arguments of all magnitudes, those where the reduction changes, and the ends of the range."""
    rng = np.random.default_rng(20251120)
    if name == "log":
        near_one = 1 + rng.choice([-1.0, 1.0], 1500) * 10.0 ** rng.uniform(-7, -0.5, 1500)
        edges = np.float32(2 / 3) * 2.0 ** np.arange(-20, 20)
        x = np.concatenate([10.0 ** rng.uniform(-37.9, 38.5, 2500), near_one, edges, [TINY, HUGE, 1.0]])
        return np.float32(x)
    halfway = (np.arange(-32 * 126, 32 * 127, 13) + 0.5) * np.log(2) / 32
    sign = rng.choice([-1.0, 1.0], 2500)
    ends = [LOG_MIN_NORMAL, LOG_MAX_FINITE, 0.0, -0.0, TINY, 1e-20, -9.2, 9.2]
    x = np.concatenate([rng.uniform(-87.3, 88.7, 1500), sign * 10.0 ** rng.uniform(-12, 1.9, 2500), halfway, ends])
    x = np.float32(x)
    return x[(x >= LOG_MIN_NORMAL) & (x <= LOG_MAX_FINITE)]


FUNCTIONS = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
}


@functools.cache
def reference(name):
    """Points and values, the latter exact to double precision."""
    x = points(name)
    with mpmath.workprec(120):
        return x, np.array([float(FUNCTIONS[name](mpmath.mpf(v))) for v in x.tolist()])


@pytest.mark.parametrize("name", MAX_ULP)
def test_errors_stay_below_bar(vector, name):
    x, exact = reference(name)
    bar = np.where((name == "silu") & (x < -16), MAX_ULP_SILU_FAR, MAX_ULP[name])
    error = np.abs(vector(name, x) - exact) / np.spacing(np.maximum(np.abs(exact), TINY).astype(np.float32))
    error = np.where((np.abs(exact) < TINY) & (error < 1), 0, error)  # flushed to zero
    worst = np.argmax(np.where(np.isnan(error), INF, error / bar))
    message = f"{name}({x[worst]!r}) is off by {error[worst]:.3f} ulp, allowed {bar[worst]}"
    print(f"lanes {vector.lanes}: {message}")
    assert error[worst] <= bar[worst], message


LARGE = np.geomspace(100, 3e38, 4000, dtype=np.float32)
SPECIAL = {
    "exp": [
        *[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN), (1e-45, 1.0)],
        *[(np.nextafter(LOG_MAX_FINITE, np.float32(INF)), INF), (89.0, INF), (HUGE, INF)],
        *[(np.nextafter(LOG_MIN_NORMAL, np.float32(-INF)), 0.0), (-88.0, 0.0), (-HUGE, 0.0)],
        *[(x, INF) for x in LARGE],
        *[(-x, 0.0) for x in LARGE],
    ],
    "log": [
        *[(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (NAN, NAN), (-INF, NAN), (-1.0, NAN)],
        *[(-TINY, NAN), (1e-45, -INF), (-1e-45, -INF), (np.nextafter(TINY, np.float32(0)), -INF)],
    ],
    "sigmoid": [
        *[(0.0, 0.5), (INF, 1.0), (-INF, 0.0), (NAN, NAN), (17.4, 1.0), (-88.0, 0.0), (1e-45, 0.5)],
        *[(x, 1.0) for x in LARGE],
        *[(-x, 0.0) for x in LARGE],
    ],
    "silu": [(0.0, 0.0), (INF, INF), (NAN, NAN), *[(x, x) for x in LARGE]],
    "tanh": [
        *[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (NAN, NAN), (9.2, 1.0), (-9.2, -1.0)],
        *[(x, 1.0) for x in LARGE],
        *[(-x, -1.0) for x in LARGE],
    ],
}


def assert_same_bits(result, expected):
    """Equal, with the sign of zeros; any NaN equals any NaN."""
    np.testing.assert_array_equal(result, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result)[numbers], np.signbit(expected)[numbers])


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(vector, name):
    x, expected = np.array(SPECIAL[name], dtype=np.float32).T
    assert_same_bits(vector(name, x), expected)


def test_silu_vanishes_far_below(vector):
    y = vector("silu", -LARGE)
    assert np.all((y <= 0) & (y >= -LARGE * np.float32(1.01 * 2.0**-126)))


def test_tanh_is_odd_and_adaptive_sigmoid_is_scaled(vector):
    x = points("tanh")
    assert_same_bits(vector("tanh", -x), -vector("tanh", x))
    assert_same_bits(vector("adaptive_sigmoid", x), vector("sigmoid", np.float32(1.5) * x))


# ---- primitives ----

VALUES = np.array([0.0, -0.0, 1.0, -2.5, TINY, -HUGE, HUGE, INF, -INF, NAN], dtype=np.float32)


def test_primitives_match_numpy(vector):
    x = np.concatenate([VALUES, np.random.default_rng(3).normal(size=100).astype(np.float32)])
    one = np.float32(1)
    with np.errstate(invalid="ignore", over="ignore"):
        assert_same_bits(vector("sqrt", x), np.sqrt(x))
        np.testing.assert_allclose(vector("fma", x), x * x + 0.5, rtol=EPS)
    assert_same_bits(vector("abs", x), np.abs(x))
    assert_same_bits(vector("min", x), np.where(x < one, x, one))
    assert_same_bits(vector("max", x), np.where(x > one, x, one))
    assert_same_bits(vector("select", x), np.where(x < one, x, np.float32(7)))
    assert_same_bits(vector("isfinite", x), np.isfinite(x).astype(np.float32))


def test_floats_and_doubles_convert_in_order(vector):
    x = np.concatenate([VALUES.astype(float), np.random.default_rng(4).normal(size=100)])
    assert_same_bits(vector("from_doubles", x, dtype=float), x.astype(np.float32))
    assert_same_bits(vector("to_doubles", x, out_dtype=float), x.astype(np.float32).astype(float))


# ---- layers ----


def make_layer(n_out, n_in, n_cells, seed):
    """Weights, bias, input and residual."""
    rng = np.random.default_rng(seed)
    shapes = [(n_out, n_in), (n_out,), (n_cells, n_in), (n_cells, n_out)]
    weights, *others = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    return np.float32(2 / np.sqrt(n_in)) * weights, *others


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layer_matches_numpy(vector, shape, epilogue):
    weights, bias, x, residual = make_layer(*shape, BATCH, seed=1)
    for added in (None, residual) if epilogue != "none" else (None,):
        result = vector.layer(weights, bias, x, epilogue, added)
        exact = EPILOGUES[epilogue](x.astype(float) @ weights.T + bias) + (0 if added is None else added)
        # rounding of n_in products and sums, carried by a slope of at most 1.1, then of the epilogue
        bound = 1.1 * EPS * (np.abs(x) @ np.abs(weights).T + np.abs(bias)) * (shape[1] / 2 + 1)
        bound += 4 * EPS * (np.abs(exact) + (0 if added is None else np.abs(added)))
        assert np.all(np.abs(result - exact) <= bound)


@pytest.mark.parametrize("epilogue", ["none", "silu", "tanh", "sigmoid"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cells_do_not_see_each_other(vector, shape, epilogue):
    """Bit by bit the same in any place of any number of cells, among bad neighbours."""
    weights, bias, x, residual = make_layer(*shape, BATCH, seed=2)
    added = None if epilogue == "none" else residual
    whole = vector.layer(weights, bias, x, epilogue, added)
    for n in range(1, BATCH + 1):
        order = np.roll(np.arange(BATCH), n)[:n]
        some_x, some_added = x[order], residual[order]
        good = np.arange(n) % 3 != 1
        some_x[~good] = NAN
        some_added[~good] = INF
        result = vector.layer(weights, bias, some_x, epilogue, None if added is None else some_added)
        np.testing.assert_array_equal(result[good].view(np.int32), whole[order][good].view(np.int32))


def test_weights_need_no_alignment(vector):
    weights, bias, x, _ = make_layer(19, 13, BATCH, seed=3)
    assert_same_bits(vector.layer(weights, bias, x, shift=1), vector.layer(weights, bias, x))
