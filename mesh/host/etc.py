"""What lies outside the agent's own folders: reconciled from the committed generation."""

import re
from collections.abc import Callable
from pathlib import Path

from .blocks import with_block
from .document import AUTHORIZED_KEYS, HOSTS
from .generation import Generation
from .places import WG_UNIT, Places
from .system import attempt, log, replace_link, run, write_file
from .systemd import active_state, enable
from .units import BOOT_UNIT, FIREWALL_UNIT, rescue_ruleset

__all__ = ["reconcile", "ssh_ports"]

_ENABLED = (FIREWALL_UNIT, BOOT_UNIT, WG_UNIT)


def reconcile(places: Places, generation: Generation) -> None:
    """Bring links, blocks and units in line with a committed generation, writing only what differs.

    Raises `AgentError` or `OSError`; may be run again at any time.
    """
    for path, name in (
        (places.wg_conf, "wg0.conf"),
        (places.sysctl_conf, "sysctl.conf"),
        (places.firewall_conf, "firewall.nft"),
    ):
        _link(path, f"{places.current}/{name}")
    _edit(places.hosts, 0o644, lambda text: with_block(text, generation.text(HOSTS)))
    _edit(places.authorized_keys, 0o600, lambda text: with_block(text, generation.text(AUTHORIZED_KEYS)))
    rescue = rescue_ruleset(ssh_ports(), generation.file.port)
    _edit(places.rescue, 0o644, lambda _: rescue)
    enable(_ENABLED)
    if active_state(FIREWALL_UNIT) != "active":
        attempt(["systemctl", "reset-failed", FIREWALL_UNIT])
        run(["systemctl", "start", "--no-block", FIREWALL_UNIT])


def ssh_ports() -> list[int]:
    """Return the ports sshd is configured to listen on."""
    shown = attempt(["sshd", "-T"]) or ""
    return sorted({int(port) for port in re.findall(r"(?m)^port (\d+)$", shown)}) or [22]


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(mode=0o700 if path.parent.name == "wireguard" else 0o755, parents=True, exist_ok=True)
    if path.is_symlink() and str(path.readlink()) == target:
        return
    if path.exists() and not path.is_symlink():
        kept = path.with_name(f"{path.name}.before-wgmesh")
        log(f"{path} was there before: kept as {kept}")
        path.rename(kept)
    replace_link(path, target)


def _edit(path: Path, mode: int, change: Callable[[str], str]) -> None:
    """Change a file, and give it this mode where it is new; a link is followed."""
    path = path.resolve()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        old = path.read_bytes()
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        old = None
    text = (old or b"").decode("utf-8", "surrogateescape")
    new = change(text).encode("utf-8", "surrogateescape")
    if new != old:
        write_file(path, new, mode)
