"""`mesh rotate`: higher numbers in the stack file, for which the next `up` makes other WireGuard keys."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from mesh.edit.document import Document, Entry, entries, entry, parse
from mesh.edit.edit import Check, Edit, edited, inside, node_entry, require_valid
from mesh.edit.errors import EditError
from mesh.edit.splice import Splice, applied, by_hand, entry_after
from mesh.edit.style import style_of
from mesh.settings import members_by_name
from mesh.settings.raw import clients, listed, nodes

__all__ = ["rotate_keys"]

_FIRST: Final = 1
"""The number that counts where the file has none."""
_ROTATION: Final = "rotation"
_GENERATION: Final = "generation"
_PRESHARED: Final = "preshared"
_SSH: Final = "ssh"

_Path = tuple[str, ...]


def rotate_keys(
    document: Document, names: Sequence[str], check: Check, *, preshared: bool, ssh: bool = False
) -> Edit:
    """Raise the numbers of keys by one: of these nodes' identities, of the pre-shared keys, of the SSH keys.

    Without any of these: the number of all identities. Raises `EditError` for a name that is
    no node's.
    """
    require_valid(document, check)
    wanted = list(dict.fromkeys(names))
    _refuse_clients(document, wanted)
    after = document
    for name in wanted:
        node_entry(document, name)
    numbers = {
        path: _number(document.value, path) + 1 for path in _paths(wanted, preshared=preshared, ssh=ssh)
    }
    if wanted and not (preshared or ssh) and _ROTATION not in document.value:
        after = _with_entry(after, document.mesh, _ROTATION, "{}")
    for path, number in numbers.items():
        after = _with_number(after, path, number)

    def change(mesh: dict[Any, Any]) -> None:
        mesh.setdefault(_ROTATION, {})
        for path, number in numbers.items():
            _owner(mesh, path)[path[-1]] = number

    return edited(document, after.text, change, check, _remarks(document.value, wanted, numbers))


def _paths(names: Sequence[str], *, preshared: bool, ssh: bool) -> Iterator[_Path]:
    for name in names:
        yield "nodes", name, _GENERATION
    if not (names or preshared or ssh):
        yield _ROTATION, _GENERATION
    if preshared:
        yield _ROTATION, _PRESHARED
    if ssh:
        yield _ROTATION, _SSH


def _refuse_clients(document: Document, names: Sequence[str]) -> None:
    for name in names:
        if name in clients(document.value) and name not in nodes(document.value):
            raise EditError(
                f"{name} is a client, and only keys of nodes are rotated. For another key of {name}, see "
                f"docs/clients.md"
            )


def _owner(mesh: Mapping[Any, Any], path: _Path) -> Any:
    for part in path[:-1]:
        mesh = mesh[part]
    return mesh


def _number(mesh: Mapping[Any, Any], path: _Path) -> int:
    """Return the number at a path, of a node that there is."""
    owner = (mesh.get(_ROTATION) or {}) if path[0] == _ROTATION else _owner(mesh, path)
    return int(owner.get(path[-1], _FIRST))


def _with_number(document: Document, path: _Path, number: int) -> Document:
    """Write a number, with the key that it stands at where the key is missing."""
    owner = document.mesh
    for part in path[:-1]:
        found = entry(inside(owner), part)
        if found is None:
            quote = style_of(document.text, next(entries(inside(owner))))
            return _with_entry(document, owner, part, f"{{{quote.text(path[-1])}: {number}}}")
        owner = found
    own = entry(inside(owner), path[-1])
    if own is None:
        return _with_entry(document, owner, path[-1], str(number))
    node = inside(own)
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    if document.text[start:end] != str(_number(document.value, path)):  # an anchor, quotes
        raise by_hand(node)
    return _again(document, [Splice(start, end, str(number))])


def _with_entry(document: Document, owner: Entry, key: str, value: str) -> Document:
    """Put a key with its value behind all others of a mapping."""
    mapping = inside(owner)
    found = list(entries(mapping))
    written = f"{style_of(document.text, found[-1] if found else owner).text(key)}: {value}"
    if found:
        return _again(document, entry_after(document.text, mapping, found[-1], written))
    start, end = int(mapping.start_mark.index), int(mapping.end_mark.index)
    if "".join(document.text[start:end].split()) != "{}":  # nothing behind the colon, or an anchor
        raise by_hand(owner.key)
    return _again(document, [Splice(start, end, f"{{{written}}}")])


def _again(document: Document, splices: Iterable[Splice]) -> Document:
    text = applied(document.text, splices)
    try:
        return parse(text, key=document.key)
    except EditError:
        raise by_hand(document.mesh.key) from None


def _remarks(mesh: Mapping[Any, Any], names: Sequence[str], numbers: Mapping[_Path, int]) -> Iterator[str]:
    """Say which keys change, and which devices need something."""
    everybody, preshared = (_ROTATION, _GENERATION) in numbers, (_ROTATION, _PRESHARED) in numbers
    if everybody or names:
        whose = "every node" if everybody else ", ".join(names)
        yield f"{whose}: the next `pulumi up` makes another WireGuard identity"
    if preshared:
        yield "every pair: the next `pulumi up` makes another pre-shared key"
    if (_ROTATION, _SSH) in numbers:
        yield (
            "SSH: the next `pulumi up` makes another management key, and another host key for every node; "
            "the `pulumi up` after that closes the nodes to the old management key"
        )
        if len(numbers) == 1:
            return
    devices = list(_callers(mesh, nodes(mesh) if everybody or preshared else names))
    if devices:
        yield (
            f"{', '.join(devices)}: cut off as soon as the nodes have changed their keys; give each device "
            f"its configuration again then (`mesh client {devices[0]}`)"
        )
    yield (
        "connections between nodes go on. `pulumi up` changes the keys, and `mesh settle` says what is left "
        "to do (docs/rotation.md)"
    )


def _callers(mesh: Mapping[Any, Any], rotated: Collection[str]) -> Iterator[str]:
    """Yield the clients that call one of these nodes."""
    members = members_by_name({name: listed(node, "groups") for name, node in nodes(mesh).items()})
    for name, client in clients(mesh).items():
        called = frozenset().union(*(members.get(each, frozenset()) for each in listed(client, "to")))
        if client.get("enabled") is not False and called & set(rotated):
            yield name
