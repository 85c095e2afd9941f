"""The parts of a stack file around the mesh: what Pulumi reads there, and what is wrong with them."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from mesh.settings.problems import REMOVED, Instead, another_key, nearest_of, show
from mesh.stackfile.names import MESH, mesh_key
from mesh.stackfile.syntax import Mark
from mesh.stackfile.tree import Node

__all__ = ["Found", "MeshPart", "around_the_mesh", "mesh_part", "passed_over"]

_TOP: Final = ("config", "encryptionsalt", "encryptedkey", "secretsprovider", "environment")
"""The keys of a stack file that Pulumi knows (sdk/go/common/workspace/project.go, ProjectStack)."""
_GUIDE: Final = "docs/stack-file.md has an example"
_INSIDE: Final = frozenset(
    {"cidr", "nodes", "policy", "policyTests", "defaults", "rollout", "rotation", "ssh"}
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """One mistake in a file, or a warning: where, the path in words, what and what to write instead."""

    mark: Mark
    path: str
    message: str
    instead: tuple[Instead, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MeshPart:
    """The mesh in a stack file: the key that has it, where, and its value as a program gets it."""

    key: Node
    node: Node
    raw: Any


def around_the_mesh(root: Node, project: str | None) -> Iterator[Found]:
    """Yield what is wrong outside of the mesh: top keys, `config` and the names of its keys."""
    if root.kind != "mapping":
        yield _no_stack_file(root, project)
        return
    for name, key, _ in root.again:
        yield _twice(root, name, key, "")
    config = root.get("config")
    if config is None:
        yield _no_config(root, project)
        return
    if config.kind != "mapping":
        empty = config.kind == "scalar" and config.scalar is None
        said = "is empty" if empty else f"{show(config.value())} is not a mapping of keys and values"
        mark = (root.key("config") or config).mark if empty else config.mark
        yield Found(mark=mark, path="config", message=f"{said}; write `{mesh_key(project)}:` below; {_GUIDE}")
        return
    for name, key, _ in config.again:
        yield _twice(config, name, key, "config.")
    yield from _bad_names(config)
    found = _mesh_keys(config, project)
    for name in found[1:]:
        key = config.key(name) or config
        message = f"the mesh is given twice, here and as {found[0]}; remove one of the two"
        yield Found(mark=key.mark, path=f"config.{name}", message=message)
    if not found:
        yield _no_mesh(config, project)


def passed_over(root: Node) -> Iterator[Found]:
    """Yield the keys at the top that Pulumi does not know, and passes over without a word."""
    for name, key, _ in root.entries:
        if name not in _TOP and name.rpartition(":")[2] != MESH and name not in _INSIDE:
            near = nearest_of(name, _TOP)
            meant = "remove this key" if near is None else f"did you mean {near}?"
            message = f"is no key of a stack file, and Pulumi passes over it; {meant}"
            yield Found(
                mark=key.mark, path=name, message=message, instead=another_key(near) if near else (REMOVED,)
            )


def mesh_part(root: Node, project: str | None) -> MeshPart | None:
    """Return the mesh of a stack file; None where there is none."""
    config = root.get("config")
    found = _mesh_keys(config, project) if config is not None else []
    if config is None or not found:
        return None
    key, node = config.key(found[0]), config.get(found[0])
    assert key is not None
    assert node is not None
    raw = node.value()
    if isinstance(raw, str):  # `pulumi config set mesh '{...}'` writes JSON in one text
        with suppress(ValueError):
            raw = json.loads(raw)
    return MeshPart(key=key, node=node, raw=raw)


def _mesh_keys(config: Node, project: str | None) -> list[str]:
    """Return the keys of `config` that Pulumi takes for the mesh: with the project's name, or without any."""
    known = {MESH, f"{project}:{MESH}", f"{project}:config:{MESH}"}
    names = [name for name, _, _ in config.entries]
    if project is None:
        return [name for name in names if name == MESH or re.fullmatch(rf"[^:]+(:config)?:{MESH}", name)]
    return [name for name in names if name in known]


def _no_stack_file(root: Node, project: str | None) -> Found:
    said = (
        "is empty" if root.kind == "scalar" and root.scalar is None else "is not a mapping of keys and values"
    )
    return Found(
        mark=root.mark,
        path="the file",
        message=f"{said}; write `config:` with `{mesh_key(project)}:` below; {_GUIDE}",
    )


def _no_config(root: Node, project: str | None) -> Found:
    for name, key, _ in root.entries:
        if name.rpartition(":")[2] == MESH or name in _INSIDE:
            above = "`config:`" if name not in _INSIDE else f"`config:` and `{mesh_key(project)}:`"
            message = f"stands at the top of the file; write {above} above it, and indent it below"
            return Found(mark=key.mark, path=name, message=message)
    near = next(
        (name for name, _, _ in root.entries if name not in _TOP and nearest_of(name, ["config"])), None
    )
    if near is not None:
        key = root.key(near) or root
        message = "is not a known key; did you mean config?"
        return Found(mark=key.mark, path=near, message=message, instead=another_key("config"))
    message = f"has no `config:`; write `config:` with `{mesh_key(project)}:` below; {_GUIDE}"
    return Found(mark=root.mark, path="the file", message=message)


def _no_mesh(config: Node, project: str | None) -> Found:
    wanted = mesh_key(project)
    names = [name for name, _, _ in config.entries]
    near = next((name for name in names if re.split(r"[:./_-]", name)[-1].lower() == MESH), None)
    near = near or nearest_of(wanted, names)
    if near is not None:
        key = config.key(near) or config
        message = f"is not the key of the mesh in this project; did you mean {wanted}?"
        return Found(mark=key.mark, path=f"config.{near}", message=message, instead=another_key(wanted))
    inside = next((name for name in names if name in _INSIDE), None)
    if inside is not None:
        key = config.key(inside) or config
        message = f"belongs into the mesh; write `{wanted}:` above it, and indent it below"
        return Found(mark=key.mark, path=f"config.{inside}", message=message)
    return Found(
        mark=config.mark, path="config", message=f"has no `{wanted}`; write it below `config:`; {_GUIDE}"
    )


def _bad_names(config: Node) -> Iterator[Found]:
    """A key is NAMESPACE:NAME, or a NAME of the project's own."""
    for name, key, _ in config.entries:
        if not re.fullmatch(r"[^:]+(:config)?(:[^:]+)?", name):
            message = "is not a key of the configuration; write NAMESPACE:NAME"
            yield Found(mark=key.mark, path=f"config.{name}", message=message)


def _twice(owner: Node, name: str, key: Node, prefix: str) -> Found:
    first = owner.key(name)
    where = "" if first is None else f" (the first time in line {first.mark.line})"
    return Found(
        mark=key.mark,
        path=f"{prefix}{name}",
        message=f"is given twice{where}; remove one of the two, or rename one",
    )
