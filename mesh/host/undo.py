"""What the running system was before a trial: taken, kept in memory-backed storage, brought back."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .answers import AgentError
from .device import Device, Link, Peer
from .effective import base_key, on_interfaces, with_later_interfaces
from .faults import step
from .firewall import live_table, load_table, restore_text
from .generation import Generation, load_link
from .interface import converge, create_link, delete_link, read_device, read_link
from .places import WG_UNIT, Places
from .routes import routes_made
from .sshd import port_settings, restore_port_settings
from .sysctl import read_sysctls, set_sysctls, side_effects
from .system import attempt, log, read_json, write_json
from .systemd import active_state, kill, stop
from .unitfiles import take_back_units

__all__ = ["Snapshot", "load_snapshot", "restore", "take_snapshot", "target_sysctls"]


@dataclass(frozen=True)
class Snapshot:
    """The running system: interface (None: there was none), firewall as a file, kernel settings.

    `ssh_ports` is the text of our drop-in, None where there was none.
    """

    interface: Optional[tuple[Device, Link]]
    firewall: str
    table: Optional[str]
    sysctls: Mapping[str, str]
    ssh_ports: Optional[str] = None


def target_sysctls(places: Places, generation: Generation, originals: Mapping[str, str]) -> dict[str, str]:
    """Return what to set: what the generation asks for on every interface, and originals of what leaves."""
    wanted = generation.sysctls
    leaving = {
        key: value for key, value in originals.items() if key not in wanted and base_key(key) not in wanted
    }
    return {**with_later_interfaces(places.sysctls, leaving), **on_interfaces(places.sysctls, wanted)}


def take_snapshot(places: Places, sysctls: Mapping[str, str]) -> Snapshot:
    """Record the running system and keep it where a reboot forgets it. Raises `AgentError`, `OSError`."""
    link = read_link(routes_made(places))
    snapshot = Snapshot(
        interface=(read_device(), link) if link else None,
        firewall=restore_text(),
        table=live_table(),
        ssh_ports=port_settings(places),
        sysctls=read_sysctls(places.sysctls, {**sysctls, **side_effects(places.sysctls, sysctls)}),
    )
    write_json(places.undo, _to_json(snapshot))
    return snapshot


def load_snapshot(places: Places) -> Optional[Snapshot]:
    """Load the recorded state; None when there is none."""
    value = read_json(places.undo)
    return _from_json(value) if value else None


def _to_json(snapshot: Snapshot) -> dict[str, Any]:
    interface = None
    if snapshot.interface:
        device, link = snapshot.interface
        peers = {
            public: [peer.preshared_key, peer.endpoint, sorted(peer.allowed_ips), peer.keepalive]
            for public, peer in device.peers.items()
        }
        interface = {
            "device": [device.private_key, device.port, device.fwmark, peers],
            "link": [sorted(link.addresses), link.mtu, link.up, sorted(link.routes)],
        }
    return {
        "interface": interface,
        "firewall": snapshot.firewall,
        "table": snapshot.table,
        "sysctls": dict(snapshot.sysctls),
        "ssh_ports": snapshot.ssh_ports,
    }


def _from_json(value: dict[str, Any]) -> Snapshot:
    interface = None
    if value["interface"]:
        private, port, fwmark, peers = value["interface"]["device"]
        addresses, mtu, up, routes = value["interface"]["link"]
        known = {
            public: Peer(preshared, endpoint, frozenset(allowed), keepalive)
            for public, (preshared, endpoint, allowed, keepalive) in peers.items()
        }
        link = Link(frozenset(addresses), mtu, up, frozenset(routes))
        interface = (Device(private, port, fwmark, known), link)
    return Snapshot(interface, value["firewall"], value["table"], value["sysctls"], value.get("ssh_ports"))


def restore(places: Places) -> list[str]:
    """Bring the running system back to the snapshot; returns what went wrong, in words.

    Where that fails, the committed generation is the second line and the rescue ruleset the third.
    """
    snapshot = load_snapshot(places)
    if snapshot is None:
        return ["the record of the state before is lost", *_to_committed(places)]
    troubles: list[str] = []
    for name, action in (
        ("undone-firewall", lambda: _restore_firewall(snapshot)),
        ("undone-interface", lambda: _restore_interface(places, snapshot)),
        ("undone-sysctl", lambda: _restore_sysctls(places, snapshot)),
    ):
        _try(action, troubles)
        _try(lambda name=name: step(name), troubles)  # type: ignore[misc]
    _try(lambda: restore_port_settings(places, snapshot.ssh_ports), troubles)
    return [*troubles, *_to_committed(places)] if troubles else []


def _try(action: Callable[[], Any], troubles: list[str]) -> None:
    try:
        action()
    except (AgentError, OSError) as error:
        troubles.append(str(error))


def _restore_firewall(snapshot: Snapshot) -> None:
    if live_table() != snapshot.table:
        load_table(snapshot.firewall)


def _restore_interface(places: Places, snapshot: Snapshot) -> None:
    if snapshot.interface is None:
        if active_state(WG_UNIT) == "activating":
            kill(WG_UNIT)
        stop(WG_UNIT)
        delete_link()
        take_back_units(places)
        return
    if read_link() is None and attempt(["systemctl", "restart", WG_UNIT], timeout=60) is None:
        create_link()
    converge(*snapshot.interface, routes_made(places))


def _restore_sysctls(places: Places, snapshot: Snapshot) -> None:
    set_sysctls(places.sysctls, with_later_interfaces(places.sysctls, snapshot.sysctls))


def _to_committed(places: Places) -> list[str]:
    troubles: list[str] = []
    committed = load_link(places.current)
    if committed is None:
        with contextlib.suppress(OSError):
            _try(lambda: load_table(places.rescue.read_text()), troubles)
        return troubles
    _try(lambda: load_table(committed.firewall), troubles)
    if troubles:
        log(f"the committed firewall does not load, taking the rescue ruleset: {troubles[0]}")
        _try(lambda: load_table(places.rescue.read_text()), troubles)
    _try(lambda: converge(committed.device, committed.link), troubles)
    _try(lambda: set_sysctls(places.sysctls, on_interfaces(places.sysctls, committed.sysctls)), troubles)
    return troubles
