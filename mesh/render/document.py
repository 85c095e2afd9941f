"""The one text that carries all files of a node; docs/protocol.md describes the format."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from types import MappingProxyType
from typing import Any, Final
from zlib import crc32

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket

from mesh.plan import NodePlan
from mesh.render.doors import NOTHING_MOVES, Moving
from mesh.render.facts import Endpoint, KeyNames, PeerFacts, Unknown
from mesh.render.firewall import firewall_view
from mesh.render.mtu import narrow_paths, widest_path

__all__ = ["RenderError", "compile_templates", "render_document"]

_FORMAT: Final = "wgmesh-files 1"
_HEADER: Final = "==> "
_FILES: Final = (
    ("/etc/wireguard/{interface}.conf", "tunnel.conf"),
    ("/etc/wgmesh/firewall.nft", "firewall.nft"),
    ("/etc/sysctl.d/90-wgmesh.conf", "sysctl.conf"),
    ("/etc/hosts", "hosts"),
    ("/root/.ssh/authorized_keys", "authorized_keys"),
)

# Where Python keeps the bytecode of this module; empty where nowhere.
_FOLDER: Final = (__spec__.cached or "").rpartition("/")[0]

_Addresses = tuple[IPv4Address | IPv6Address, ...]
_Leads = Mapping[str, _Addresses]


class _Compiled(FileSystemBytecodeCache):
    """Compiled templates, kept where Python keeps its bytecode, and written where it would write any.

    To compile them takes as long as to render some twenty nodes.
    """

    def get_cache_key(self, name: str, _filename: str | None = None) -> str:
        return name

    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):  # no folder at all
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        if not sys.dont_write_bytecode:
            with suppress(OSError):  # a folder that others own
                super().dump_bytecode(bucket)


_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "undefined": StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
        "keep_trailing_newline": True,
        "autoescape": False,
    }
)
# What is compiled depends on these beside the template, whose checksum Jinja compares.
_COMPILER: Final = f"{sys.implementation.cache_tag}-{version('jinja2')}-{crc32(repr(_OPTIONS).encode()):08x}"
_TEMPLATES: Final = Environment(  # noqa: S701 - configuration files, not HTML
    loader=PackageLoader("mesh.render"),
    bytecode_cache=_Compiled(_FOLDER, f"template-{_COMPILER}-%s.cache") if _FOLDER else None,
    **_OPTIONS,
)


def compile_templates() -> None:
    """Compile the templates that are not kept compiled, so that no other process has to."""
    for name in _TEMPLATES.list_templates():
        _TEMPLATES.get_template(name)


class RenderError(Exception):
    """A file cannot be rendered; the message names the node, the file and the line."""


def render_document(
    node: NodePlan,
    facts: Mapping[str, PeerFacts],
    keys: KeyNames,
    *,
    management_key: str | Unknown,
    moving: Moving = NOTHING_MOVES,
) -> str:
    """Return everything a node needs to know, as one text.

    `facts` has at least the node's peers, `management_key` is the public SSH key of the mesh; any of it, and
    of `keys`, may be unknown in a preview. `moving` is what stays open beside what the plan says.
    The same arguments give the same bytes. Raises `RenderError`.
    """
    missing = [peer.name for peer in node.peers if peer.name not in facts]
    if missing:
        raise RenderError(f"{node.name}: the directory does not know {', '.join(missing)}")
    endpoints = _endpoints(node, facts)
    view: dict[str, Any] = {
        "node": node,
        "keys": keys,
        "facts": facts,
        "endpoints": endpoints,
        "addresses": _addresses(node, moving.leads),
        "everyone": _everyone(node, moving.leads),
        "firewall": firewall_view(node, facts),
        "widest": widest_path(node),
        "narrow": narrow_paths(node),
        "management_keys": (management_key, *moving.management_keys),
        "ssh_port": _match((node.access.ssh_port, *moving.ssh_ports)),
        "wireguard_ports": _match(_ports(node)),
        "called_ports": _match(_ports(node) if _rotates_with_callers(node) else (node.overlay.port,)),
        "former_port": _match(moving.ports) if moving.ports else None,
    }
    parts = [f"{_FORMAT}\n"]
    for pattern, template in _FILES:
        path = pattern.format(interface=node.overlay.interface)
        content = _TEMPLATES.get_template(f"{template}.j2").render(view)
        parts.append(f"{_HEADER}{path} <==\n{_checked(node.name, path, content)}")
    parts.append(f"{_HEADER}end <==\n")
    return "".join(parts)


def _endpoints(node: NodePlan, facts: Mapping[str, PeerFacts]) -> dict[str, Endpoint | Unknown]:
    """Return where each peer is found on the path that the pair takes."""
    try:
        return {peer.name: facts[peer.name].at(peer.path) for peer in node.peers if not peer.calls}
    except LookupError as error:
        message = f"{node.name}: the directory has {error}; `pulumi up` without --target writes it again"
        raise RenderError(message) from None


def _ports(node: NodePlan) -> tuple[int, ...]:
    """Return WireGuard's ports: of the tunnel, and of the second interface that a rotation of keys makes."""
    overlay = node.overlay
    return (overlay.port,) if overlay.next_port is None else tuple(sorted((overlay.port, overlay.next_port)))


def _rotates_with_callers(node: NodePlan) -> bool:
    """Whether a node calls this one: its second interface does that, too. A device has none."""
    return any(peer.calls and not peer.client for peer in node.peers)


def _match(ports: Sequence[int]) -> str:
    """Write ports as a rule has them, in their order: it says which one stays."""
    return str(ports[0]) if len(ports) == 1 else f"{{ {', '.join(str(port) for port in ports)} }}"


def _addresses(node: NodePlan, leads: _Leads) -> list[IPv4Interface | IPv6Interface]:
    """Return the node's own addresses, first those that peers know it by: it sends from the first one.

    Those that its name leads to come first, and others that it holds before those that are too new for that.
    """
    planned, held = node.overlay.addresses, node.overlay.held
    first = leads.get(node.name) or tuple(each.ip for each in planned)
    known = [each for each in (*planned, *held) if each.ip in first]
    return [*known, *(each for each in (*held, *planned) if each not in known)]


def _everyone(node: NodePlan, leads: _Leads) -> list[tuple[str, str]]:
    """Return the overlay addresses of the node and its peers with their names: by family, in their order.

    A name leads elsewhere only where the address there is one that this node sends to.
    """
    overlay = node.overlay
    own = tuple(each.ip for each in overlay.addresses), tuple(each.ip for each in overlay.held)
    found = [
        (node.name, *own),
        *((peer.name, peer.addresses, peer.held) for peer in node.peers),
        *((each.name, each.addresses, each.held) for peer in node.peers for each in peer.relays),
    ]
    pairs = [
        (address, name) for name, present, held in found for address in _led(leads.get(name), present, held)
    ]
    ordered = sorted(pairs, key=lambda pair: (pair[0].version, int(pair[0])))
    return [(str(address), name) for address, name in ordered]


def _led(leads: _Addresses | None, present: _Addresses, held: _Addresses) -> _Addresses:
    """Return where a name leads on a node that knows these addresses of the other: one for each family."""
    if leads is None:
        return present
    known = [each for each in leads if each in (*present, *held)]
    first = {each.version: each for each in reversed(known)}
    planned = next((each for each in present if each.version == 4), None)
    return tuple(each for each in (first.get(4, planned), first.get(6)) if each is not None)


def _checked(node: str, path: str, content: str) -> str:
    for number, line in enumerate(content.splitlines(), start=1):
        if line.startswith(_HEADER):
            raise RenderError(f"{node}: {path} line {number} starts with {_HEADER!r}, which separates files")
    return content
