"""What runs sshd on this host: a service, a socket unit that holds its ports for it, or nobody's unit."""

from __future__ import annotations

import functools
import re
import time
from pathlib import Path

from ..answers import AgentError, Answer
from ..system.run import attempt, log, outcome, run
from ..system.session import session_end
from ..system.systemd import active_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = [
    "SERVICES",
    "holding_socket",
    "require_offer",
    "restart_behind",
    "ssh_ports",
    "tell",
    "tell_listener",
]

SERVICES = ("ssh.service", "sshd.service")
"""The units of sshd, by distribution."""
_SOCKETS = ("ssh.socket", "sshd.socket")
_USUAL_PORT = 22
# An sshd that reads its settings anew listens again within a second; a busy host takes its time.
_OFFER_SECONDS = 15.0
_PAUSE = 0.05
# Ask without a key of a user: a client that knows this host key only is turned down by sshd, and by no other
# server. ssh-keyscan would do the same with three times the work: it cannot choose the key exchange.
# An sshd that hangs half way would hold up a client for longer than `ConnectTimeout`.
_ASK_LIMIT = ("timeout", "10")
_ASK = {
    "BatchMode": "yes",
    "ConnectTimeout": "5",
    "HostKeyAlias": "wgmesh",
    "StrictHostKeyChecking": "yes",
    "GlobalKnownHostsFile": "/dev/null",
    "KexAlgorithms": "^curve25519-sha256",
    "PreferredAuthentications": "none",
}
_TURNED_DOWN = "Permission denied"


@functools.lru_cache(maxsize=1)
def ssh_ports() -> list[int]:
    """Return the ports on which SSH comes in: of sshd's settings, of its socket unit, and of this session."""
    shown = attempt(["sshd", "-T"]) or ""
    ports = re.findall(r"(?m)^listenaddress .*?:(\d+)(?: |$)", shown) or re.findall(
        r"(?m)^port (\d+)$", shown
    )
    unit = holding_socket()
    if unit is not None:
        listens = attempt(["systemctl", "show", "--property=Listen", unit]) or ""
        ports += re.findall(r"(?m)^Listen=(?:\S*:)?(\d+) \(Stream\)$", listens)
    here = session_end()
    if here is not None:
        ports.append(str(here[1]))
    return sorted({int(port) for port in ports}) or [_USUAL_PORT]


def holding_socket() -> Optional[str]:
    """Return the socket unit that holds sshd's ports; None where sshd holds them itself."""
    states = zip(_SOCKETS, active_states(_SOCKETS))
    return next((unit for unit, state in states if state == "active"), None)


def restart_behind(unit: str) -> None:
    """Have the sshd behind a socket unit begin anew; sessions go on. Raises `AgentError`.

    A reload would have it take the ports of its own settings instead of those that systemd holds.
    """
    run(["systemctl", "try-restart", unit.replace(".socket", ".service")])


def tell(unit: str) -> None:
    """Have the sshd of a service read its keys and settings again; sessions go on. Raises `AgentError`."""
    if attempt(["systemctl", "reload", unit]) is None:  # not every unit says how
        run(["systemctl", "kill", "--kill-who=main", "--signal=HUP", unit])


def tell_listener() -> None:
    """Have an sshd that no unit has started read its keys and settings again. Raises `AgentError`."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:  # gone meanwhile
            continue
        if title.startswith(b"sshd: ") and b"[listener]" in title:  # the title it gives itself (sshd.c)
            run(["kill", "-HUP", folder.name])
            return
    log("found no sshd that listens: sshd will read the settings at its next start")


def require_offer(public_key: str, folder: Path) -> None:
    """Refuse an sshd that does not answer with this public host key where this session came in.

    Nothing is asked without a session. `folder` is for a file that lies there meanwhile. Raises `AgentError`.
    """
    import tempfile

    here = session_end()
    if here is None:
        return
    address, port = here
    with tempfile.NamedTemporaryFile("w", dir=folder) as known:
        known.write(f"{_ASK['HostKeyAlias']} {' '.join(public_key.split()[:2])}\n")
        known.flush()
        kind = public_key.partition(" ")[0]
        options = {**_ASK, "HostKeyAlgorithms": kind, "UserKnownHostsFile": known.name}
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        asked = [*_ASK_LIMIT, "ssh", "-F", "none", "-p", str(port), *words, f"root@{address}", "true"]
        end = time.monotonic() + _OFFER_SECONDS
        while time.monotonic() < end:
            code, said = outcome(asked)
            if code == 0 or _TURNED_DOWN in said:
                return
            time.sleep(_PAUSE)
    raise AgentError(
        Answer.FAILED,
        f"sshd did not answer on port {port} with the permanent host key; its former settings are back: "
        f"see `sshd -T` and `journalctl -u ssh`",
    )
