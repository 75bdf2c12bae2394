"""Networks in YAML, the format of our own; it is explained at the top of ``data/ism_network.yaml``."""

from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml")


class _Loader(yaml.SafeLoader):
    """Plain data alone. Aliases, with which a short file is a large one, are refused."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases (*name) are not read: write it out")
        return super().compose_node(parent, index)


def read(path: Path) -> dict[str, Any]:
    """The content of a file."""
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {' '.join(str(error).split())[:300]}") from error
