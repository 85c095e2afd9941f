"""The rotation as it is on disk: its plan beside the committed files, how far it is, what comes of both.

The plan counts from the moment its generation is committed, and is over when it is removed: it lies in that
generation's folder. How far the rotation is lies outside, so that another commit changes nothing of it.
"""

from __future__ import annotations

import time

from ..answers import AgentError
from ..files.generation import current_digest, load_link
from ..files.keystore import find_keys, fingerprint
from ..files.wgconf import clamped
from ..live.device import wanted_link
from ..live.interface import bring_to, read_device
from ..live.routes import routes_made
from ..live.wanted import Before, Wanted
from ..records import dataclass, replace
from ..system.run import log, read_json, write_file
from ..tunnel import WG0
from .devices import wg0_device
from .plan import Plan, continued, plan_between, plan_json
from .planned import PLAN, committed_plan
from .progress import Phase, Progress, first_progress, parse_progress, progress_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional

    from ..files.generation import Generation
    from ..live.device import Device
    from ..places import Places
    from ..tunnel import Tunnel

__all__ = [
    "Rotation",
    "bring",
    "copy_plan",
    "end_progress",
    "keep_plan",
    "pending_plan",
    "read_evidence",
    "read_progress",
    "rotation_of",
    "wanted_of",
    "write_progress",
]


@dataclass(frozen=True)
class Rotation:
    """A rotation under way: which keys give way to which, and how far that is."""

    plan: Plan
    progress: Progress


def read_progress(places: Places, plan: Optional[Plan]) -> Optional[Progress]:
    """Read how far the rotation of a plan is, without one how far the last one is; None if that is over."""
    try:
        return parse_progress(places.rotation.read_bytes(), plan)
    except OSError:
        return None


def rotation_of(places: Places, generation: Generation) -> Optional[Rotation]:
    """Return the rotation that a generation is part of; None where its keys are in force as they are.

    Of the committed one that which is under way; of one that is tried that which goes on with it, or begins
    with its commit.
    """
    committed = current_digest(places)
    pending = pending_plan(places)
    if generation.digest == committed:
        plan = pending
    elif pending is not None:
        plan = pending if continued(pending, generation.file) is None else None
    else:
        before = load_link(places, places.current) if generation.file.next_port else None
        plan = plan_between(before.file, generation.file) if before else None
    if plan is None:
        return None
    return Rotation(plan, _progress_of(places, plan))


def _progress_of(places: Places, plan: Plan) -> Progress:
    """Return how far a plan is: at its beginning, where nothing is recorded.

    Where the record is damaged, the interface tells. One that has other keys than those of before, or none,
    counts as re-keyed: pairs that are back never give that up, and all others come by what they hear.
    """
    progress = read_progress(places, plan)
    if progress is not None:
        return progress
    first = first_progress(plan, time.time())
    if _is_damaged(places) and not _has_former_keys(places, plan):
        log(f"{places.rotation} is damaged: continuing as if {WG0.interface} had the new keys")
        return replace(first, phase=Phase.REKEYED, moved=plan.changing)
    return first


def _is_damaged(places: Places) -> bool:
    return places.rotation.exists() and not isinstance((read_json(places.rotation) or {}).get("plan"), str)


def _has_former_keys(places: Places, plan: Plan) -> bool:
    """Whether the running interface has a key that the plan replaces."""
    try:
        device = read_device(WG0)
    except AgentError:
        return False
    if plan.own_changes:
        own = find_keys(places, [plan.before.private]).get(plan.before.private)
        return own is not None and device.private_key == clamped(own)
    for name in plan.changing:
        before = plan.before.peers[name]
        live = device.peers.get(before.public_key)
        preshared = fingerprint(live.preshared_key) if live and live.preshared_key else None
        if live is not None and preshared == before.preshared:
            return True
    return False


def pending_plan(places: Places) -> Optional[Plan]:
    """Return the plan of the committed files as long as a pair may still use a key of before."""
    plan = committed_plan(places)
    progress = read_progress(places, plan) if plan else None
    return None if progress is not None and progress.phase is Phase.LINGER else plan


def bring(places: Places, tunnel: Tunnel, generation: Generation) -> int:
    """Bring the existing interface to what a generation and its rotation ask for, with the fewest commands.

    Returns their number. Raises `AgentError`.
    """
    found, committed = rotation_of(places, generation), load_link(places, places.current)
    before = Before(
        device=_device(committed, rotation_of(places, committed)) if committed else None,
        former=_former_keys(found.plan) if found else {},
    )
    return bring_to(places, tunnel, wanted_of(places, generation), before, routes_made(places))


def wanted_of(places: Places, generation: Generation) -> Wanted:
    """Return what the tunnel's interface is to be while a generation is in force."""
    found = rotation_of(places, generation)
    return Wanted(
        device=_device(generation, found),
        link=wanted_link(generation.file),
        keys=tuple(dict.fromkeys([*generation.file.key_names(), *(found.plan.key_names() if found else ())])),
    )


def _device(generation: Generation, found: Optional[Rotation]) -> Device:
    return wg0_device(generation.file, found.plan if found else None, found.progress if found else None)


def _former_keys(plan: Plan) -> dict[str, str]:
    """Return the public keys that peers had before, by those they get."""
    before, to = plan.before.peers, plan.to.peers
    return {to[name].public_key: before[name].public_key for name in plan.changing}


def keep_plan(places: Places, generation: Generation) -> None:
    """Put the plan that counts from this generation's commit into its folder, which has no other then.

    One whose end has begun goes along, so that it is brought to that end. What is kept of another rotation
    goes. Raises `OSError`.
    """
    found, former = rotation_of(places, generation), committed_plan(places)
    plan = found.plan if found else former
    if plan is None:
        (generation.folder / PLAN).unlink(missing_ok=True)
        return
    if plan != former:
        end_progress(places)
    write_file(generation.folder / PLAN, plan_json(plan), 0o600)


def write_progress(places: Places, progress: Progress) -> None:
    """Note how far the rotation is, for good. Raises `OSError`."""
    write_file(places.rotation, progress_json(progress), 0o600)


def copy_plan(places: Places, plan: Plan) -> None:
    """Keep a second copy of the plan in force. Raises `OSError`."""
    write_file(places.plan_copy, plan_json(plan), 0o600)


def end_progress(places: Places) -> None:
    """Forget a rotation that is over. Raises `OSError`."""
    for path in (places.settled, places.pairs, places.plan_copy, places.rotation):
        path.unlink(missing_ok=True)


def read_evidence(places: Places, publics: Mapping[str, str]) -> frozenset[str]:
    """Return the peers that have these public keys for sure, or are gone, as the operator's side says.

    `publics` has the keys they are to get, by name.
    """
    value = read_json(places.settled) or {}
    told, gone = value.get("settled"), value.get("gone")
    settled = {
        name
        for name, public in (told if isinstance(told, dict) else {}).items()
        if publics.get(name) == public
    }
    return frozenset(settled | (publics.keys() & set(gone if isinstance(gone, list) else ())))
