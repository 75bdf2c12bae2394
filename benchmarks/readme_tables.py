"""Put the tables of the README between their markers, from results/*.json: ``python -m benchmarks.readme_tables``."""

import json

from .timing import RESULTS

README = RESULTS.parent.parent / "README.md"


def solver_cost():
    """Cost and error of our solver and its opponents."""
    record = json.loads((RESULTS / "solver_cost.json").read_text())
    head = "| solver | rtol | wide [us] | 99 % | over ours | relaxed [us] | 99 % | over ours |"
    lines = [f"{record['machine']['cpu']}, commit {record['commit']}.", "", head, "|---|---|" + "---:|" * 6]
    wide, relaxed = (record["populations"][name]["rows"] for name in ("wide", "relaxed"))
    for w, r in zip(wide, relaxed):
        cells = [w["solver"], f"{w['rtol']:.0e}"]
        for row in (w, r):
            ratio = "" if row["ratio"] is None or row["solver"] == "ours (auto)" else f"{row['ratio']:.1f}"
            cells += [f"{row['us']:.1f}", f"{row['errors'][2]:.1e}", ratio]
        if w["solver"].startswith("ours") and w["rtol"] not in (1e-1, 1e-2, 1e-4, 1e-6):
            continue
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def per_call_overhead():
    """Cost of a call with one and with 32 cells."""
    from .per_call_overhead import WHAT

    record = json.loads((RESULTS / "per_call_overhead.json").read_text())
    lines = [f"{record['machine']['cpu']}, commit {record['commit']}.", "",
             "| | 1 cell [us] | 32 cells [us] | resident [MB] |", "|---|---:|---:|---:|"]  # fmt: skip
    for name, text in WHAT.items():
        row = record["results"][name]
        lines.append(f"| {text} | {row['us']['1']:.1f} | {row['us']['32']:.1f} | {row['resident_mb']:.0f} |")
    return "\n".join(lines)


def main():
    """Rewrite the README."""
    text = README.read_text()
    for name, table in (("solver_cost", solver_cost), ("per_call_overhead", per_call_overhead)):
        head, rest = text.split(f"<!-- table: {name} -->\n")
        text = f"{head}<!-- table: {name} -->\n{table()}\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
    README.write_text(text)


if __name__ == "__main__":
    main()
