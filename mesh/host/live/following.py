"""What follows a commit: sshd's ports, files outside the agent's own folders, units."""

from __future__ import annotations

from ..difference import Difference
from ..files.etc import file_differences, put_files, require_writable
from ..system.systemd import active_state, active_states, disabled, start_soon
from ..system.unitfiles import put_units, unit_differences
from ..system.units import BOOT_UNIT, FIREWALL_UNIT, GUARD_UNIT, ROTATION_UNIT
from .sshd import port_differences, settle_ports, wanted_ports
from .sshd_service import ssh_ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..files.generation import Generation
    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["enabled_units", "following_differences", "reconcile", "require_changeable"]


def enabled_units(tunnel: Tunnel) -> tuple[str, ...]:
    """Return the units of a node that start at boot."""
    return (FIREWALL_UNIT, BOOT_UNIT, GUARD_UNIT, ROTATION_UNIT, tunnel.unit)


def reconcile(
    places: Places, tunnel: Tunnel, generation: Generation, known_ports: Sequence[int] = ()
) -> None:
    """Bring ports, links, blocks, modes and units in line with a committed generation.

    Writes only what differs. `known_ports` are those on which SSH comes in, where that was just found out.
    Raises `AgentError` or `OSError`; may be run again at any time.
    """
    if settle_ports(places, wanted_ports(generation.firewall)):
        ssh_ports.cache_clear()
        known_ports = ()
    put_files(places, generation, _ways_in(generation, known_ports))
    put_units(places, tunnel, enabled_units(tunnel))
    units = [FIREWALL_UNIT, GUARD_UNIT, *([ROTATION_UNIT] if _is_rotating(places) else [])]
    stopped = [unit for unit, state in zip(units, active_states(units)) if state != "active"]
    if stopped:
        start_soon(stopped)


def following_differences(places: Places, tunnel: Tunnel, generation: Generation) -> list[Difference]:
    """Say what `reconcile` would change."""
    found = file_differences(places, generation, _ways_in(generation))
    found += port_differences(places, wanted_ports(generation.firewall))
    found += unit_differences(places, tunnel)
    found += [Difference(unit, "disabled", "enabled") for unit in disabled(enabled_units(tunnel))]
    found += _stopped(GUARD_UNIT)
    stopped = _stopped(ROTATION_UNIT) if _is_rotating(places) else []
    # Asked again: a rotation that has ended meanwhile needs its unit no more.
    return found + (stopped if stopped and _is_rotating(places) else [])


def _stopped(unit: str) -> list[Difference]:
    state = active_state(unit)
    return [] if state in ("active", "activating") else [Difference(unit, state, "active")]


def _is_rotating(places: Places) -> bool:
    """Whether keys give way to others, or have just done so and peers may still ask."""
    return places.plan.exists() or places.rotation.exists()


def require_changeable(places: Places, generation: Generation) -> None:
    """Refuse what `reconcile` could not bring about, because somebody locked a file. Raises `AgentError`."""
    require_writable(places, generation, _ways_in(generation))


def _ways_in(generation: Generation, known: Sequence[int] = ()) -> list[int]:
    """Return the ports on which SSH comes in now, and on which the generation lets it in."""
    return sorted({*(known or ssh_ports()), *wanted_ports(generation.firewall)})
