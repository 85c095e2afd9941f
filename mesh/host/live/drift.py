"""How a node differs from its files: what runs, and what is stored."""

import base64

from ..difference import Difference
from ..files.document import Document
from ..files.effective import on_interfaces
from ..files.etc import etc_differences
from ..files.generation import Generation, as_generation, current_digest, generation_files, load_link
from ..files.keystore import stored_keys
from ..places import INTERFACE, WG_UNIT, Places
from ..system.session import ssh_session
from ..system.systemd import active_state
from ..trial.proof import obstacles
from .firewall import firewall_differences
from .interface import interface_differences
from .overlap import overlap_differences
from .routes import routes_made
from .sysctl import sysctl_differences
from .ways import way_differences

__all__ = ["differences", "running_differences", "stored_differences"]

_NO_KEY = base64.b64encode(bytes(32)).decode()


def running_differences(places: Places, generation: Generation, *, device: bool = True) -> list[Difference]:
    """Say how the running system differs from a generation; without `device`, keys and peers are left out."""
    found = firewall_differences(generation.firewall)
    found += _tunnel_differences(places, generation, device=device)
    state = active_state(WG_UNIT)
    if state != "active":
        found.append(Difference(WG_UNIT, state, "active"))
    wanted = on_interfaces(places.sysctls, generation.sysctls)
    return found + sysctl_differences(places.sysctls, wanted)


def _tunnel_differences(places: Places, generation: Generation, *, device: bool) -> list[Difference]:
    """Say how the interface differs, and which packets take another way though it is as it should be."""
    wanted = generation.device if device else None
    found = interface_differences(wanted, generation.link, routes_made(places))
    there = not any(difference.item == f"link {INTERFACE}" for difference in found)
    return found + (way_differences(generation.file) if there else [])


def stored_differences(places: Places, document: Document, generation: Generation) -> list[Difference]:
    """Say how what is stored differs: the committed generation, its files, and what follows it in /etc."""
    committed = current_digest(places)
    if committed != document.digest:
        found = [Difference(str(places.current), committed or "none", document.digest)]
    else:
        found = _file_differences(places, generation_files(document, generation.keys))
    return found + etc_differences(places, generation)


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


def differences(places: Places, document: Document) -> list[Difference]:
    """Say how this node differs from a document, changing nothing. Raises `AgentError`, `OSError`."""
    committed = load_link(places.current)
    names = document.wg.key_names()
    keys = {**(committed.keys if committed else {}), **stored_keys(places.keys, names)}
    lost = [name for name in names if name not in keys]
    wanted = as_generation(
        places.generations / document.digest, document, {**dict.fromkeys(lost, _NO_KEY), **keys}
    )
    return [
        *running_differences(places, wanted, device=not lost),
        *overlap_differences(places, document.wg),
        *stored_differences(places, document, wanted),
        *obstacles(wanted, ssh_session()),
    ]
