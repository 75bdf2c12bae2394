"""The three back ends compute the same right-hand side and Jacobian, and the right ones."""

import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from surrogate.training import get_system, system_names
from surrogate.training.codegen import numba_functions, python_functions, torch_functions
from surrogate.training.codegen.program import Program
from surrogate.training.codegen.python import _ScalarPrinter
from surrogate.training.systems.system import symbol


class _ExactPrinter(_ScalarPrinter):
    def constant(self, value):
        return f"mpf({float(value)!r})"


def _exact_rhs(system):
    """rhs in 60-digit arithmetic: an independent path through the same formulas."""
    program, printer = Program(system, list(system.rhs)), _ExactPrinter()
    names = [printer.name(n) for n, _ in program.assignments]
    codes = [compile(printer(e), "exact", "eval") for _, e in program.assignments]
    outputs = [compile(printer(e), "exact", "eval") for e in program.outputs]

    def rhs(y, p):
        env = {
            "exp": mpmath.exp,
            "log": mpmath.log,
            "sqrt": mpmath.sqrt,
            "sin": mpmath.sin,
            "cos": mpmath.cos,
            "mpf": mpmath.mpf,
        }
        for k, t in system.tables.items():
            env[f"table_{k}"] = _exact_table(t)
        env |= {printer.name(s.name): mpmath.mpf(v) for s, v in zip(system.symbols, y)}
        env |= {printer.name(s.name): mpmath.mpf(v) for s, v in zip(system.parameter_symbols, p)}
        for name, code in zip(names, codes):
            env[name] = eval(code, env)
        return [eval(code, env) for code in outputs]

    return rhs


def _exact_table(t):
    def evaluate(x, order):
        assert order == 0
        i = min(max(int((x - t.lower) / t.width), 0), len(t.coeffs) - 1)
        u = x - (mpmath.mpf(t.lower) + i * mpmath.mpf(t.width))
        return mpmath.polyval([mpmath.mpf(c) for c in t.coeffs[i][::-1]], u)

    return evaluate


def _states(system, n, seed=11):
    states = system.sample(n, seed)
    if "T" in system.names:  # the whole range in even steps, ends included
        states[:, -1] = np.geomspace(3.0, 1e9, n)
    return states


def _scales(system, states):
    """Size of the terms that cancel: production plus loss, per variable and per Jacobian entry."""
    *_, gross = python_functions(system)
    rhs_scale = np.array([gross(0.0, y, system.parameter_values) for y in states])
    typical = np.abs(states) + np.array([1e-300 if v.role != "other" else 1e-3 for v in system.variables])
    return rhs_scale, rhs_scale[:, :, None] / typical[:, None, :]


@pytest.mark.torch
@pytest.mark.parametrize("name", system_names())
def test_c_torch_and_numba_agree(name, build):
    """To 1e-12 of the terms that are summed; polynomials of ninth degree in log T leave no more at 1e9 K."""
    import torch

    system, model = build(name)
    states = _states(system, 300)
    params = np.tile(system.parameter_values, (len(states), 1))
    rhs_scale, jac_scale = _scales(system, states)
    f_c, j_c = model.evaluate(states, params)
    rhs, jacobian = numba_functions(system)
    f_numba = np.array([rhs(0.0, y, p) for y, p in zip(states, params)])
    j_numba = np.array([jacobian(0.0, y, p) for y, p in zip(states, params)])
    rhs, jacobian = torch_functions(system)
    f_torch = rhs(torch.tensor(states), torch.tensor(params)).numpy()
    j_torch = jacobian(torch.tensor(states), torch.tensor(params)).numpy()
    for f, j in ((f_c, j_c), (f_torch, j_torch), (f_numba, j_numba)):
        assert np.isfinite(f).all()
        assert np.isfinite(j).all()
        assert (np.abs(f - f_numba) / (rhs_scale + 1e-300)).max() < 1e-12
        assert (np.abs(j - j_numba) / (np.abs(j_numba) + jac_scale + 1e-300)).max() < 1e-12


@pytest.mark.parametrize("preset", ["corrected", "krome2016", "literal"])
def test_presets_are_finite_over_the_whole_box(preset, build):
    """Temperatures 3..1e9 K, densities 1e-30..1e6: no NaN, no Inf, in value or derivative."""
    system, model = build("ism-molecular", preset=preset)
    rng = np.random.default_rng(2)
    states = 10.0 ** rng.uniform(-30, 6, (4000, 10))
    states[rng.random(states.shape) < 0.1] = 0.0
    states[:, 2] += 1e-10
    states[:, -1] = np.geomspace(3.0, 1e9, 4000)
    f, jacobian = model.evaluate(states, np.tile(system.parameter_values, (4000, 1)))
    assert np.isfinite(f).all()
    assert np.isfinite(jacobian).all()


@pytest.mark.parametrize("name", system_names())
def test_jacobian_matches_differences_in_high_precision(name, build):
    """Central differences of the rhs in 60 digits: errors of the formula, not of rounding, would show."""
    system, model = build(name)
    states = _states(system, 10)[1:-1]  # at the ends of the box the clamp on T has one-sided slopes
    params = np.tile(system.parameter_values, (len(states), 1))
    rhs_scale, jac_scale = _scales(system, states)
    f, jacobian = model.evaluate(states, params)
    exact = _exact_rhs(system)
    with mpmath.workdps(60):
        for c, (y, p) in enumerate(zip(states, params)):
            value = np.array([float(x) for x in exact(y, p)])
            assert (np.abs(f[c] - value) / (rhs_scale[c] + 1e-300)).max() < 2e-12
            for k in range(len(y)):
                step = mpmath.mpf(abs(y[k]) or 1.0) * mpmath.mpf("1e-20")
                up, down = ([*map(mpmath.mpf, y)] for _ in range(2))
                up[k] += step
                down[k] -= step
                slope = np.array([float((a - b) / (2 * step)) for a, b in zip(exact(up, p), exact(down, p))])
                error = np.abs(jacobian[c, :, k] - slope) / (np.abs(slope) + jac_scale[c, :, k] + 1e-300)
                assert error.max() < 1e-11, (y[k], system.names[k], error.argmax())


def test_generated_code_differentiates_explicit_time():
    """relax-forced: d(C sin t)/dt = C cos t, at the time the parameter says."""
    system = get_system("relax-forced")
    assert system.time is not None
    (derivative,) = system.derived.time_derivative
    assert float(derivative.subs({symbol("C"): 3.0, symbol("t"): 0.5})) == pytest.approx(3.0 * np.cos(0.5))


def test_code_is_the_same_in_every_process():
    """Python's hash seed orders its sets; the generated code must not depend on it, for two builds to agree in bits."""
    show = (
        "from surrogate.training import get_system; from surrogate.training.codegen.c import write_mechanism\n"
        "print(write_mechanism(get_system('ism-atomic')))"
    )
    command = [sys.executable, "-c", show]
    first, second = (
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        for seed in "12"
    )
    assert first.stdout == second.stdout != ""
