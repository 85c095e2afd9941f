"""How a node differs from its files: what runs, and what is stored."""

from __future__ import annotations

from ..difference import Difference
from ..files.effective import on_interfaces
from ..files.generation import Generation, current_digest, generation_files
from ..files.keystore import find_keys
from ..files.rendered import rendered_damage
from ..system.systemd import active_state
from .device import with_keys
from .firewall import firewall_differences
from .following import following_differences
from .interface import interface_differences
from .routes import routes_made
from .sysctl import sysctl_differences
from .ways import way_differences

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Optional

    from ..files.document import Document
    from ..places import Places
    from ..tunnel import Tunnel
    from .wanted import Wanted

__all__ = ["running_differences", "stored_differences"]


def running_differences(
    places: Places, tunnel: Tunnel, generation: Generation, interface: Wanted
) -> list[Difference]:
    """Say how the running system differs from a generation, of which `interface` is to come.

    Where keys are lost, which is told of what is stored, keys and peers are left out.
    """
    found = firewall_differences(places, generation.firewall)
    found += _tunnel_differences(places, tunnel, generation, interface)
    state = active_state(tunnel.unit)
    if state != "active":
        found.append(Difference(tunnel.unit, state, "active"))
    wanted = on_interfaces(places.sysctls, generation.sysctls)
    return found + sysctl_differences(places.sysctls, wanted)


def _tunnel_differences(
    places: Places, tunnel: Tunnel, generation: Generation, interface: Wanted
) -> list[Difference]:
    """Say how the interface differs, and which packets take another way though it is as it should be."""
    keys = _whole_keys(places, interface.keys)
    device = with_keys(interface.device, keys) if keys else None
    found = interface_differences(tunnel, device, interface.link, routes_made(places))
    there = not any(difference.item == f"link {tunnel.interface}" for difference in found)
    return found + (way_differences(tunnel, generation.file) if there else [])


def _whole_keys(places: Places, names: Sequence[str]) -> Optional[dict[str, str]]:
    """Return all keys of these names; None where one of them is lost."""
    keys = find_keys(places, names)
    return keys if len(keys) == len(names) else None


def stored_differences(
    places: Places, tunnel: Tunnel, document: Document, generation: Generation
) -> list[Difference]:
    """Say how what is stored differs: the committed generation, its files, and what follows it in /etc."""
    committed = current_digest(places)
    if committed != document.digest:
        found = [Difference(str(places.current), committed or "none", document.digest)]
    else:
        found = _file_differences(places, generation_files(document))
        keys = _whole_keys(places, generation.file.key_names())
        spoilt = rendered_damage(places, generation.files, keys) if keys else {}
        found += [Difference(str(path), words, "as committed") for path, words in spoilt.items()]
    return found + following_differences(places, tunnel, generation)


def _file_differences(places: Places, contents: dict[str, bytes]) -> list[Difference]:
    found = []
    for name, content in contents.items():
        path = places.current / name
        try:
            live = "other content" if path.read_bytes() != content else ""
        except OSError as error:
            live = error.strerror or "unreadable"
        if live:
            found.append(Difference(str(path), live, "as committed"))
    return found
