"""``surrogate models``: the models that can be loaded by name."""

import argparse
from collections.abc import Sequence

from surrogate.model import models


def main(argv: Sequence[str] | None = None) -> None:
    """List the models that can be loaded by name, and what their nets have answered for, by population of cells."""
    argparse.ArgumentParser(prog="surrogate models", description=main.__doc__).parse_args(argv)
    found = models()
    if not found:
        print("no models found; make one with `surrogate export`")
    for name, model in found.items():
        lower, upper = model.dt_range
        variables = " ".join(v.name for v in model.variables)
        print(f"{name:<22} {len(model.variables):>2} variables ({variables}), dt {lower:.3g}..{upper:.3g} s")
        for population, result in model.info.get("held_out", {}).items():
            shares = ", ".join(f"{100 * share:.0f} % at {r}" for r, share in result["accepted"].items())
            print(
                f"  {population:<10} net's error {10 ** result['log10_error'][0]:.1e} (50 %), "
                f"{10 ** result['log10_error'][3]:.1e} (99 %); accepted at rtol: {shares}"
            )
