"""What a Python user would reach for: SciPy's `solve_ivp`, and numbalsoda's LSODA, with right-hand sides from numba.

SciPy loops over the steps in Python: tens of milliseconds per cell, whatever the right-hand side costs. numbalsoda
loops in C++ and takes no Jacobian. `scipy.integrate.ode("vode")` is left out on purpose: SciPy 1.17 hands it the
Jacobian transposed (scipy issue 24933).
"""

import time

import numpy as np

from .contenders import absolute_tolerance, make_row

METHODS = ("BDF", "Radau", "LSODA")


def measure_scipy(functions, params, case, method, rtol):
    """Row of a method of `solve_ivp`; one cell warms up."""
    from scipy.integrate import solve_ivp

    rhs, jacobian = functions
    states, atol = np.full_like(case.cells, np.nan), absolute_tolerance(case, rtol)[:, 0]

    def solve(k):
        result = solve_ivp(
            rhs,
            (0.0, case.dt[k]),
            case.cells[k],
            method,
            (case.dt[k],),
            rtol=rtol,
            atol=atol[k],
            jac=jacobian,
            args=(params,),
        )
        return result.y[:, -1] if result.success else np.nan

    solve(0)
    with np.errstate(all="ignore"):
        start = time.process_time()
        for k in range(len(states)):
            states[k] = solve(k)
        seconds = time.process_time() - start
    return make_row(f"scipy {method}", rtol, 1e6 * seconds / len(states), states, case)


def make_lsoda(functions):
    """``solve(cells, dt, params, rtol, atol) -> states``, a compiled loop; ImportError without numbalsoda."""
    import numba
    from numbalsoda import lsoda, lsoda_sig

    rhs = functions[0]

    @numba.cfunc(lsoda_sig)
    def call_rhs(t, y, f, data):
        n = int(numba.carray(data, 2)[0])
        n_params = int(numba.carray(data, 2)[1])
        value = rhs(t, numba.carray(y, n), numba.carray(data, 2 + n_params)[2:])
        for i in range(n):
            f[i] = value[i]

    address = call_rhs.address

    @numba.njit
    def solve(cells, dt, params, rtol, atol):
        states, times = np.empty_like(cells), np.zeros(2)
        data = np.concatenate((np.array([float(cells.shape[1]), float(len(params))]), params))
        for k in range(len(cells)):
            times[1] = dt[k]
            result, good = lsoda(address, cells[k], times, data, rtol, atol[k], 100_000)
            states[k, :] = np.nan
            if good:
                states[k, :] = result[1]
        return states

    return solve


def measure_lsoda(solve, params, case, rtol, repeats):
    """Row of numbalsoda's LSODA."""
    seconds, atol = [], absolute_tolerance(case, rtol)[:, 0]
    for _ in range(repeats + 1):
        start = time.process_time()
        states = solve(case.cells, case.dt, params, rtol, atol)
        seconds.append(time.process_time() - start)
    return make_row("numbalsoda LSODA", rtol, 1e6 * np.median(seconds[1:]) / len(states), states, case)
