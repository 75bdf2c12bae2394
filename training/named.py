"""What users name as MODULE:NAME: functions and objects of their own, imported from where they are."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def importable_from_here() -> Iterator[None]:
    """Let the current directory be searched last for modules, also by an installed command."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.reverse()  # the last one, which is ours
        sys.path.remove(here)
        sys.path.reverse()


def find_named(text: str, what: str, form: str = "module:name") -> Any:
    """The object that ``"module:name"`` names; `what` it is wanted for is in the message where there is none."""
    module, _, name = text.partition(":")
    try:
        with importable_from_here():
            return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{what} is {text!r}: give {form}, importable from here ({error})") from error
