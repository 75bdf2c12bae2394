"""What the audit of a run has found, and how far the net is trusted for it."""

from dataclasses import dataclass
from math import sqrt

#: quantile of the normal distribution of a one-sided bound at 95 %
Z = 1.6449


@dataclass(frozen=True)
class Coverage:
    """How many of the audited cells of a run the net has advanced to within the tolerance.

    The solver's result at the same tolerance is taken for right.

    Attributes
    ----------
    audited, wrong : int
        Cells that the net would have advanced, and that were solved as well, since the stepper was made; and those of
        them that were off by more than the tolerance in some variable.
    trust : float
        The net is believed where its expected error is below this times the tolerance: 1 to begin with, less where it
        proved wrong more often than was asked for (``coverage`` of `Model.stepper`).
    """

    audited: int
    wrong: int
    trust: float

    @property
    def share(self) -> float:
        """Share of the audited cells that were within the tolerance; nan if there was none."""
        return 1 - self.wrong / self.audited if self.audited else float("nan")

    @property
    def bound(self) -> float:
        """Lower bound of that share at 95 %, by Wilson's score (1927, J. Am. Stat. Assoc. 22, 209)."""
        if not self.audited:
            return float("nan")
        n, share = self.audited, self.share
        centre, spread = share + Z**2 / (2 * n), Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
        return (centre - spread) / (1 + Z**2 / n)

    def __str__(self) -> str:
        return (
            f"{self.audited} audited, {100 * self.share:.2f} % of them within rtol (at least {100 * self.bound:.2f}), "
            f"trust {self.trust:.3g}"
        )
