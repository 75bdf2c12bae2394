"""Files that are read line by line, and refused with file, line and text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Line(NamedTuple):
    """A line of a file."""

    file: str
    number: int
    text: str

    def refuse(self, why: str) -> ValueError:
        """The error that says where and why."""
        return ValueError(f"{self.file}, line {self.number}: {why}: {self.text.strip()[:200]!r}")


def lines_of(path: str) -> Iterator[Line]:
    """Lines of a text file, in UTF-8 or, where it is none, Latin-1."""
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    for number, line in enumerate(text.splitlines(), 1):
        yield Line(path, number, line)


def add_parameters(parser: Any, what: str) -> None:
    """The option ``--param`` of a command: values of what a file leaves open, see `parameter_values`."""
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help=f"value of {what}; may be repeated"
    )


def parameter_values(texts: list[str]) -> dict[str, float]:
    """``["NAME=VALUE", ...]`` of the option ``--param`` as numbers by name."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError:
            raise ValueError(f"--param is {text!r}: give NAME=VALUE") from None
    return values
