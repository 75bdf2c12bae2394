"""``surrogate info``: all that is known about one model."""

import argparse
from collections.abc import Sequence

from surrogate.model import load


def main(argv: Sequence[str] | None = None) -> None:
    """Print variables, parameters, ranges and provenance of a model."""
    parser = argparse.ArgumentParser(prog="surrogate info", description=main.__doc__)
    parser.add_argument("model", help="name of a model, or path of a model library")
    model = load(parser.parse_args(argv).model)
    for title, fields in (("variable", model.variables), ("parameter", model.parameters)):
        if fields:
            print(f"{title:<12} {'unit':<16} {'lower':>10} {'upper':>10} {'value':>10}")
        for f in fields:
            value = "" if f.value is None else f"{f.value:.3g}"
            print(f"{f.name:<12} {f.unit:<16} {f.lower:>10.3g} {f.upper:>10.3g} {value:>10}")
    print(f"time step [s] {model.dt_range[0]:.3g} .. {model.dt_range[1]:.3g}")
    print(f"self-test error {model.selftest():.2g}")
    for key, value in model.info.items():
        if key not in ("variables", "parameters"):  # above
            print("\n".join(table_of(key, value)))


def table_of(key: str, value) -> list[str]:
    """Lines that show a piece of information: a word, a list, or a table of what belongs together."""
    if isinstance(value, dict) and value and all(isinstance(row, dict) for row in value.values()):
        rows = {
            name: {k: cell for k, cell in row.items() if not isinstance(cell, dict)}
            | {f"{k} {j}": x for k, cell in row.items() if isinstance(cell, dict) for j, x in cell.items()}
            for name, row in value.items()
        }
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        cells = [[key, *names], *([name, *(text_of(row.get(k, "")) for k in names)] for name, row in rows.items())]
        widths = [max(map(len, column)) for column in zip(*cells)]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    if isinstance(value, dict):
        return [f"{key}: " + ", ".join(f"{k} {text_of(x)}" for k, x in value.items())]
    if isinstance(value, list) and len(value) > 1:
        return [f"{key}:", *(f"  {text_of(x)}" for x in value)]
    return [f"{key}: {text_of(value)}"]


def text_of(value) -> str:
    """Numbers short, lists without brackets."""
    if isinstance(value, list):
        return " ".join(map(text_of, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
