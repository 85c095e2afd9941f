"""The second interface, which has the new keys while keys rotate: made, brought up to date, taken away."""

from __future__ import annotations

from ..answers import AgentError, Answer
from ..files.generation import current_digest, load_generation
from ..files.keystore import require_keys
from ..live.device import Link, key_fields, with_keys
from ..live.interface import converge, create_link, delete_link, exists, read_device
from ..records import replace
from ..system.run import attempt, run
from ..system.systemd import stop
from ..tunnel import NEXT
from .devices import next_device
from .redirect import prepare_next
from .stored import rotation_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..files.generation import Generation
    from ..files.wgconf import WgFile
    from ..live.device import Device
    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["bring_second", "next_down", "next_up", "take_second_away"]


def next_up(places: Places, tunnel: Tunnel) -> None:
    """Make the second interface; one that exists is adopted. Raises `AgentError`, with nothing made then.

    Takes no lock: the rotation holds it while systemd calls this.
    """
    del tunnel
    generation = load_generation(places, current_digest(places) or "absent")
    made = not exists(NEXT)
    if made:
        create_link(NEXT)
    try:
        prepare_next()
        _converge(places, generation)
    except AgentError:
        if made:
            delete_link(NEXT)
        raise


def next_down(places: Places, tunnel: Tunnel) -> None:
    """Remove the second interface."""
    del places, tunnel
    delete_link(NEXT)


def bring_second(places: Places, generation: Generation) -> None:
    """Bring the second interface to what the committed generation's rotation asks for; it may be missing.

    Raises `AgentError`.
    """
    if exists(NEXT):
        prepare_next()
        _converge(places, generation)
        return
    # systemd starts it, so that a userspace WireGuard lives in that unit
    attempt(["systemctl", "reset-failed", NEXT.unit])
    run(["systemctl", "restart", NEXT.unit], timeout=60)


def take_second_away() -> None:
    """Remove the second interface, whatever made it. Raises `AgentError`."""
    stop(NEXT.unit, timeout=20)
    if exists(NEXT):
        delete_link(NEXT)


def _converge(places: Places, generation: Generation) -> None:
    found = rotation_of(places, generation)
    device = next_device(generation.file, found.plan, found.progress) if found else None
    if device is None:
        raise AgentError(Answer.FAILED, f"no keys are rotating: there is no {NEXT.interface}")
    keys = require_keys(places, key_fields(device))
    nothing = frozenset[str]()
    link = Link(nothing, generation.file.mtu, up=True, routes=nothing)
    converge(NEXT, _with_calls(with_keys(device, keys), generation.file), link)


def _with_calls(wanted: Device, file: WgFile) -> Device:
    """Return the device with the live endpoint of each peer that called from elsewhere than its files say."""
    live, planned = read_device(NEXT), {peer.public_key: peer.endpoint for peer in file.peers}
    peers = {}
    for public, peer in wanted.peers.items():
        now = live.peers.get(public)
        known = {peer.endpoint, planned.get(public)}
        called = now is not None and now.endpoint is not None and now.endpoint not in known
        peers[public] = replace(peer, endpoint=now.endpoint) if now is not None and called else peer
    return replace(wanted, peers=peers)
