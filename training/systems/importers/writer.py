"""Writes a network as a file of our own format, to be read and edited: a line for each species and reaction."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ...files import replacing

#: sections in which every item has a line of its own
LISTS = ("species", "definitions", "reactions", "heating", "cooling")
MAPPINGS = ("parameters", "presets", "thermal", "tables")


def text_of(network: Mapping[str, Any], head: str) -> str:
    """YAML of a network in the form of ``data/ism_network.yaml``, `head` as a comment at its top."""
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    for key, value in network.items():
        lines += ["", *_section(key, value, "")] if key in (*LISTS, *MAPPINGS) else _section(key, value, "")
    return "\n".join(lines) + "\n"


def write_network(network: Mapping[str, Any], path: str | os.PathLike, head: str) -> None:
    """Write `text_of` a network; the file appears when it is complete."""
    with replacing(Path(path)) as file:
        file.write_text(text_of(network, head), encoding="utf-8")


def _section(key, value, indent):
    if not value and isinstance(value, (dict, list, tuple)):
        return []
    if key in LISTS:
        return [f"{indent}{key}:", *(f"{indent}  - {_flow(item)}" for item in value)]
    if key in MAPPINGS:
        lines = [f"{indent}{key}:"]
        for name, item in value.items():
            lines += _section(name, item, indent + "  ")
        return lines
    return [f"{indent}{_flow(key)}: {_flow(value)}"]


def _flow(value):
    text = yaml.safe_dump(
        _plain(value), default_flow_style=True, width=float("inf"), sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _plain(value):
    """Numbers, texts, lists and dicts alone, whatever a library hands out; what is whole is written so."""
    if isinstance(value, Mapping):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value
