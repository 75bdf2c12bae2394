"""Vector exp, log and pow against mpmath, and the meaning of the vector primitives.

The C files are compiled once per vector width, with the flags of the project.
"""

import ctypes
import functools

import mpmath
import numpy as np
import pytest

#: largest error allowed [ulp]; a search over 4 million random points found 1.12, 1.53 and 1.64
MAX_ULP = {"exp": 1.5, "log": 2.0, "pow": 2.0}

LOG_MIN_NORMAL = -708.3964185322641
LOG_MAX_FINITE = 709.782712893384
INF, NAN = np.inf, np.nan
TINY = np.finfo(float).tiny
HUGE = np.finfo(float).max


class VectorLibrary:
    """tests/c/test_vecmath.c for one width, called with arrays of any length."""

    def __init__(self, path, lanes):
        self._c = ctypes.CDLL(str(path))
        self.lanes = lanes
        assert self._c.surr_test_lanes() == lanes

    def __call__(self, name, *arrays):
        arrays = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in arrays))
        n = arrays[0].size
        n_padded = -(-n // self.lanes) * self.lanes
        padded = [np.ascontiguousarray(np.resize(a, n_padded)) for a in arrays]
        out = np.empty(n_padded)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*padded, out)]
        getattr(self._c, f"surr_test_{name}")(ctypes.c_int64(n_padded), *pointers)
        return out[:n]

    def mask(self, x):
        x = np.ascontiguousarray(x, dtype=float)
        return self._c.surr_test_mask(ctypes.c_void_p(x.ctypes.data))


@pytest.fixture(scope="module")
def vector(compile_vector):
    return VectorLibrary(*compile_vector("test_vecmath"))


# ---- points and exact values, shared by all widths ----


def neighbours(x, n=3):
    """x and the n doubles on each side of it."""
    x = np.atleast_1d(np.asarray(x, dtype=float))
    found, up, down = [x], x, x
    for _ in range(n):
        up, down = np.nextafter(up, INF), np.nextafter(down, -INF)
        found += [up, down]
    return np.concatenate(found)


def exp_points(rng):
    sign = rng.choice([-1.0, 1.0], 6000)
    halfway = (np.arange(-16 * 1021, 16 * 1023, 13) + 0.5) * np.log(2) / 16
    inside = np.array([np.nextafter(LOG_MIN_NORMAL, 0), np.nextafter(LOG_MAX_FINITE, 0)])
    x = np.concatenate(
        [
            rng.uniform(LOG_MIN_NORMAL, LOG_MAX_FINITE, 8000),
            sign * 10.0 ** rng.uniform(-20, 2.85, 6000),
            neighbours(halfway, 1),
            neighbours((np.arange(-1021, 1023, 7) + 0.5) * np.log(2), 1),
            neighbours(inside, 1),
            [0.0, -0.0, TINY, 5e-324],
        ]
    )
    return x[(x >= LOG_MIN_NORMAL) & (x <= LOG_MAX_FINITE)]


def log_points(rng):
    edges = np.concatenate([1 + np.arange(33) / 32, 0.5 + np.arange(33) / 64])
    near_one = 1 + rng.choice([-1.0, 1.0], 3000) * 10.0 ** rng.uniform(-16, -1, 3000)
    return np.concatenate(
        [
            10.0 ** rng.uniform(-307, 308, 6000),
            rng.uniform(0.3, 3.0, 8000),
            near_one,
            neighbours(edges),
            neighbours([1.0], 50),
            [TINY, np.nextafter(TINY, 1), HUGE, np.nextafter(HUGE, 0)],
        ]
    )


def pow_points(rng):
    """Results of all magnitudes, from bases of all magnitudes and from bases near 1."""
    x = np.concatenate(
        [10.0 ** rng.uniform(-300, 300, 6000), rng.uniform(0.5, 2.0, 6000)]
        + [1 + rng.choice([-1.0, 1.0], 4000) * 10.0 ** rng.uniform(-12, -1.3, 4000)]
    )
    p = rng.uniform(-700, 700, x.size) / np.log(x)
    p[::3] = rng.uniform(-1, 1, p[::3].size)  # rate coefficients look like this
    return x, p


def exact_values(function, *arguments):
    """Correctly rounded results and the errors of that rounding, in doubles."""
    with mpmath.workprec(150):
        values = [function(*map(mpmath.mpf, a)) for a in zip(*(a.tolist() for a in arguments))]
        high = np.array([float(v) for v in values])
        low = np.array([float(v - h) for v, h in zip(values, high.tolist())])
    return high, low


@functools.cache
def reference(name):
    rng = np.random.default_rng(20240611)
    points = {"exp": exp_points, "log": log_points, "pow": pow_points}[name](rng)
    arguments = points if isinstance(points, tuple) else (points,)
    function = {"exp": mpmath.exp, "log": mpmath.log, "pow": mpmath.power}[name]
    return arguments, *exact_values(function, *arguments)


@pytest.mark.parametrize("name", MAX_ULP)
def test_errors_stay_below_bar(vector, name):
    arguments, high, low = reference(name)
    inside = np.abs(high) < HUGE
    if name != "log":
        inside &= high >= TINY
    ulp = np.spacing(np.abs(high))
    error = np.where(inside, np.abs((vector(name, *arguments) - high) - low) / ulp, 0.0)
    worst = np.nanargmax(np.where(np.isnan(error), INF, error))
    where = ", ".join(repr(float(a[worst])) for a in arguments)
    message = f"{name}({where}) is off by {error[worst]:.3f} ulp, allowed {MAX_ULP[name]}"
    print(f"lanes {vector.lanes}: largest error, {message}")
    assert error[worst] <= MAX_ULP[name], message


SPECIAL = {
    "exp": [
        *[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN)],
        *[(np.nextafter(LOG_MAX_FINITE, INF), INF), (710.0, INF), (1e15, INF), (HUGE, INF)],
        *[(np.nextafter(LOG_MIN_NORMAL, -INF), 0.0), (-709.0, 0.0), (-745.0, 0.0)],
        *[(-1e15, 0.0), (-HUGE, 0.0), (5e-324, 1.0), (-5e-324, 1.0)],
        *[(10.0**k, INF) for k in range(3, 308)],
        *[(-(10.0**k), 0.0) for k in range(3, 308)],
    ],
    "log": [
        *[(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (NAN, NAN)],
        *[(-INF, NAN), (-1.0, NAN), (-HUGE, NAN), (-TINY, NAN)],
        *[(5e-324, -INF), (np.nextafter(TINY, 0), -INF), (-5e-324, -INF)],
    ],
    "pow": [
        *[((2.0, 3.0), 8.0), ((10.0, -2.0), 0.01), ((1.0, 1e300), 1.0), ((7.0, 0.0), 1.0)],
        *[((0.0, 0.5), 0.0), ((0.0, -0.5), INF), ((0.0, 0.0), 1.0), ((5e-324, 2.0), 0.0)],
        *[((INF, 0.5), INF), ((INF, -0.5), 0.0), ((INF, 0.0), 1.0), ((-1.0, 2.0), NAN)],
        *[((2.0, 1024.0), INF), ((2.0, -1023.0), 0.0), ((2.0, -1022.0), TINY)],
        *[((2.0, 1e308), INF), ((0.5, 1e308), 0.0), ((1e300, -1e300), 0.0), ((1e300, 1e300), INF)],
        *[((HUGE, 1.0), HUGE), ((TINY, 1.0), TINY), ((NAN, 1.0), NAN), ((2.0, NAN), NAN)],
        *[((HUGE, np.nextafter(1.0, 2)), INF), ((TINY, np.nextafter(1.0, 2)), 0.0)],
    ],
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(vector, name):
    arguments, expected = zip(*SPECIAL[name])
    arguments = np.array(arguments).T.reshape(-1, len(expected))
    result = vector(name, *arguments)
    np.testing.assert_array_equal(result, expected)
    assert not np.any(np.signbit(result) & (result == 0)), "a zero must be +0"


@pytest.mark.parametrize("name", MAX_ULP)
def test_lanes_do_not_see_each_other(vector, name):
    rng = np.random.default_rng(7)
    arguments = [a.copy() for a in reference(name)[0]]
    arguments[0][::9] = NAN  # bad neighbours
    arguments[0][::11] = INF
    arguments[0][::13] = -1e300
    order = rng.permutation(arguments[0].size)
    straight = vector(name, *arguments)
    shuffled = vector(name, *(a[order] for a in arguments))
    np.testing.assert_array_equal(straight[order].view(np.int64), shuffled.view(np.int64))


# ---- primitives ----

VALUES = np.array([0.0, -0.0, 1.0, -2.5, TINY, -HUGE, HUGE, INF, -INF, NAN])
A, B = (m.ravel() for m in np.meshgrid(VALUES, VALUES))


def assert_same_bits(result, expected):
    """Equal, with the sign of zeros; any NaN equals any NaN."""
    np.testing.assert_array_equal(result, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result)[numbers], np.signbit(expected)[numbers])


def test_min_and_max_return_second_if_unordered(vector):
    assert_same_bits(vector("min", A, B), np.where(A < B, A, B))
    assert_same_bits(vector("max", A, B), np.where(A > B, A, B))


def test_select_follows_mask(vector):
    assert_same_bits(vector("select", A, B), np.where(A < B, A, 7.0))


def test_isfinite_abs_and_sqrt_match_numpy(vector):
    x = np.concatenate([VALUES, np.random.default_rng(3).exponential(size=100)])
    assert_same_bits(vector("isfinite", x), np.isfinite(x).astype(float))
    assert_same_bits(vector("abs", x), np.abs(x))
    with np.errstate(invalid="ignore"):
        assert_same_bits(vector("sqrt", x), np.sqrt(x))


def test_isfinite_survives_fast_math(compile_lanes):
    vector = VectorLibrary(compile_lanes("test_vecmath", 2, ["-ffast-math"]), 2)
    assert_same_bits(vector("isfinite", VALUES), np.isfinite(VALUES).astype(float))


def test_fma_gather_and_from_int(vector):
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 64))
    np.testing.assert_allclose(vector("fma", a, b), a * b + 0.5, rtol=0, atol=1e-15)
    base = rng.normal(size=64)
    index = rng.integers(0, 64, 64).astype(float)
    assert_same_bits(vector("gather", base, index), base[index.astype(int)])
    whole = rng.integers(-(2**50), 2**50, 64).astype(float)
    assert_same_bits(vector("from_int", whole), whole)


def test_mask_bits_any_and_all(vector):
    full = 2**vector.lanes - 1
    for bits in range(full + 1):
        x = [1.0 if bits >> lane & 1 else -1.0 for lane in range(vector.lanes)]
        assert vector.mask(x) == bits | (bits != 0) << 8 | (bits == full) << 9
