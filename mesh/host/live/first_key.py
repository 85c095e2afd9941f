"""The throw-away host key of first contact goes with the first files.

Whoever sends those has dialled the permanent one: so all steps before them are known to be done, and none is
done again over the throw-away key.
"""

from __future__ import annotations

from ..answers import AgentError
from ..system.run import find_tool, run, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Optional

    from ..places import Places

__all__ = ["drop_first_contact_key"]


def drop_first_contact_key(places: Places) -> None:
    """Stop sshd from offering the ECDSA host key that came with the user data, for good.

    Any process on the host can read the user data, so that key proves nothing any more. Naming the
    other keys in sshd's configuration keeps it away should cloud-init write it again. An sshd that does
    not answer then gets all back. Raises `AgentError`.
    """
    key, permanent = places.ssh / "ssh_host_ecdsa_key", places.ssh / "ssh_host_ed25519_key"
    folder = places.ssh / "sshd_config.d"
    dropin, first = folder / "10-wgmesh.conf", folder / "00-00-wgmesh-first-contact.conf"
    moved = [path for path in (key, first) if path.exists()]
    if not moved or not _came_by_user_data(places) or not permanent.is_file() or not folder.is_dir():
        return
    from .sshd import reload_sshd
    from .sshd_service import require_offer

    kept = [path for path in (permanent, places.ssh / "ssh_host_rsa_key") if path.is_file()]
    text = "".join(f"HostKey {path}\n" for path in kept).encode()
    former = dropin.read_bytes() if dropin.is_file() else None
    write_file(dropin, text, 0o644)
    for path in moved:
        path.rename(_parked(path))
    try:
        run([find_tool("sshd") or "/usr/sbin/sshd", "-t"])
        reload_sshd()
        require_offer(permanent.with_name(f"{permanent.name}.pub").read_text(), places.volatile)
    except AgentError:
        _put_back(dropin, former, moved)
        reload_sshd()
        raise
    for path in moved:
        _parked(path).unlink()
    key.with_name(f"{key.name}.pub").unlink(missing_ok=True)


def _came_by_user_data(places: Places) -> bool:
    try:
        return b"ecdsa_private" in (places.root / "var/lib/cloud/instance/user-data.txt").read_bytes()
    except OSError:
        return False


def _parked(path: Path) -> Path:
    return path.with_name(f"{path.name}.dropped")


def _put_back(dropin: Path, former: Optional[bytes], moved: Sequence[Path]) -> None:
    for path in moved:
        _parked(path).rename(path)
    if former is None:
        dropin.unlink()
    else:
        write_file(dropin, former, 0o644)
