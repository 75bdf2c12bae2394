"""List the questions: ``python -m benchmarks``."""

import ast

from .timing import RESULTS


def questions():
    """Question of every script, by its name: those modules whose docstring begins with one."""
    first = {}
    for path in sorted(RESULTS.parent.glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        line = text.partition("\n\n")[0].replace("\n", " ")
        if line.endswith("?"):
            first[path.stem] = line
    return first


def main():
    """Print the list."""
    listed = questions()
    print("python -m benchmarks.NAME [--quick] [--json PATH]; `make tables` puts the records into README.md and here\n")
    for name, question in listed.items():
        done = "" if (RESULTS / f"{name}.json").exists() else "   (no record yet)"
        print(f"  {name:<{max(map(len, listed))}}  {question}{done}")


if __name__ == "__main__":
    main()
