"""`mesh remove`: one node less, and its name out of everything that names it."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mesh.edit.document import Document, entries, entry, parse
from mesh.edit.edit import Check, Edit, edited, inside, node_entry, nodes_of, require_valid
from mesh.edit.errors import EditError
from mesh.edit.mentions import Mention, mentions, tests_of
from mesh.edit.splice import Splice, applied, without

__all__ = ["remove_node"]


def remove_node(document: Document, name: str, check: Check) -> Edit:
    """Remove a node, its name from lists of the policy, and the policy's tests that name it.

    Raises `EditError` where that would change the meaning of the rest: the canary, the only name in a rule,
    one end of a link, a relay, an egress node, the last member of a group that the policy names.
    """
    require_valid(document, check)
    node_entry(document, name)
    if len(document.value["nodes"]) == 1:
        raise EditError(
            f"{name} is the only node, and a mesh has at least one; `pulumi destroy` deletes the whole mesh"
        )
    found = list(mentions(document, name))
    refusals = [*_refused(name, found), *_last_members(document, name)]
    if refusals:
        raise EditError(f"{name} cannot be removed yet:\n" + "\n".join(f"  {each}" for each in refusals))
    tests = {int(each.path[1]) for each in found if each.path[0] == "policyTests"}
    rest = _without_tests(document, tests)
    splices = [_without_entry(rest, nodes_of(rest), name)]
    splices += [
        without(rest.text, each.owner, each.place) for each in mentions(rest, name) if each.owner is not None
    ]

    def change(mesh: dict[Any, Any]) -> None:
        del mesh["nodes"][name]
        for rule in mesh.get("policy") or ():
            for end in ("from", "to"):
                rule[end] = [each for each in rule[end] if each != name]
        if tests:
            left = [each for index, each in enumerate(mesh["policyTests"]) if index not in tests]
            mesh["policyTests"] = left
            if not left:
                del mesh["policyTests"]

    return edited(document, applied(rest.text, splices), change, check, _remarks(name, found))


def _refused(name: str, found: list[Mention]) -> Iterator[str]:
    for each in found:
        if each.path == ("rollout", "canary"):
            yield f"{each.where}: {name} is the canary; name another canary there, or remove `rollout`, first"
        if each.path[0] == "links":
            yield f"{each.where}: {name} is one end of a link; remove the link, or name another node, first"
        if each.path[-1] == "relay":
            yield f"{each.where}: {name} is the relay of {each.path[1]}; name another relay first"
        if each.path[-1] == "egress":
            yield f"{each.where}: {each.path[1]} has its egress over {name}; name another node first"
        if each.owner is not None and len(each.owner.value) == 1:
            rule = f"policy[{each.path[1]}]"
            yield (
                f"{each.where}: {name} is the only name there, and a rule needs one; remove {rule}, or name "
                f"another node or group, first"
            )


def _last_members(document: Document, name: str) -> Iterator[str]:
    """Yield the groups that end with a node, although policy or tests name them."""
    nodes: Mapping[Any, Any] = document.value["nodes"]
    for group in nodes[name].get("groups") or ():
        if any(group in (node.get("groups") or ()) for other, node in nodes.items() if other != name):
            continue
        for each in mentions(document, group):
            yield (
                f"{each.where}: {name} is the last node of the group {group}; take {group} out "
                f"there, or give another node this group, first"
            )


def _without_tests(document: Document, numbers: Collection[int]) -> Document:
    """Return the file without these tests of the policy; one by one, since each stands where others end."""
    tests = entry(document.mesh.value, "policyTests")
    if not numbers or tests is None:
        return document
    if len(numbers) == len(tests_of(document)):
        splice = _without_entry(document, document.mesh.value, "policyTests")
        return parse(applied(document.text, [splice]), key=document.key)
    last = max(numbers)
    splice = without(document.text, inside(tests), last)
    return _without_tests(parse(applied(document.text, [splice]), key=document.key), set(numbers) - {last})


def _without_entry(document: Document, mapping: Any, name: str) -> Splice:
    place = next(index for index, each in enumerate(entries(mapping)) if each.key.value == name)
    return without(document.text, mapping, place)


def _remarks(name: str, found: list[Mention]) -> Iterator[str]:
    yield f"the next `pulumi up` deletes the server of {name} with its disk"
    tests = len({each.path[1] for each in found if each.path[0] == "policyTests"})
    if tests:
        yield f"{tests} test{'s' * (tests > 1)} of the policy named {name} and went with it"
