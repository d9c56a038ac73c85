"""Writes values as YAML that every reader takes for the same values."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

# Strings that PyYAML writes without quotes, and that readers of other versions of YAML take for numbers or booleans:
# 1e3, 0o17, y.
_AMBIGUOUS: Final = re.compile(r"[-+]?\.?[0-9]\S*|[ynYN]")


class _Dumper(yaml.SafeDumper):
    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = "'" if _AMBIGUOUS.fullmatch(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def as_yaml(value: dict[str, Any]) -> str:
    """Write a mapping in the order of its keys."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
