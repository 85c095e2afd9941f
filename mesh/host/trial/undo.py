"""What the running system was before a trial: taken, kept in memory-backed storage, brought back."""

from __future__ import annotations

import json

from ..answers import AgentError, Answer
from ..files.effective import base_key, on_interfaces, with_later_interfaces
from ..files.generation import Generation, as_generation, current_digest, read_document
from ..files.keystore import names_of, require_keys
from ..live.device import Device, Link, Peer, key_fields, with_keys, with_names
from ..live.firewall import delete_table, live_table, load_table, restore_text, table_exists
from ..live.interface import converge, create_link, delete_link, read_device, read_link
from ..live.routes import routes_made
from ..live.sshd import port_settings, restore_port_settings
from ..live.sysctl import read_sysctls, set_sysctls, side_effects
from ..live.userspace import kill_hanging_daemon
from ..records import dataclass
from ..rotation.stored import bring
from ..system.faults import step
from ..system.run import attempt, log, read_json, tool_limit, write_file
from ..system.systemd import active_state, kill, stop
from ..system.unitfiles import take_back_units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Optional

    from ..places import Places
    from ..tunnel import Tunnel

    _Way = Callable[[], Any]

__all__ = [
    "Restored",
    "Snapshot",
    "load_snapshot",
    "restore",
    "snapshot_json",
    "take_snapshot",
    "target_sysctls",
]

# Seconds for a tool on the way back: one that hangs must not keep the others from their work.
_TOOL = 5.0
# Seconds for systemd to bring the interface's unit up, or down.
_UNIT = 20.0
# What the unit is while something of it still runs, or hangs.
_BETWEEN = ("activating", "deactivating", "reloading")


@dataclass(frozen=True)
class Snapshot:
    """The running system: interface (None: there was none), firewall as a file, kernel settings.

    The interface's keys are named: the key store has them.
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


def take_snapshot(places: Places, tunnel: Tunnel, sysctls: Mapping[str, str]) -> Snapshot:
    """Record the running system and keep it where a reboot forgets it. Raises `AgentError`, `OSError`.

    A key that somebody set by hand goes into the key store, so that the record can name it.
    """
    link = read_link(tunnel, routes_made(places))
    snapshot = Snapshot(
        interface=(_named(places, read_device(tunnel)), link) if link else None,
        firewall=restore_text(),
        table=live_table(places),
        ssh_ports=port_settings(places),
        sysctls=read_sysctls(places.sysctls, {**sysctls, **side_effects(places.sysctls, sysctls)}),
    )
    write_file(places.undo, snapshot_json(snapshot), 0o600)
    return snapshot


def _named(places: Places, device: Device) -> Device:
    return with_names(device, names_of(places, key_fields(device)))


def load_snapshot(places: Places) -> Optional[Snapshot]:
    """Load the recorded state, or else its copy; None when both are lost or damaged."""
    for path in (places.undo, places.way_back / places.undo.name):
        value = read_json(path)
        try:
            if value:
                return _from_json(value)
        except (AttributeError, KeyError, TypeError, ValueError):
            log(f"{path} is damaged")
    return None


def snapshot_json(snapshot: Snapshot) -> bytes:
    """Return a snapshot as it is kept."""
    return (json.dumps(_to_json(snapshot), indent=1, sort_keys=True) + "\n").encode()


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
            "networks": sorted(link.networks),
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
        networks = value["interface"].get("networks", ())
        link = Link(frozenset(addresses), mtu, up, frozenset(routes), frozenset(networks))
        interface = (Device(private, port, fwmark, known), link)
    return Snapshot(interface, value["firewall"], value["table"], value["sysctls"], value.get("ssh_ports"))


@dataclass(frozen=True)
class Restored:
    """How a restoration went: what failed, in words, and whether each part has a way back that worked."""

    troubles: tuple[str, ...]
    whole: bool


def restore(places: Places, tunnel: Tunnel) -> Restored:
    """Bring the running system back to the snapshot, part by part; one that fails does not keep the next.

    For each part, the committed generation is the second line, and for the firewall the rescue ruleset
    the third. Waits for nobody: no tool has more than a few seconds. What the record of before alone knew
    is not brought back where that is lost, so that the plain commands are to be asked.
    """
    troubles: list[str] = []
    whole = load_snapshot(places) is not None or not places.way_back_script.exists()
    with tool_limit(_TOOL):
        for name, ways in _parts(places, tunnel, troubles):
            worked = any(_worked(way, troubles) for way in ways)
            whole = whole and worked
            _worked(lambda name=name: step(name), troubles)  # type: ignore[misc]
        _restore_ssh_ports(places, troubles)
    return Restored(tuple(troubles), whole)


def _parts(places: Places, tunnel: Tunnel, troubles: list[str]) -> list[tuple[str, list[_Way]]]:
    """Return what to bring back, in this order, and for each part the ways to do so, best first."""
    snapshot = load_snapshot(places)
    firewall: list[_Way] = []
    interface: list[_Way] = []
    sysctl: list[_Way] = []
    if snapshot is None:
        troubles.append("the record of the former state is lost")
    else:
        firewall.append(lambda: _restore_firewall(places, snapshot))
        interface += [
            lambda: _restore_interface(places, tunnel, snapshot),
            lambda: _remake_interface(places, tunnel, snapshot),
        ]
        sysctl.append(lambda: _restore_sysctls(places, snapshot))
    if snapshot is None and current_digest(places) is None:
        firewall.append(delete_table)
        interface.append(lambda: _take_down(places, tunnel))
        sysctl.append(lambda: None)
    else:
        firewall += [lambda: load_table(_committed(places).firewall), lambda: _rescue(places)]
        interface.append(lambda: _to_committed(places, tunnel))
        sysctl.append(
            lambda: set_sysctls(places.sysctls, on_interfaces(places.sysctls, _committed(places).sysctls))
        )
    return [("undone-firewall", firewall), ("undone-interface", interface), ("undone-sysctl", sysctl)]


def _worked(action: _Way, troubles: list[str]) -> bool:
    try:
        action()
    except (AgentError, OSError) as error:
        troubles.append(str(error))
        return False
    except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are to be brought back
        troubles.append(f"unexpected {type(error).__name__}")
        return False
    return True


def _committed(places: Places) -> Generation:
    """Return what is committed; its keys may be lost, which only the interface needs."""
    return as_generation(places, read_document(places, current_digest(places) or "absent"))


def _rescue(places: Places) -> None:
    log("neither the former nor the committed firewall loads: loading the rescue ruleset")
    load_table(places.rescue.read_text())


def _restore_firewall(places: Places, snapshot: Snapshot) -> None:
    if live_table(places) != snapshot.table or table_exists() != (snapshot.table is not None):
        load_table(snapshot.firewall)


def _restore_interface(places: Places, tunnel: Tunnel, snapshot: Snapshot) -> None:
    if snapshot.interface is None:
        _take_down(places, tunnel)
        return
    if read_link(tunnel) is None or active_state(tunnel.unit) in _BETWEEN:
        _restart(tunnel)
    _bring_back(places, tunnel, *snapshot.interface)


def _bring_back(places: Places, tunnel: Tunnel, device: Device, link: Link) -> None:
    keys = require_keys(places, key_fields(device))
    converge(tunnel, with_keys(device, keys), link, routes_made(places))


def _restore_sysctls(places: Places, snapshot: Snapshot) -> None:
    set_sysctls(places.sysctls, with_later_interfaces(places.sysctls, snapshot.sysctls))


def _restore_ssh_ports(places: Places, troubles: list[str]) -> None:
    """A port that sshd listens on in vain does no harm, so this alone is nothing to try again for."""
    snapshot = load_snapshot(places)
    if snapshot is not None:
        _worked(lambda: restore_port_settings(places, snapshot.ssh_ports), troubles)


def _remake_interface(places: Places, tunnel: Tunnel, snapshot: Snapshot) -> None:
    """Make the interface anew where what serves it hangs; for any other reason none is taken down."""
    if snapshot.interface is None or not kill_hanging_daemon(tunnel):
        raise AgentError(Answer.FAILED, f"{tunnel.interface} stays unchanged for now")
    _restart(tunnel)
    _bring_back(places, tunnel, *snapshot.interface)


def _to_committed(places: Places, tunnel: Tunnel) -> None:
    bring(places, tunnel, _committed(places))


def _take_down(places: Places, tunnel: Tunnel) -> None:
    if active_state(tunnel.unit) in _BETWEEN:
        kill(tunnel.unit)
    stop(tunnel.unit, timeout=_UNIT)
    delete_link(tunnel)
    take_back_units(places, tunnel)


def _restart(tunnel: Tunnel) -> None:
    """Have the unit make its interface, or else make it without it."""
    if active_state(tunnel.unit) in _BETWEEN:
        kill(tunnel.unit)
    attempt(["systemctl", "restart", tunnel.unit], timeout=_UNIT)
    if read_link(tunnel) is None:
        create_link(tunnel)
