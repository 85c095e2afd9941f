"""Write what follows from the models of mesh/settings: the keys in docs/stack-file.md, and the JSON schemas.

The page is written by hand but for the parts between `<!-- keys of SECTION -->` and `<!-- end of keys -->`.
"""

import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic.fields import FieldInfo

from mesh.settings import Client, Model, PolicyRule, PolicyTest, Rollout, Rotation, Settings, Ssh
from mesh.settings.machines import KNOWN, MachineKind, MachineModels
from mesh.settings.networks import Network
from mesh.settings.static import StaticDefaults, StaticMachine
from mesh.stackfile.descriptions import descriptions
from mesh.stackfile.schema import schema_text

__all__ = ["PAGE", "SECTIONS", "TOLD_ELSEWHERE", "schemas", "with_keys"]

_ROOT: Final = Path(__file__).parents[1]
PAGE: Final = _ROOT / "docs" / "stack-file.md"
_STATIC: Final = MachineKind(model=StaticMachine, defaults=StaticDefaults)
_MODELS: Final = MachineModels({**KNOWN, "static": _STATIC})
SECTIONS: Final[Mapping[str, type[Model]]] = MappingProxyType(
    {
        "the mesh": Settings,
        "ssh": Ssh,
        "defaults": _MODELS.defaults,
        "networks.<name>": Network,
        "nodes.<name>": _MODELS.node({}),
        "nodes.<name> (static)": StaticMachine,
        "clients.<name>": Client,
        "policy[]": PolicyRule,
        "policyTests[]": PolicyTest,
        "rollout": Rollout,
        "rotation": Rotation,
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
    prefix = "" if section == "the mesh" else f"{section.removesuffix(' (static)')}."
    shared: list[str] = []
    texts = descriptions(SECTIONS[section])
    for name, field in SECTIONS[section].model_fields.items():
        key = field.alias or name
        if section.startswith("nodes.<name>") and name in _MODELS.defaults.model_fields:
            shared.append(f"`{prefix}{key}`")
        elif prefix or key not in TOLD_ELSEWHERE:
            yield _entry(prefix + key, field, texts.get(name, ""))
    if shared:
        told = "As under [`defaults`](#what-nodes-are-made-of-defaults), for this node alone."
        yield f"### {', '.join(shared)}\n\n{told}\n"


def _entry(key: str, field: FieldInfo, told: str) -> str:
    facts = [f"Type: {field.title}."]
    default = _OF_THE_MESH.get(key) or _default(field.default)
    facts.append("Required." if field.is_required() else f"Default: {default}.")
    if field.examples:
        word = key.rpartition(".")[2]
        facts.append(f"Example: {', '.join(f'`{word}: {example}`' for example in field.examples)}.")
    text = _LABELS.sub(r"**\1:**", told)
    return f"### `{key}`\n\n{' '.join(facts)}\n\n{text}\n"


def _default(value: Any) -> str:
    return next(
        (word for known, word in _WORDS if type(known) is type(value) and known == value), f"`{value}`"
    )


def schemas() -> dict[Path, str]:
    """Return the text of each schema that lies beside stack files, by its path."""
    from mesh.program import KINDS, PROVIDERS  # noqa: PLC0415 - with Pulumi's SDK, which the page does without
    from mesh.program.machines import kinds_of  # noqa: PLC0415

    path = _ROOT / "examples" / "basement" / "basement.py"
    spec = importlib.util.spec_from_file_location("basement", path)
    assert spec is not None
    assert spec.loader is not None
    basement = importlib.util.module_from_spec(spec)
    sys.modules["basement"] = basement  # where its dataclasses look for their module
    spec.loader.exec_module(basement)
    with_basement = kinds_of({**PROVIDERS, "basement": basement.BasementProvider()})
    return {
        _ROOT / "stacks" / "schema.json": schema_text(KINDS),
        _ROOT / "examples" / "shop" / "schema.json": schema_text(KINDS, "shop"),
        _ROOT / "examples" / "basement" / "schema.json": schema_text(with_basement, "basement"),
    }


def main() -> int:
    """Write the page and the schemas; returns the exit code."""
    for path, written in {PAGE: with_keys(PAGE.read_text()), **schemas()}.items():
        before = path.read_text() if path.exists() else ""
        path.write_text(written)
        print(f"{path.relative_to(_ROOT)} {'was up to date' if written == before else 'is updated'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
