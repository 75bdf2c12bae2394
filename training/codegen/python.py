"""Right-hand side and Jacobian as torch and numba functions.

The torch functions are text that imports torch when it is executed: nothing else here does.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import sympy as sp

from ..systems.expressions import maximum
from ..systems.system import System
from .program import Printer, Program, literal


class _TorchPrinter(Printer):
    language = "torch"
    call = {
        "exp": "torch.exp({0})",
        "log": "torch.log({0})",
        "sqrt": "torch.sqrt({0})",
        "sin": "torch.sin({0})",
        "cos": "torch.cos({0})",
        "min": "torch.minimum({2}, {3})",
        "max": "torch.maximum({2}, {3})",
        "where_lt": "torch.where({0} < {1}, {2}, {3})",
        "where_le": "torch.where({0} <= {1}, {2}, {3})",
        "table": "table_{name}({x}, {order})",
        "square": "torch.square({0})",
    }

    def constant(self, value):
        return f"c({literal(value)})"


class _ScalarPrinter(Printer):
    language = "python"
    call = {
        "exp": "exp({0})",
        "log": "log({0})",
        "sqrt": "sqrt({0})",
        "sin": "sin({0})",
        "cos": "cos({0})",
        "min": "min({2}, {3})",
        "max": "max({2}, {3})",
        "where_lt": "({2} if {0} < {1} else {3})",
        "where_le": "({2} if {0} <= {1} else {3})",
        "table": "table_{name}({x}, {order})",
        "square": "({0})**2",
    }


def _body(system, outputs, values, printer):
    program = Program(system, values)
    lines = [f"    {printer.name(n)} = {printer(e)}" for n, e in program.assignments]
    return lines + [f"    {target} = {printer(e)}" for target, e in zip(outputs, program.outputs)]


def _compile(lines, namespace, name):
    source = "\n".join(lines)
    exec(compile(source, f"<generated {name}>", "exec"), namespace)  # our own generated text
    return namespace[name]


def _scalar_sources(system, names):
    """Source lines of those of rhs, jacobian and gross that are wanted, for one cell."""
    n = len(system.variables)
    head = [f"    {s.name}_ = y[{i}]" for i, s in enumerate(system.symbols)]
    head += [f"    {s.name}_ = p[{i}]{' + t' if s.name == 't' else ''}" for i, s in enumerate(system.parameter_symbols)]
    sources = {}
    for name in names:
        shape, targets = n, range(n)
        if name == "rhs":
            values = list(system.rhs)
        elif name == "gross":
            values = [sp.Add(*(abs(c) * maximum(term, -term) for term, c in row.items())) for row in system.terms]
        else:
            jacobian = system.derived.jacobian
            shape, targets, values = (n, n), [f"{i}, {j}" for i, j in jacobian], list(jacobian.values())
        body = _body(system, [f"out[{target}]" for target in targets], values, _ScalarPrinter())
        sources[name] = [f"def {name}(t, y, p):", *head, f"    out = np.zeros({shape})", *body, "    return out"]
    return sources


def python_functions(system: System, names: Sequence[str] = ("rhs", "jacobian", "gross")) -> tuple[Callable, ...]:
    """Plain scalar functions of ``(t, y, p)``, those of `names`; see `numba_functions`.

    ``gross`` is the sum of the magnitudes of the terms that cancel in the right-hand side.
    """
    namespace = {"np": np, "math": math, "exp": _exp, "log": _log, "sqrt": math.sqrt, "sin": math.sin, "cos": math.cos}
    namespace |= {f"table_{k}": _scalar_table(t) for k, t in system.tables.items()}
    return tuple(_compile(code, dict(namespace), name) for name, code in _scalar_sources(system, names).items())


def numba_functions(system: System) -> tuple[Callable, Callable]:
    """Compiled scalar functions ``rhs(t, y, p)`` and ``jacobian(t, y, p)``.

    Parameters
    ----------
    system : System

    Returns
    -------
    rhs, jacobian : callable
        ``y`` of shape (n_vars,), ``p`` of shape (n_params,); return arrays of shape (n_vars,) and
        (n_vars, n_vars). For a system with explicit time, ``t`` counts from the parameter ``t``.
    """
    import numba

    jit = numba.njit(error_model="numpy")
    namespace = {
        "np": np,
        "math": math,
        "exp": jit(_exp),
        "log": jit(_log),
        "sqrt": math.sqrt,
        "sin": math.sin,
        "cos": math.cos,
    }
    namespace |= {f"table_{k}": jit(_scalar_table(t)) for k, t in system.tables.items()}
    sources = _scalar_sources(system, ("rhs", "jacobian"))
    return tuple(jit(_compile(code, dict(namespace), name)) for name, code in sources.items())


def _exp(x):  # like the C back end: results below the smallest normal number are zero
    return math.exp(x) if -708.3964185322641 <= x <= 709.782712893384 else (0.0 if x < 0 else x * math.inf)


def _log(x):
    return math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)


def _scalar_table(t):
    coeffs, lower, width, last = t.coeffs, t.lower, t.width, len(t.coeffs) - 1

    def evaluate(x, order):
        i = min(max(int((x - lower) / width), 0), last)
        u = x - (lower + i * width)
        c = coeffs[i]
        if order == 0:
            return c[0] + u * (c[1] + u * (c[2] + u * c[3]))
        return c[1] + u * (2.0 * c[2] + u * 3.0 * c[3])

    return evaluate


def torch_functions(system: System) -> tuple[Callable, Callable]:
    """Batched, differentiable torch functions ``rhs(y, p, t=0)`` and ``jacobian(y, p, t=0)``.

    Returns
    -------
    rhs, jacobian : callable
        ``y`` of shape (n_cells, n_vars) and ``p`` of shape (n_cells, n_params) or (n_params,), any float dtype and
        device; return tensors of shape (n_cells, n_vars) and (n_cells, n_vars, n_vars).
    """
    n = len(system.variables)
    namespace = {f"table_{k}": _torch_table(t) for k, t in system.tables.items()}
    head = ["    c = y.new_tensor"]
    head += [f"    {s.name}_ = y[..., {i}]" for i, s in enumerate(system.symbols)]
    head += [
        f"    {s.name}_ = p[..., {i}]{' + t' if s.name == 't' else ''}" for i, s in enumerate(system.parameter_symbols)
    ]
    derived = system.derived
    rhs = ["import torch", "def rhs(y, p, t=0.0):", *head, f"    f = [None]*{n}"]
    rhs += _body(system, [f"f[{i}]" for i in range(n)], list(system.rhs), _TorchPrinter())
    rhs += ["    return torch.stack([torch.broadcast_to(v, y.shape[:-1]) for v in f], -1)"]
    jac = ["import torch", "def jacobian(y, p, t=0.0):", *head, f"    J = [c(0.0)]*{n * n}"]
    jac += _body(
        system, [f"J[{i * n + j}]" for i, j in derived.jacobian], list(derived.jacobian.values()), _TorchPrinter()
    )
    jac += [
        "    J = torch.stack([torch.broadcast_to(v, y.shape[:-1]) for v in J], -1)",
        f"    return J.reshape(*y.shape[:-1], {n}, {n})",
    ]
    return tuple(_compile(code, dict(namespace), name) for code, name in ((rhs, "rhs"), (jac, "jacobian")))


def _torch_table(t):
    def evaluate(x, order):
        coeffs = x.new_tensor(t.coeffs)
        i = ((x - t.lower) / t.width).long().clamp(0, len(t.coeffs) - 1)
        u = x - (t.lower + i.to(x.dtype) * t.width)  # an integer tensor times a float would be float32
        c = coeffs[i]
        if order == 0:
            return c[..., 0] + u * (c[..., 1] + u * (c[..., 2] + u * c[..., 3]))
        return c[..., 1] + u * (2.0 * c[..., 2] + u * 3.0 * c[..., 3])

    return evaluate
