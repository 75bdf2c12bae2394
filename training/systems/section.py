"""Parts of a file that know the line where they stand, for messages."""

from collections.abc import Collection
from typing import Any


class Section(dict):
    """A mapping read from a file. A key that it lacks is a ValueError with the line; ``get`` and ``in`` are a dict's.

    Attributes
    ----------
    line : int
        Where it begins in its file, from 1; 0 where that is unknown.
    """

    def __init__(self, content=(), line: int = 0):
        super().__init__(content)
        self.line = line

    def __missing__(self, key: str) -> Any:
        has = ", ".join(map(str, self))[:200] or "nothing"
        raise ValueError(f"{self.where}there is no {key!r}: add it (here are {has})")

    def __deepcopy__(self, memo):
        return Section(self, self.line)

    @property
    def where(self) -> str:
        """How a message about it begins."""
        return f"line {self.line}: " if self.line else ""

    def only(self, known: Collection[str], what: str) -> None:
        """Raise ValueError if there are keys that nobody reads: a slip, whose value would be ignored."""
        if unknown := [key for key in self if key not in known]:
            raise ValueError(f"{self.where}{what} has no {unknown[0]!r}; it may have {', '.join(known)}")


def section(content: Any, what: str) -> Section:
    """`content` as a `Section`; ValueError if it is no mapping."""
    if not isinstance(content, dict):
        raise ValueError(f"{what} is {content!r:.100}: give keys and values")
    return content if isinstance(content, Section) else Section(content)
