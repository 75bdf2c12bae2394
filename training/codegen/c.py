"""C mechanism of a system: right-hand side, Jacobian, sparse LU, for GNU vectors in which a lane is a cell."""

from ..systems.system import System
from .lu import SparseLU, carriers
from .program import Printer, Program, literal


class _CPrinter(Printer):
    language = "c"
    call = {
        "exp": "vd_exp({0})",
        "log": "vd_log({0})",
        "sqrt": "vd_sqrt({0})",
        "sin": "vd_sin({0})",
        "cos": "vd_cos({0})",
        "min": "vd_min({2}, {3})",
        "max": "vd_max({2}, {3})",
        "where_lt": "vd_select({0} < {1}, {2}, {3})",
        "where_le": "vd_select({0} <= {1}, {2}, {3})",
        "table": "table_{name}({x}, {order})",
        "square": "vd_square({0})",
    }

    def constant(self, value):
        return f"vd_set({literal(value)})"


def write_mechanism(system: System) -> str:
    """Source text of ``mechanism.h``.

    It defines ``mechanism_rhs``, ``mechanism_jacobian``, ``mechanism_factor`` and ``mechanism_solve`` over
    ``vdouble`` plus the constants that the solver is compiled with.
    """
    derived, n = system.derived, len(system.variables)
    entries = list(derived.jacobian)
    lu = SparseLU(n, entries, list(system.conserved.values()), [v.floor == 0 for v in system.variables])
    rename = {s.name: f"y[{i}]" for i, s in enumerate(system.symbols)}
    rename |= {s.name: f"p[{i}]" for i, s in enumerate(system.parameter_symbols)}
    if system.time:
        rename["t"] = "t"
    printer = _CPrinter(rename)
    jacobian = [derived.jacobian[e] for e in entries]
    outputs = [f"f[{i}]" for i in range(n)]
    all_outputs = [*outputs, *(f"jac[{k}]" for k in range(len(entries)))]
    values = [*system.rhs, *jacobian]
    if system.time:
        all_outputs += [f"dfdt[{i}]" for i in range(n)]
        values += derived.time_derivative
    conserved = system.restored_laws
    parts = [
        f"/* Generated from the system {system.name!r}; do not edit. */",
        _defines(system, entries, lu, conserved),
        *(_table(name, t) for name, t in sorted(system.tables.items())),
        _function("mechanism_rhs", "vdouble *restrict f", Program(system, list(system.rhs)), outputs, printer),
        _function(
            "mechanism_jacobian",
            "vdouble *restrict f, vdouble *restrict jac, vdouble *restrict dfdt",
            Program(system, values),
            all_outputs,
            printer,
        ),
        lu.source(),
    ]
    return "\n".join(parts)


def c_string(text):
    """A string literal of this text in UTF-8, whatever it holds."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode(errors="replace")) + '"'


def _array(ctype, name, values):
    return f"static const {ctype} {name}[] = {{{', '.join(values) or '0'}}};"


def _double(x):
    return {float("inf"): "HUGE_VAL", float("-inf"): "-HUGE_VAL"}.get(float(x), repr(float(x)))


def _defines(system, entries, lu, conserved):
    variables = system.variables
    units, groups = system.total_units, {"range": -2}
    reduced = carriers(conserved)
    return "\n".join(
        [
            f"#define N_STATE {len(variables)}",
            f"#define N_PARAM {len(system.parameters)}",
            f"#define N_JAC {len(entries)}",
            f"#define N_LU {lu.size}",
            f"#define N_CONSERVED {len(conserved)}",
            f"#define HAS_TIME {int(system.time is not None)}",
            f"#define TIME_PARAM {next((i for i, p in enumerate(system.parameters) if p.name == 't'), -1)}",
            _array("short", "jac_row", [str(i) for i, _ in entries]),
            _array("short", "jac_col", [str(j) for _, j in entries]),
            _array(
                "short",
                "jac_diagonal",
                [str(entries.index((k, k)) if (k, k) in entries else -1) for k in range(len(variables))],
            ),
            "/* absolute tolerance = atol_frac * (total over its scale group, largest value so far, or scale) */",
            "#define SCALE_FIXED -1",
            "#define SCALE_RANGE -2",
            f"#define N_SCALE_GROUPS {len(units)}",
            _array(
                "short",
                "scale_group",
                [str(groups.get(v.scale, units.index(v.unit) if v.scale == "total" else -1)) for v in variables],
            ),
            _array("unsigned char", "in_total", [str(int(v.scale == "total")) for v in variables]),
            _array("double", "scale", [_double(0 if isinstance(v.scale, str) else v.scale) for v in variables]),
            _array("double", "floor_value", [_double(v.floor) for v in variables]),
            _array("double", "conserved", [_double(x) for row in conserved for x in row]),
            "/* the same invariants, combined so that each has a variable of its own, the carrier, with weight 1 */",
            _array("double", "law", [_double(c.get(k, 0.0)) for c in reduced.values() for k in range(len(variables))]),
            _array("short", "carrier", [str(k) for k in reduced]),
        ]
    )


def _table(name, t):
    rows = ",\n".join("    " + ", ".join(repr(float(c)) for c in row) for row in t.coeffs)
    return f"""static const double table_{name}_coeffs[] = {{
{rows}
}};
static inline vdouble table_{name}(vdouble x, int order)
{{
    return vd_cubic(table_{name}_coeffs, {len(t.coeffs)}, {t.lower!r}, {t.width!r}, x, order);
}}
"""


def _function(name, outputs, program, targets, printer):
    lines = [
        f"static __attribute__((noinline)) void {name}(vdouble t, const vdouble *restrict y,",
        f"    const vdouble *restrict p, {outputs})",
        "{",
        "    (void)t; (void)p;",
    ]
    if "dfdt" in outputs and not any(target.startswith("dfdt") for target in targets):
        lines.append("    (void)dfdt;")
    lines += [f"    const vdouble {printer.name(n)} = {printer(e)};" for n, e in program.assignments]
    lines += [f"    {target} = {printer(e)};" for target, e in zip(targets, program.outputs)]
    return "\n".join([*lines, "}", ""])
