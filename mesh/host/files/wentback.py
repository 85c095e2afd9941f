"""Going back a generation as the committed one is damaged: loudly, and remembered until a commit."""

from __future__ import annotations

import contextlib
import hashlib
import os

from ..answers import AgentError, Answer
from ..difference import Difference
from ..system.run import attempt, log, read_json, replace_link, write_json
from ..system.systemd import active_state
from ..system.units import BOOT_UNIT
from .generation import Generation, current_digest, load_generation, read_originals
from .managed import Applied, applied_as
from .others import keep_aside
from .rendered import links_to_us

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Optional

    from ..places import Places

__all__ = [
    "committed_generation",
    "forget_going_back",
    "originals_of_damaged",
    "was_committed",
    "went_back",
    "went_back_difference",
]


def went_back(places: Places) -> Optional[tuple[str, str, str]]:
    """Return which generation was damaged, which one is in force instead, and why; None if all is well."""
    value = read_json(places.went_back) or {}
    damaged, now, reason = (str(value.get(name)) for name in ("damaged", "now", "reason"))
    return (damaged, now, reason) if value and current_digest(places) == now else None


def went_back_difference(places: Places) -> list[Difference]:
    """Say it as a difference, where it is so."""
    found = went_back(places)
    if found is None:
        return []
    damaged, now, reason = found
    return [Difference(str(places.current), f"{now}, the generation before: {reason}", damaged)]


def originals_of_damaged(places: Places) -> dict[str, str]:
    """Return the kernel settings from before that only the damaged generation knew."""
    found = went_back(places)
    return read_originals(places.generations / found[0]) if found else {}


def forget_going_back(places: Places) -> None:
    """A commit makes it good: the record goes, and the unit that failed because of it is well again."""
    with contextlib.suppress(OSError):
        places.went_back.unlink(missing_ok=True)
    if active_state(BOOT_UNIT) == "failed":
        attempt(["systemctl", "reset-failed", BOOT_UNIT])
        attempt(["systemctl", "start", "--no-block", BOOT_UNIT])


def committed_generation(places: Places) -> Optional[Generation]:
    """Return the committed generation, mended; where it cannot be, the one before, which is committed then.

    None before the first commit. Raises `AgentError` (FAILED) when neither can be loaded, `OSError`.
    """
    if not was_committed(places):
        return None
    _make_link_again(places.current)
    try:
        return load_generation(places, current_digest(places) or "absent")
    except AgentError as error:
        return _go_back(places, error.reason)


def was_committed(places: Places) -> bool:
    """Tell whether this node ever committed; whatever that leaves counts, since a link may be lost."""
    followed = any(links_to_us(places, row) for row in applied_as(Applied.LINK, Applied.RENDERED))
    return followed or any(os.path.lexists(link) for link in (places.current, places.previous))


def _make_link_again(link: Path) -> None:
    """Make a link of what a backup brought back as a folder."""
    if link.is_symlink() or not link.is_dir():
        return
    with contextlib.suppress(OSError):
        digest = hashlib.sha256((link / "document").read_bytes()).hexdigest()
        home = link.parent / "generations" / digest
        if home.exists():
            keep_aside(link, "by-hand")
        else:
            link.rename(home)
        replace_link(link, f"generations/{digest}")
        log(f"{link} was a folder: it is a link again")


def _go_back(places: Places, reason: str) -> Generation:
    digest = current_digest(places)
    _make_link_again(places.previous)
    try:
        before = load_generation(places, places.previous.readlink().name)
    except (OSError, AgentError):
        problem = f"{reason}, and there is no whole generation before it"
        raise AgentError(Answer.FAILED, f"{problem}: run `up` again, which sends the files again") from None
    log(f"{reason}: going back to {before.digest}")
    if digest != before.digest:
        record = {"damaged": digest, "now": before.digest, "reason": reason}
        write_json(places.went_back, record)
        replace_link(places.current, f"generations/{before.digest}")
    return before
