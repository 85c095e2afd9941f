"""Where the rest of a stack file names a node: policy, its tests, canary, links, relays, egress."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mesh.edit.document import Document, entries, entry, items, line_of
from mesh.edit.edit import inside

__all__ = ["Mention", "mentions", "tests_of"]

_ENDS = ("from", "to")
_OF_NODES = ("relay", "egress")


@dataclass(frozen=True, kw_only=True)
class Mention:
    """A place that names a node: `path` below the mesh, the text of the name, the list that it is an item of.

    `owner` and `place` are the list and the index in it; None and 0 where the name stands alone.
    """

    path: tuple[str | int, ...]
    node: Any
    owner: Any = None
    place: int = 0

    @property
    def where(self) -> str:
        """The path and the line, for people."""
        words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return f"mesh{words} (line {line_of(self.node)})"


def mentions(document: Document, name: str) -> Iterator[Mention]:
    """Yield every place that names a node, in the order of policy, tests, canary, links, relays, egress.

    Raises `EditError` where an alias hides one.
    """
    yield from _in_policy(document, name)
    for index, test in tests_of(document):
        for end in _ENDS:
            found = entry(test, end)
            if found is not None and found.value.value == name:
                yield Mention(path=("policyTests", index, end), node=inside(found))
    rollout = entry(document.mesh.value, "rollout")
    canary = None if rollout is None else entry(rollout.value, "canary")
    if rollout is not None and canary is not None and canary.value.value == name:
        inside(rollout)
        yield Mention(path=("rollout", "canary"), node=inside(canary))
    yield from _in_links(document, name)
    for key in _OF_NODES:
        yield from _in_nodes(document, key, name)


def _in_links(document: Document, name: str) -> Iterator[Mention]:
    links = entry(document.mesh.value, "links")
    for index, link in enumerate(items(links.value) if links is not None else ()):
        for place, item in enumerate(items(link)):
            if item.value == name and links is not None:
                inside(links)
                yield Mention(path=("links", index, place), node=item)


def _in_nodes(document: Document, key: str, name: str) -> Iterator[Mention]:
    nodes = entry(document.mesh.value, "nodes")
    for owner in entries(inside(nodes)) if nodes is not None else ():
        found = entry(owner.value, key)
        if found is not None and found.value.value == name:
            inside(owner)
            yield Mention(path=("nodes", str(owner.key.value), key), node=inside(found))


def _in_policy(document: Document, name: str) -> Iterator[Mention]:
    policy = entry(document.mesh.value, "policy")
    for index, rule in enumerate(items(policy.value) if policy is not None else ()):
        for end in _ENDS:
            found = entry(rule, end)
            for place, item in enumerate(items(found.value) if found is not None else ()):
                if item.value == name and found is not None and policy is not None:
                    inside(policy)
                    owner = inside(found)
                    yield Mention(path=("policy", index, end, place), node=item, owner=owner, place=place)


def tests_of(document: Document) -> list[tuple[int, Any]]:
    """Return the policy's tests with their numbers."""
    found = entry(document.mesh.value, "policyTests")
    return list(enumerate(items(found.value))) if found is not None else []
