"""Write the descriptions of the stack file's keys into docs/stack-file.md, from the models of mesh/settings.

The page is written by hand but for the parts between `<!-- keys of SECTION -->` and `<!-- end of keys -->`.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic.fields import FieldInfo

from mesh.settings import Model, PolicyRule, PolicyTest, Rollout, Settings, Ssh
from mesh.settings.machines import KNOWN, MachineModels

__all__ = ["PAGE", "SECTIONS", "TOLD_ELSEWHERE", "with_keys"]

PAGE: Final = Path(__file__).parents[1] / "docs" / "stack-file.md"
_MODELS: Final = MachineModels(KNOWN)
SECTIONS: Final[Mapping[str, type[Model]]] = MappingProxyType(
    {
        "the mesh": Settings,
        "ssh": Ssh,
        "defaults": _MODELS.defaults,
        "nodes.<name>": _MODELS.node({}),
        "policy[]": PolicyRule,
        "policyTests[]": PolicyTest,
        "rollout": Rollout,
    }
)
"""The parts of the page, each with the model that describes its keys."""
TOLD_ELSEWHERE: Final = frozenset(name.split(".")[0].removesuffix("[]") for name in SECTIONS)
"""Keys of the mesh that have a part of their own."""
_PART: Final = re.compile(r"(<!-- keys of (.+?) -->\n).*?(<!-- end of keys -->)", re.DOTALL)
_LABELS: Final = re.compile(r"^(Changed later|Refused[a-z ]*):", re.MULTILINE)
_EVERYWHERE: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_WORDS: Final = (
    (True, "`true`"),
    (False, "`false`"),
    (None, "none"),
    ((), "`[]`"),
    (_EVERYWHERE, "everywhere"),
)
"""Defaults in the stack file's own words."""
_OF_THE_MESH: Final = MappingProxyType({"nodes.<name>.protect": "`protect` of the mesh"})
"""Keys of a node that the mesh has, too."""


def with_keys(page: str) -> str:
    """Return the page with every description as the models have it. Raises `KeyError` for an unknown part."""
    return _PART.sub(lambda part: f"{part[1]}\n{_part(part[2])}\n{part[3]}", page)


def _part(section: str) -> str:
    return "\n".join(_entries(section))


def _entries(section: str) -> Iterator[str]:
    prefix = "" if section == "the mesh" else f"{section}."
    shared: list[str] = []
    for name, field in SECTIONS[section].model_fields.items():
        key = field.alias or name
        if section == "nodes.<name>" and name in _MODELS.defaults.model_fields:
            shared.append(f"`{prefix}{key}`")
        elif prefix or key not in TOLD_ELSEWHERE:
            yield _entry(prefix + key, field)
    if shared:
        told = "As under [`defaults`](#what-nodes-are-made-of-defaults), for this node alone."
        yield f"### {', '.join(shared)}\n\n{told}\n"


def _entry(key: str, field: FieldInfo) -> str:
    facts = [f"Type: {field.title}."]
    default = _OF_THE_MESH.get(key) or _default(field.default)
    facts.append("Required." if field.is_required() else f"Default: {default}.")
    if field.examples:
        word = key.rpartition(".")[2]
        facts.append(f"Example: {', '.join(f'`{word}: {example}`' for example in field.examples)}.")
    told = _LABELS.sub(r"**\1:**", field.description or "")
    return f"### `{key}`\n\n{' '.join(facts)}\n\n{told}\n"


def _default(value: Any) -> str:
    return next(
        (word for known, word in _WORDS if type(known) is type(value) and known == value), f"`{value}`"
    )


def main() -> int:
    """Write the page; returns the exit code."""
    page = PAGE.read_text()
    written = with_keys(page)
    PAGE.write_text(written)
    print(f"{PAGE} {'was up to date' if written == page else 'is updated'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
