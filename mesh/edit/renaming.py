"""`mesh rename`: another name for a node, everywhere in the file; the node remembers the former one."""

from collections.abc import Iterable
from typing import Any, Final

from mesh.edit.document import Document, Entry, entries, entry, items, line_of
from mesh.edit.edit import Check, Edit, edited, inside, node_entry, nodes_of, require_valid
from mesh.edit.errors import EditError
from mesh.edit.mentions import mentions
from mesh.edit.splice import Splice, applied, entry_after, item_after, reworded
from mesh.edit.style import style_of

__all__ = ["rename_node"]

_FORMERLY: Final = "formerly"


def rename_node(document: Document, old: str, new: str, check: Check) -> Edit:
    """Give a node another name, also wherever the rest of the file names it; note its former name.

    Raises `EditError` for a name that is taken, now or formerly.
    """
    require_valid(document, check)
    nodes = nodes_of(document)
    node = node_entry(document, old)
    if old == new:
        raise EditError(f"{old} has this name already")
    for each in entries(nodes):
        if each.key.value == new:
            raise EditError(
                f"{new} is the name of another node (line {line_of(each.key)}); choose another name"
            )
    former = list(document.value["nodes"][old].get(_FORMERLY) or ())
    had = former if old in former else [*former, old]
    splices = [reworded(document.text, node.key, new)]
    splices += [reworded(document.text, each.node, new) for each in mentions(document, old)]
    if old not in former:
        splices += _remembered(document, node, old)

    def change(mesh: dict[Any, Any]) -> None:
        _change(mesh, old, new, had)

    remark = (
        f"the next `pulumi up` gives the server the name {new}; server, addresses and keys stay. Keep "
        f"`{_FORMERLY}` in the file: keys are derived from it"
    )
    return edited(document, applied(document.text, splices), change, check, [remark])


def _remembered(document: Document, node: Entry, old: str) -> Iterable[Splice]:
    """Return what adds a name to a node's former names."""
    settings = inside(node)
    found = entry(settings, _FORMERLY)
    style = style_of(document.text, node)
    if found is None:
        last = list(entries(settings))[-1]
        written = f"{style.text(_FORMERLY)}: [{style.text(old)}]"
        return entry_after(document.text, settings, last, written)
    names = inside(found)
    if not items(names):
        return [Splice(int(names.start_mark.index), int(names.end_mark.index), f"[{style.text(old)}]")]
    return item_after(document.text, names, style.text(old))


def _change(mesh: dict[Any, Any], old: str, new: str, former: list[str]) -> None:
    """Make the same change to the values of a mesh."""
    renamed = {**mesh["nodes"][old], _FORMERLY: former}
    mesh["nodes"] = {
        (new if name == old else name): (renamed if name == old else node)
        for name, node in mesh["nodes"].items()
    }
    for rule in mesh.get("policy") or ():
        for end in ("from", "to"):
            rule[end] = [new if name == old else name for name in rule[end]]
    for test in mesh.get("policyTests") or ():
        test.update({end: new for end in ("from", "to") if test[end] == old})
    rollout = mesh.get("rollout") or {}
    if rollout.get("canary") == old:
        rollout["canary"] = new
    if mesh.get("links"):
        mesh["links"] = [[new if name == old else name for name in link] for link in mesh["links"]]
    for node in mesh["nodes"].values():
        node.update({key: new for key in ("relay", "egress") if node.get(key) == old})
