"""The lock-out proof: SSH is tried through the new firewall, in network namespaces made for it."""

import contextlib
import ctypes
import ipaddress
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Optional

from .answers import AgentError, Answer
from .document import FIREWALL
from .firewall import expected_table
from .generation import Generation
from .places import TABLE
from .session import Session
from .sources import declared_sources, edges, foreign_address
from .system import attempt, log, run

__all__ = ["prove_not_locked_out"]

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CONNECT = 2.0
# Once everybody who must come in has, a stranger who may come in is late at most this long.
_STRANGER = 0.3
_ALL = 15.0
_CLIENT_LINK = "wgmesh-proof"


def prove_not_locked_out(generation: Generation, session: Session) -> None:
    """Refuse a firewall that would lock the operator out, or let a stranger in to SSH.

    The host's whole ruleset with ours in it is loaded in a scratch network namespace; connections to
    sshd's port come from this session's address, from the first and the last address of every declared
    source, and from one foreign address. Raises `AgentError` (REFUSED).
    """
    wanted, foreign = _cases(generation, session)
    rulesets = [*_foreign_tables(), generation.firewall]
    results = _isolated(lambda: _try_out(session, rulesets, wanted, foreign))
    if results is None:
        log("the lock-out proof could not be run here; the rollback alone guards the change")
        return
    where = f"{FIREWALL}: SSH to port {session.port} from"
    for source in wanted:
        if not results.get(source):
            who = "this session" if source == session.client else "a declared source"
            raise AgentError(Answer.REFUSED, f"{where} {source} ({who}) would be cut off: no rule accepts it")
    if foreign and results.get(foreign):
        raise AgentError(
            Answer.REFUSED, f"{where} {foreign} would be let in, and no declared source holds it"
        )


def _cases(generation: Generation, session: Session) -> tuple[list[str], Optional[str]]:
    version = ipaddress.ip_address(session.server).version
    sources = declared_sources(expected_table(generation.firewall), version)
    mesh = [ipaddress.ip_interface(address).network for address in generation.file.addresses]
    own = ipaddress.ip_network(session.server)
    found = [session.client]
    for source in sources:
        found += edges(source, [*mesh, own])
    foreign = foreign_address(version, [*sources, *mesh, own, ipaddress.ip_network(session.client)])
    return [source for source in dict.fromkeys(found) if source != session.server], foreign


def _foreign_tables() -> list[str]:
    """Return every other table of the host as a ruleset of its own."""
    listed = json.loads(attempt(["nft", "-j", "list", "tables"]) or '{"nftables": []}')["nftables"]
    names = [(entry["table"]["family"], entry["table"]["name"]) for entry in listed if "table" in entry]
    return [attempt(["nft", "-s", "list", "table", *name]) or "" for name in names if name != ("inet", TABLE)]


def _isolated(work: Callable[[], dict[str, bool]]) -> Optional[dict[str, bool]]:
    """Run `work` in a process and network namespace of its own; None when it fails or hangs."""
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(work, writer, parent)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], _ALL)
    raw = os.read(reader, 1 << 20) if ready else b""
    os.close(reader)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    value = json.loads(raw) if raw else None
    return value if isinstance(value, dict) else None


def _child(work: Callable[[], Any], writer: int, parent: int) -> None:
    """Do the work in a namespace of its own, hand over its result and end without a trace."""
    try:
        os.setpgid(0, 0)
        _new_network(parent)
        os.write(writer, json.dumps(work()).encode())
    except (AgentError, OSError, ValueError) as error:
        log(f"lock-out proof: {error}")
    finally:
        os._exit(0)


def _new_network(parent: int) -> None:
    """Enter a fresh network namespace, and die with the parent: a fork holds its lock, too."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that took hold
        raise OSError("the process that asked is gone")
    if libc.unshare(_CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _try_out(
    session: Session, rulesets: Sequence[str], wanted: Sequence[str], foreign: Optional[str]
) -> dict[str, bool]:
    """Be the host, in a scratch namespace; the network around it is a second one."""
    to_client, from_parent = os.pipe()
    reader, writer = os.pipe()
    host = os.getpid()
    client = os.fork()
    if client == 0:
        os.close(from_parent)
        os.close(reader)
        try:
            _new_network(host)
            os.write(writer, b"?")
            os.read(to_client, 1)
            os.write(writer, json.dumps(_knock(session, wanted, foreign)).encode())
        except (AgentError, OSError) as error:
            log(f"lock-out proof: {error}")
        finally:
            os._exit(0)
    os.close(writer)
    os.read(reader, 1)
    listener = _host(session, rulesets, client)
    os.write(from_parent, b"!")
    _greet_all(listener, until=reader)
    raw = os.read(reader, 1 << 20)
    listener.close()
    os.waitpid(client, 0)
    value: dict[str, bool] = json.loads(raw)
    return value


def _ip(version: int, lines: Sequence[str]) -> None:
    run(["ip", f"-{version}", "-batch", "-"], stdin="".join(f"{line}\n" for line in lines))


def _nodad(version: int) -> str:
    return " nodad" if version == 6 else ""


def _prefix(address: str) -> str:
    return f"{address}/{ipaddress.ip_address(address).max_prefixlen}"


def _host(session: Session, rulesets: Sequence[str], client: int) -> socket.socket:
    """Set up the host's side: its interface, its firewall, a listener where sshd listens."""
    version = ipaddress.ip_address(session.server).version
    nic = session.interface
    _ip(
        version,
        [
            "link set dev lo up",
            f"link add name {nic} type veth peer name {_CLIENT_LINK} netns {client}",
            f"address add {_prefix(session.server)} dev {nic}{_nodad(version)}",
            f"link set dev {nic} up",
            f"route add default dev {nic}",
        ],
    )
    for ruleset in rulesets[:-1]:
        _load_if_it_fits(ruleset)
    run(["nft", "-f", "-"], stdin=rulesets[-1])
    listener = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    listener.bind((session.server, session.port))
    listener.listen(1024)
    return listener


def _greet_all(listener: socket.socket, *, until: int) -> None:
    """Say a byte to everybody who comes in: only that shows that packets pass in both directions."""
    while until not in select.select([listener.fileno(), until], [], [])[0]:
        guest, _address = listener.accept()
        guest.setblocking(False)
        guest.send(b"!")


def _load_if_it_fits(ruleset: str) -> None:
    """Load another owner's table; one that names what only the host itself has is left out."""
    try:
        run(["nft", "-f", "-"], stdin=ruleset)
    except AgentError as error:
        log(f"lock-out proof: without the table `{ruleset.partition('{')[0].strip()}`: {error}")


def _knock(session: Session, wanted: Sequence[str], foreign: Optional[str]) -> dict[str, bool]:
    """Be the network: connect from every source at once, and tell who was let in and heard a word."""
    version = ipaddress.ip_address(session.server).version
    sources = [*wanted, *([foreign] if foreign else [])]
    _ip(
        version,
        [
            f"link set dev {_CLIENT_LINK} up",
            *(f"address add {_prefix(source)} dev {_CLIENT_LINK}{_nodad(version)}" for source in sources),
            f"route add {_prefix(session.server)} dev {_CLIENT_LINK}",
        ],
    )
    waiting = {_dial(session, source, version): source for source in sources}
    results = dict.fromkeys(sources, False)
    end = time.monotonic() + _CONNECT
    while waiting and time.monotonic() < end:
        ready, _, _ = select.select(list(waiting), [], [], max(0.0, end - time.monotonic()))
        for knock in ready:
            with contextlib.suppress(OSError):
                results[waiting[knock]] = knock.recv(1) == b"!"
            del waiting[knock]
        if list(waiting.values()) == [foreign]:
            end = min(end, time.monotonic() + _STRANGER)
    return results


def _dial(session: Session, source: str, version: int) -> socket.socket:
    knock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    knock.setblocking(False)
    knock.bind((source, 0))
    knock.connect_ex((session.server, session.port))
    return knock
