"""`mesh add`: one node more, in the style of its neighbours."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, Final

from mesh.edit.document import Document, Entry, entries, line_of
from mesh.edit.edit import Check, Edit, edited, node_entry, nodes_of, require_valid
from mesh.edit.errors import EditError
from mesh.edit.place import address_of, network6_of, network_of, next_address, relatives
from mesh.edit.splice import applied, entry_after
from mesh.edit.style import Style, style_of
from mesh.settings.raw import clients

__all__ = ["add_node"]

_OWN: Final = frozenset({"address", "address6", "enabled", "host", "hostIpv6", "hostKey", "forget"})
"""What a node that is made like another one does not take over."""


def add_node(
    document: Document, name: str, settings: Mapping[str, Any], check: Check, like: str | None = None
) -> Edit:
    """Add a node with these settings, and beside them those of the node `like`.

    The node gets the next free address, unless `settings` has one. Raises `EditError`.
    """
    require_valid(document, check)
    nodes = nodes_of(document)
    given = {str(key): node for key, node in document.value["nodes"].items()}
    if name in given:
        there = next((each for each in entries(nodes) if each.key.value == name), None)
        line = "" if there is None else f" (line {line_of(there.key)})"
        raise EditError(f"{name} is already a node of this mesh{line}")
    copied: dict[str, Any] = {}
    if like is not None:
        node_entry(document, like)
        copied = {key: value for key, value in given[like].items() if key not in _OWN}
    address = settings.get("address") or str(_next_address(document, given, name))
    node = {"address": address, **copied, **settings}
    node["address"] = address
    behind = _behind(document, given, name, like, address)
    neighbour = node_entry(document, behind)
    model = neighbour if like is None else node_entry(document, like)
    same = model.value.flow_style == neighbour.value.flow_style
    style = style_of(document.text, model if same else neighbour)
    written = f"{style.text(name)}{_colon(document, neighbour, style, name)}{style.mapping(node)}"

    def change(mesh: dict[Any, Any]) -> None:
        found = list(mesh["nodes"].items())
        place = [key for key, _ in found].index(behind) + 1
        mesh["nodes"] = dict([*found[:place], (name, node), *found[place:]])

    text = applied(document.text, entry_after(document.text, nodes, neighbour, written))
    return edited(document, text, change, check)


def _next_address(document: Document, given: Mapping[str, Any], name: str) -> IPv4Address:
    mesh = document.value
    devices = {found for each in clients(mesh).values() if (found := address_of(each)) is not None}
    return next_address(network_of(mesh), given, name, network6_of(mesh), devices)


def _behind(document: Document, given: Mapping[str, Any], name: str, like: str | None, address: str) -> str:
    """Return the node that the new one stands behind: a relative, its model, or the address below."""
    written = [str(each.key.value) for each in entries(nodes_of(document)) if each.key.value in given]
    near = relatives(name, written) or ([like] if like is not None else [])
    if near:
        return near[-1]
    try:
        own = IPv4Address(address)
    except ValueError:
        return written[-1]  # the check says what is wrong with it
    below = {
        found: node for node in written if (found := address_of(given[node])) is not None and found < own
    }
    return below[max(below)] if below else written[-1]


def _colon(document: Document, neighbour: Entry, style: Style, name: str) -> str:
    """Return what stands between a name and its settings; as much more or less as keeps columns in line."""
    if style.margin is not None:
        return ":"
    between = document.text[neighbour.key.end_mark.index : neighbour.value.start_mark.index]
    blank = str(between).removeprefix(":")
    if not between.startswith(":") or blank.strip(" "):
        return ": "
    columns = {each.value.start_mark.column for each in entries(nodes_of(document))}
    lengths = {each.key.end_mark.index - each.key.start_mark.index for each in entries(nodes_of(document))}
    if len(columns) == 1 and len(lengths) > 1:
        written = int(neighbour.key.end_mark.index - neighbour.key.start_mark.index)
        return ":" + " " * max(len(blank) + written - len(style.text(name)), 1)
    return f":{blank}" if blank or style.quote else ": "
