"""Unrolled sparse LU of ``diagonal*I - J`` without pivoting, in an order that keeps fill-in low."""

import sympy as sp


class SparseLU:
    """Symbolic factorisation of a matrix with the given pattern.

    Pivots stay on the diagonal, in the order of least Markowitz cost; the shifted Jacobian of a stiff system is
    diagonally dominant in the sense that matters as soon as the step is short enough, and the code reports the
    smallest ratio of a pivot to the entry it started from, so that a breakdown is seen and the step shortened.

    Along a conservation law c (c J = 0) the matrix is ``diagonal`` alone, and where that lies below the round-off of J
    nothing is left of it. No increment of the solver's has a part along c. So the row of one variable that carries the
    law is replaced by ``diagonal`` c, a sum of rows, and its right-hand side by 0. These rows come last in the
    order.

    Parameters
    ----------
    n : int
    entries : sequence of (int, int)
        Non-zero positions of J.
    conserved : sequence of sequence of float
        Conservation laws.
    can_vanish : sequence of bool
        Whether a variable may be absent, zero for good.

    Attributes
    ----------
    size : int
        Stored entries, fill-in included.
    carried : dict of int to dict of int to float
        Weights of a law by the variable that carries it; its own weight is 1.
    """

    def __init__(self, n, entries, conserved=(), can_vanish=None):
        self.n, self.entries = n, list(entries)
        self.can_vanish = [False] * n if can_vanish is None else list(can_vanish)
        self.carried = carriers(conserved)
        pattern = {e for e in entries if e[0] not in self.carried} | {(i, i) for i in range(n)}
        pattern |= {(k, j) for k, c in self.carried.items() for j in c}
        self.order, self.steps, left = [], [], set(range(n))
        while left:
            rows = {i: [r for r in left if r != i and (r, i) in pattern] for i in left}
            cols = {i: [c for c in left if c != i and (i, c) in pattern] for i in left}
            pivot = min(
                left, key=lambda i: (i in self.carried, len(rows[i]) * len(cols[i]), len(rows[i]) + len(cols[i]), i)
            )
            left.remove(pivot)
            self.order.append(pivot)
            self.steps.append((pivot, sorted(rows[pivot]), sorted(cols[pivot])))
            pattern |= {(r, c) for r in rows[pivot] for c in cols[pivot]}
        self.index = {e: k for k, e in enumerate(sorted(pattern))}
        self.size = len(self.index)

    def source(self):
        """C functions ``mechanism_factor`` and ``mechanism_solve``."""
        at = {e: f"w[{k}]" for e, k in self.index.items()}
        given = {e: k for k, e in enumerate(self.entries)}
        lines = [
            "/* Factor diagonal*I - J into w, at y, where f is the right-hand side. Returns the smallest",
            " * |pivot| / |entry before elimination|, with the sign of the determinant; *lowest is the lowest pivot.",
            " * Species that are absent and stay so count for neither sign nor lowest pivot. */",
            "static __attribute__((noinline)) vdouble mechanism_factor(vdouble diagonal, const vdouble *restrict y,",
            "    const vdouble *restrict f, const vdouble *restrict jac, vdouble *restrict w, vdouble *lowest)",
            "{",
            "    vdouble worst = vd_set(1.0), sign = vd_set(1.0), low = diagonal, pivot, l;",
            "    (void)y; (void)f;",
        ]
        for (i, j), name in at.items():
            if i in self.carried:
                lines.append(f"    {name} = {self.carried[i].get(j, 0.0)!r}*diagonal;")
                continue
            entry = f"-jac[{given[i, j]}]" if (i, j) in given else "vd_set(0.0)"
            lines.append(f"    {name} = {'diagonal + ' if i == j else ''}{entry};")
        lines += [f"    const vdouble before_{i} = vd_abs({at[i, i]});" for i in range(self.n)]
        for pivot, rows, cols in self.steps:
            lines.append(f"    worst = vd_min(worst, vd_abs({at[pivot, pivot]})/before_{pivot});")
            absent = f"(y[{pivot}] == 0.0) & (f[{pivot}] == 0.0)"
            judged = (
                f"vd_select({absent}, diagonal, {at[pivot, pivot]})" if self.can_vanish[pivot] else at[pivot, pivot]
            )
            lines.append(f"    pivot = {judged};")
            lines.append("    low = vd_min(low, pivot);")
            lines.append("    sign = vd_select(pivot < 0.0, -sign, sign);")
            lines.append(f"    {at[pivot, pivot]} = 1.0/{at[pivot, pivot]};")
            for r in rows:
                lines.append(f"    l = {at[r, pivot]} *= {at[pivot, pivot]};")
                lines += [f"    {at[r, c]} -= l*{at[pivot, c]};" for c in cols]
        lines += ["    *lowest = low;", "    return sign*worst;", "}", ""]
        lines += ["/* x <- (diagonal*I - J)^-1 x */"]
        lines += ["static inline void mechanism_solve(const vdouble *restrict w, vdouble *restrict x)", "{"]
        lines += [f"    x[{k}] = vd_set(0.0);" for k in self.carried]
        for pivot, rows, _ in self.steps:
            lines += [f"    x[{r}] -= {at[r, pivot]}*x[{pivot}];" for r in rows]
        for pivot, _, cols in reversed(self.steps):
            terms = "".join(f" - {at[pivot, c]}*x[{c}]" for c in cols)
            lines.append(f"    x[{pivot}] = (x[{pivot}]{terms})*{at[pivot, pivot]};")
        return "\n".join([*lines, "}", ""])


def carriers(conserved):
    """Linear combinations of laws of which each has a variable of its own that carries it, with weight 1.

    Variables that occur in few laws are preferred.
    """
    if not len(conserved):
        return {}
    n = len(conserved[0])
    order = sorted(range(n), key=lambda j: (sum(c[j] != 0 for c in conserved), j))
    matrix = sp.Matrix([[sp.nsimplify(c[j], rational=True) for j in order] for c in conserved])
    reduced, pivots = matrix.rref()
    return {
        order[p]: {order[j]: float(x) for j, x in enumerate(reduced.row(a)) if x != 0} for a, p in enumerate(pivots)
    }
