"""YAML as people write it: a key never appears twice, and 6e-4 is a number."""

import re
from typing import Any

import yaml

FLOAT = re.compile(r"[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+$")
"""Numbers such as 6e-4, which YAML 1.1 takes for text."""


class _Loader(yaml.SafeLoader):
    """Refuses a doubled key, of which YAML would silently take the last."""

    def compose_mapping_node(self, anchor):
        """Compose a mapping whose keys differ."""
        node = super().compose_mapping_node(anchor)
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                first = seen[key.value]
                where = f"in line {line}" if first == line else f"in lines {first} and {line}"
                raise yaml.YAMLError(f"{key.value} appears twice, {where}; keep one of them")
            if isinstance(key, yaml.ScalarNode):
                seen[key.value] = line
        return node


class _Dumper(yaml.SafeDumper):
    """Writes what the loader reads back as the same."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789"))


def read_yaml(text: str) -> Any:
    """The value that a YAML text describes.

    Raises:
        ValueError: it is not valid YAML, or a key stands twice; one sentence.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def write_yaml(value: Any) -> str:
    """YAML of plain values, blocks one below the other."""
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False)


def write_flow(value: Any) -> str:
    """YAML of plain values in one line, such as [{reader: jsonl, path: a}]."""
    text = yaml.dump(
        value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, default_flow_style=True,
        width=float("inf"),
    )  # fmt: skip
    return text.removesuffix("...\n").strip()
