"""Networks in YAML, the format of our own; it is explained at the top of ``data/ism_network.yaml``."""

from pathlib import Path
from typing import Any

import yaml

from ..section import Section

SUFFIXES = (".yaml", ".yml")


class _Loader(yaml.SafeLoader):
    """Plain data in mappings that know their line. Aliases, with which a short file is a large one, are refused."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases (*name) are not read: write it out")
        return super().compose_node(parent, index)

    def construct_section(self, node):
        section = Section(line=node.start_mark.line + 1)
        yield section
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for k, key in enumerate(keys) if key in keys[:k]]:
            raise ValueError(f"{section.where}{twice[0]!r} is there twice: leave one out")
        section.update(self.construct_mapping(node, deep=True))


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_section)


def read(path: Path) -> dict[str, Any]:
    """The content of a file."""
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {' '.join(str(error).split())[:300]}") from error
