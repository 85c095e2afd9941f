"""Where sshd listens: seen, and changed by a drop-in of ours without a connection that is refused."""

from __future__ import annotations

import re
import time

from ..answers import AgentError, Answer
from ..difference import Difference
from ..files.document import FIREWALL
from ..system.run import attempt, find_tool, log, run, write_file
from ..system.sockets import Listener, listeners
from ..system.systemd import active_state
from .sshd_service import SERVICES, holding_socket, restart_behind, tell, tell_listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Optional

    from ..places import Places

__all__ = [
    "missing_ports",
    "open_ports",
    "port_differences",
    "port_settings",
    "reload_sshd",
    "require_ports",
    "restore_port_settings",
    "settle_ports",
    "wanted_ports",
]

# The rule of our table that lets SSH in; its first port is the one that the stack file names.
_RULE = re.compile(r"tcp dport (\d+|\{[\d, ]+\}) ip saddr @ssh_sources4 ")
_GREETING = 5.0
_RELOAD = 3.0
# Until what has shaken hands is taken up; a connection that waits in a socket which is closed is reset.
_DRAIN = 0.05
_HOLD_TABLE = "wgmesh-reload"
# Nobody is refused while sshd begins anew: who comes is not answered, and comes again a second later. The
# elements go by themselves, so that nothing stays shut should this process be killed.
_HOLD = """\
table inet {table}
delete table inet {table}
table inet {table} {{
    set ports {{
        type inet_service
        flags timeout
        elements = {{ {elements} }}
    }}
    chain input {{
        type filter hook input priority -400; policy accept;
        tcp flags & (syn | ack) == syn tcp dport @ports drop
    }}
}}
"""


def wanted_ports(firewall: str) -> list[int]:
    """Return the ports on which our table lets SSH in, the one that stays first. Pure."""
    found = _RULE.search(firewall)
    return [int(port) for port in re.findall(r"\d+", found[1])] if found else []


def missing_ports(wanted: Sequence[int]) -> list[int]:
    """Return the ports on which SSH is let in and nothing listens.

    None where nothing listens on any of them: then sshd does not run, and ports are not what it lacks.
    """
    open_now = {each.port for each in listeners()}
    missing = [port for port in wanted if port not in open_now]
    return missing if len(missing) < len(wanted) else []


def require_ports(places: Places, firewall: str) -> None:
    """Refuse a table that lets SSH in on a port where sshd neither listens nor can be made to.

    Nothing is changed. Raises `AgentError` (REFUSED) with what helps.
    """
    wanted = wanted_ports(firewall)
    _require_sshd(wanted)
    missing = missing_ports(wanted)
    if not missing:
        return
    where = f"{FIREWALL}: nothing listens on port {missing[0]} for SSH"
    again = "then run up again"
    held = holding_socket()
    if held is not None:
        raise AgentError(
            Answer.REFUSED,
            f"{where}, and systemd's {held} holds sshd's ports here: add `ListenStream={missing[0]}` to "
            f"it (`systemctl edit {held}`, section [Socket]; keep the old port), `systemctl restart "
            f"{held}`, {again}",
        )
    if not _reads_drop_ins(places):
        raise AgentError(
            Answer.REFUSED,
            f"{where}, and /etc/ssh/sshd_config does not include sshd_config.d: add `Port {missing[0]}` "
            f"beside the old port there, `systemctl reload ssh`, {again}",
        )
    would = _configured([f"Port={port}" for port in missing])
    refused = [port for port in missing if port not in would]
    if refused:
        raise AgentError(
            Answer.REFUSED,
            f"{where}, and the ListenAddress lines of sshd's settings name other ports (`sshd -T | grep "
            f"listenaddress`): add port {refused[0]} to these lines, `systemctl reload ssh`, {again}",
        )


def _require_sshd(wanted: Sequence[int]) -> None:
    """Refuse to move to a port that another program has. Where nothing moves, nobody is asked."""
    found = listeners() if len(wanted) > 1 else []
    for port in wanted:
        there = [each for each in found if each.port == port]
        if there and not any(_greeting(each) for each in there):
            raise AgentError(
                Answer.REFUSED,
                f"{FIREWALL}: the program that listens on port {port} is no SSH server (`ss -Hltnp sport = "
                f":{port}` names the program): stop it, or give mesh.ssh.port another value",
            )


def _reads_drop_ins(places: Places) -> bool:
    try:
        text = (places.ssh / "sshd_config").read_text(errors="replace")
    except OSError:
        return False
    return bool(re.search(r"(?mi)^\s*Include\s+\S*sshd_config\.d/", text))


def _sshd() -> str:
    return find_tool("sshd") or "/usr/sbin/sshd"


def _configured(options: Iterable[str] = ()) -> set[int]:
    """Return the ports on which sshd would listen by its settings, `options` added."""
    extra = [word for option in options for word in ("-o", option)]
    shown = attempt([_sshd(), "-T", *extra]) or ""
    return {int(port) for port in re.findall(r"(?m)^listenaddress .*?:(\d+)(?: |$)", shown)}


def port_settings(places: Places) -> Optional[str]:
    """Return the text of our drop-in; None where there is none."""
    try:
        return places.ssh_port_conf.read_text(errors="replace")
    except OSError:
        return None


def open_ports(places: Places, wanted: Sequence[int]) -> bool:
    """Have sshd listen on these ports too, and see that it greets there; no port is given up.

    Tells whether there was need. Raises `AgentError` (FAILED) when it does not, `OSError`.
    """
    missing = missing_ports(wanted)
    if not missing:
        return False
    log(f"making sshd listen also on port {', '.join(str(port) for port in missing)}")
    _write(places, _text({*wanted, *_configured()}))
    for port in missing:
        if not _greets(port):
            raise AgentError(
                Answer.FAILED,
                f"sshd does not answer on port {port}, although {places.ssh_port_conf} names this port",
            )
    return True


def settle_ports(places: Places, wanted: Sequence[int]) -> bool:
    """Make our drop-in, where there is one, say just these ports; tells whether sshd has other settings now.

    Raises `AgentError`, `OSError`.
    """
    opened = open_ports(places, wanted)
    if not wanted or port_settings(places) in {None, _text(wanted)}:
        return opened
    _write(places, _text(wanted))
    return True


def port_differences(places: Places, wanted: Sequence[int]) -> list[Difference]:
    """Say what `settle_ports` would change."""
    found = [Difference(f"sshd port {port}", "nothing listens", "open") for port in missing_ports(wanted)]
    text = port_settings(places)
    if wanted and text is not None and text != _text(wanted):
        found.append(Difference(str(places.ssh_port_conf), "other lines", "our lines"))
    return found


def restore_port_settings(places: Places, text: Optional[str]) -> None:
    """Bring our drop-in back to what it was. Raises `AgentError`, `OSError`."""
    if port_settings(places) != text:
        _write(places, text)


def _text(ports: Iterable[int]) -> str:
    return "".join(f"Port {port}\n" for port in sorted(set(ports)))


def _write(places: Places, text: Optional[str]) -> None:
    """Write our drop-in and have sshd read it; one that sshd refuses is taken back."""
    before = port_settings(places)
    _put(places.ssh_port_conf, text)
    try:
        run([_sshd(), "-t"])
    except AgentError:
        _put(places.ssh_port_conf, before)
        raise
    reload_sshd()


def _put(path: Path, text: Optional[str]) -> None:
    if text is None:
        path.unlink(missing_ok=True)
    else:
        write_file(path, text.encode(), 0o644)


def reload_sshd() -> None:
    """Have sshd read its settings again; whoever comes in between waits instead of being refused.

    Returns once it listens again. Where it does not run yet, it reads them at its start. Raises `AgentError`.
    """
    held = holding_socket()
    if held is not None:
        restart_behind(held)
        return
    unit = next((unit for unit in SERVICES if active_state(unit) == "active"), None)
    if unit is None:
        tell_listener()
        return
    ports = _configured()
    before = [each for each in listeners() if each.port in ports]
    _hold(sorted({each.port for each in before}))
    try:
        tell(unit)
        _await_new(before, ports)
    finally:
        attempt(["nft", "delete", "table", "inet", _HOLD_TABLE])


def _hold(ports: Sequence[int]) -> None:
    elements = ", ".join(f"{port} timeout {_RELOAD:.0f}s" for port in ports)
    if ports and _loaded(_HOLD.format(table=_HOLD_TABLE, elements=elements)):
        time.sleep(_DRAIN)


def _loaded(ruleset: str) -> bool:
    try:
        run(["nft", "-f", "-"], stdin=ruleset)
    except AgentError as error:
        log(f"sshd is reloaded with its ports open: {error}")
        return False
    return True


def _await_new(before: Sequence[Listener], wanted: set[int]) -> None:
    """Wait until every port that sshd should have is there again, on another socket than before."""
    old = {each.inode for each in before}
    end = time.monotonic() + _RELOAD
    while time.monotonic() < end:
        if wanted <= {each.port for each in listeners() if each.inode not in old}:
            return
        time.sleep(0.01)


def _greets(port: int) -> bool:
    """Whether an SSH server says its name on this port, on any address it listens on."""
    end = time.monotonic() + _GREETING
    while time.monotonic() < end:
        if any(_greeting(each) for each in listeners() if each.port == port):
            return True
        time.sleep(0.05)
    return False


_HERE: Mapping[str, str] = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what it listens on, not we


def _greeting(listener: Listener) -> bool:
    import socket

    address = _HERE.get(listener.address, listener.address)
    try:
        with socket.create_connection((address, listener.port), timeout=_GREETING) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
