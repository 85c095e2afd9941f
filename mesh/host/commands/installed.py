"""Which agent is installed: the file as it was sent and as it lies here, checked before it does anything."""

from __future__ import annotations

import hashlib

from ..answers import AgentError, Answer
from ..records import dataclass
from ..system.archive import ARCHIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..places import Places

__all__ = ["Record", "agent_digest", "archive_digest", "check_archive", "recorded", "sha256"]


def sha256(content: bytes) -> str:
    """Return the SHA-256 of some bytes, hex."""
    return hashlib.sha256(content).hexdigest()


def archive_digest() -> str:
    """Return the SHA-256 of the zipapp this code runs from, hex. Raises `AgentError`."""
    try:
        return sha256(ARCHIVE.read_bytes())
    except OSError:
        raise AgentError(Answer.FAILED, f"{ARCHIVE} is not the agent's file") from None


@dataclass(frozen=True)
class Record:
    """What was installed: SHA-256, hex, of the file as it was sent and as it was installed."""

    sent: str
    installed: str


def recorded(places: Places) -> Optional[Record]:
    """Return what was installed; None where nothing was, or the record is lost."""
    try:
        return Record(*places.agent_digest.read_text().split())
    except (OSError, ValueError, TypeError):
        return None


def agent_digest(places: Places) -> str:
    """Return the SHA-256 of the agent as it was sent, hex; of this file if it is another one."""
    record, found = recorded(places), archive_digest()
    return record.sent if record is not None and record.installed == found else found


def check_archive(places: Places) -> None:
    """Refuse to run from an installed file that is not the one that was installed. Raises `AgentError`."""
    record, found = recorded(places), archive_digest()
    if record is None or record.installed != found:
        installed = record.installed if record else "nothing"
        raise AgentError(
            Answer.REFUSED,
            f"{ARCHIVE} has the digest {found}, but {installed} was installed: install the agent again",
        )
