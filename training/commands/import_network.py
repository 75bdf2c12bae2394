"""``surrogate import``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..systems import get_system
from ..systems.importers import CONVERTERS
from ..systems.importers.writer import write_network


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a network that you have as a file of our own format (YAML), to be read, edited and named wherever a SYSTEM
    is wanted. What cannot be expressed is refused."""
    parser = argparse.ArgumentParser(prog="surrogate import", description=main.__doc__)
    formats = parser.add_subparsers(dest="format", required=True, metavar="FORMAT")
    for name, converter in CONVERTERS.items():
        one = formats.add_parser(name, help=converter.HELP, description=f"Read {converter.HELP}.")
        converter.add_options(one)
        one.add_argument("--out", required=True, metavar="FILE.yaml")
    options = parser.parse_args(arguments)
    if Path(options.out).suffix.lower() not in (".yaml", ".yml"):
        raise ValueError(f"--out is {options.out!r}: give a name that ends in .yaml")
    network, head = CONVERTERS[options.format].convert(options)
    write_network(network, options.out, f"Written by surrogate import {options.format}. {head}")
    system = get_system(options.out)
    print(f"{options.out}: {len(system.variables)} variables, {len(system.reactions)} reactions")
