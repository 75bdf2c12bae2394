"""Unrolled sparse LU of ``diagonal*I - J`` without pivoting, in an order that keeps fill-in low."""


class SparseLU:
    """Symbolic factorisation of a matrix with the given pattern.

    Pivots stay on the diagonal, in the order of least Markowitz cost; the shifted Jacobian of a stiff system is
    diagonally dominant in the sense that matters as soon as the step is short enough, and the code reports the
    smallest ratio of a pivot to the entry it started from, so that a breakdown is seen and the step shortened.

    Parameters
    ----------
    n : int
    entries : sequence of (int, int)
        Non-zero positions of J.

    Attributes
    ----------
    size : int
        Stored entries, fill-in included.
    """

    def __init__(self, n, entries):
        self.n, self.entries = n, list(entries)
        pattern = set(entries) | {(i, i) for i in range(n)}
        self.order, self.steps, left = [], [], set(range(n))
        while left:
            rows = {i: [r for r in left if r != i and (r, i) in pattern] for i in left}
            cols = {i: [c for c in left if c != i and (i, c) in pattern] for i in left}
            pivot = min(left, key=lambda i: (len(rows[i]) * len(cols[i]), len(rows[i]) + len(cols[i]), i))
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
            "/* Factor diagonal*I - J into w; returns the smallest |pivot| / |entry before elimination|. */",
            "static __attribute__((noinline)) vdouble mechanism_factor(vdouble diagonal, const vdouble *restrict jac,",
            "    vdouble *restrict w)", "{", "    vdouble worst = vd_set(1.0), l;",
        ]  # fmt: skip
        for (i, j), name in at.items():
            entry = f"-jac[{given[i, j]}]" if (i, j) in given else "vd_set(0.0)"
            lines.append(f"    {name} = {'diagonal + ' if i == j else ''}{entry};")
        lines += [f"    const vdouble before_{i} = vd_abs({at[i, i]});" for i in range(self.n)]
        for pivot, rows, cols in self.steps:
            lines.append(f"    worst = vd_min(worst, vd_abs({at[pivot, pivot]})/before_{pivot});")
            lines.append(f"    {at[pivot, pivot]} = 1.0/{at[pivot, pivot]};")
            for r in rows:
                lines.append(f"    l = {at[r, pivot]} *= {at[pivot, pivot]};")
                lines += [f"    {at[r, c]} -= l*{at[pivot, c]};" for c in cols]
        lines += ["    return worst;", "}", ""]
        lines += ["/* x <- (diagonal*I - J)^-1 x */"]
        lines += ["static inline void mechanism_solve(const vdouble *restrict w, vdouble *restrict x)", "{"]
        for pivot, rows, _ in self.steps:
            lines += [f"    x[{r}] -= {at[r, pivot]}*x[{pivot}];" for r in rows]
        for pivot, _, cols in reversed(self.steps):
            terms = "".join(f" - {at[pivot, c]}*x[{c}]" for c in cols)
            lines.append(f"    x[{pivot}] = (x[{pivot}]{terms})*{at[pivot, pivot]};")
        return "\n".join([*lines, "}", ""])
