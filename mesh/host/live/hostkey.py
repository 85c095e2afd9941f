"""The SSH host key of a node: another is served beside it, and takes its place once it is known to work."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..answers import AgentError, Answer
from ..records import dataclass, field
from ..system.run import attempt, find_tool, log, run, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..places import Places

__all__ = ["HostKey", "parse_host_key", "take_host_key"]

_DROPIN = "sshd_config.d/10-wgmesh-host-key.conf"


@dataclass(frozen=True)
class HostKey:
    """The host key that a node is to have (OpenSSH's format), and the public one that goes on beside it."""

    private: str = field(repr=False)
    former: Optional[str]


def parse_host_key(raw: bytes) -> Optional[HostKey]:
    """Read it from what `keys` reads; None where that says nothing of it. Raises `AgentError` (REFUSED)."""
    value = json.loads(raw)
    private, former = value.get("host_key"), value.get("former_host_key")
    if private is None and former is None:
        return None
    if not isinstance(private, str) or not isinstance(former, (str, type(None))):
        raise AgentError(Answer.REFUSED, "keys: host_key and former_host_key must be text")
    return HostKey(private, former)


def take_host_key(places: Places, wanted: HostKey) -> None:
    """Have sshd serve this key: beside the former one, or in its place. May be done again at any time.

    Raises `AgentError`, with sshd's settings as they were, or `OSError`.
    """
    permanent, second = places.ssh / "ssh_host_ed25519_key", places.ssh / "ssh_host_wgmesh_key"
    if _is(permanent, wanted.private):
        _forget(places, second)
        return
    public = _public_of(places, wanted.private)
    if _read_public(permanent) == public:
        _forget(places, second)
    elif wanted.former is None:
        _put(permanent, wanted.private, public)
        log("the new host key has replaced the former host key")
        if not _forget(places, second):
            _reload()
    elif _read_public(second) != public or not (places.ssh / _DROPIN).exists():
        _put(second, wanted.private, public)
        _serve(places, second)
        log("sshd now serves the new host key beside the former one")


def _is(path: Path, private: str) -> bool:
    """Whether a file has this very key, so that no tool need be asked."""
    try:
        return path.read_text() == private and _read_public(path) is not None
    except OSError:
        return False


def _public_of(places: Places, private: str) -> str:
    import tempfile

    with tempfile.NamedTemporaryFile("w", dir=places.volatile) as file:
        file.write(private)
        file.flush()
        try:
            shown = run(["ssh-keygen", "-y", "-f", file.name])
        except AgentError:
            raise AgentError(Answer.REFUSED, "keys: host_key is not a private key") from None
    return " ".join(shown.split()[:2])


def _read_public(path: Path) -> Optional[str]:
    try:
        return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])
    except OSError:
        return None


def _put(path: Path, private: str, public: str) -> None:
    write_file(path, private.encode(), 0o600)
    write_file(path.with_name(f"{path.name}.pub"), f"{public}\n".encode(), 0o644)


def _serve(places: Places, second: Path) -> None:
    """Name the key beside all those that sshd serves now: to name one is to name all."""
    dropin = places.ssh / _DROPIN
    served = [Path(path) for path in re.findall(r"(?m)^hostkey (\S+)$", attempt([_sshd(), "-T"]) or "")]
    kept = [path for path in served if path.exists() and path != second]
    write_file(dropin, "".join(f"HostKey {path}\n" for path in [*kept, second]).encode(), 0o644)
    try:
        _require_served(second, dropin)
    except AgentError:
        dropin.unlink()
        raise
    _reload()


def _require_served(key: Path, dropin: Path) -> None:
    run([_sshd(), "-t"])
    if f"hostkey {key}" not in run([_sshd(), "-T"]):
        raise AgentError(Answer.FAILED, f"sshd does not read {dropin}: include sshd_config.d in sshd_config")


def _forget(places: Places, second: Path) -> bool:
    """Serve the permanent key alone again; returns whether there was anything to do."""
    dropin = places.ssh / _DROPIN
    if not dropin.exists():
        return False
    dropin.unlink()
    _reload()
    second.unlink(missing_ok=True)
    second.with_name(f"{second.name}.pub").unlink(missing_ok=True)
    return True


def _reload() -> None:
    from .sshd import reload_sshd

    reload_sshd()


def _sshd() -> str:
    return find_tool("sshd") or "/usr/sbin/sshd"
