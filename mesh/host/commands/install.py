"""The command `install`: the agent puts itself and its units in place."""

from __future__ import annotations

import contextlib
import re
from importlib.util import MAGIC_NUMBER

from ..answers import AgentError, Answer
from ..bytecode import ENTRY, compiled
from ..files.generation import current_digest, load_generation
from ..files.rescue import rescue_ruleset
from ..files.stopper import install_stopper
from ..files.wentback import was_committed
from ..live.sshd_service import ssh_ports
from ..system.archive import ARCHIVE
from ..system.run import find_tool, log, make_folder, run, write_file
from ..system.systemd import require_systemd
from ..system.unitfiles import put_units, remove_units
from ..system.units import GUARD_UNIT, ROTATION_UNIT
from ..trial.lock import COMMAND_WAIT, lock
from ..trial.record import load_trial
from .installed import Record, archive_digest, recorded, sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["install", "make_folders", "put_in_place", "require_installable", "with_bytecode"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Until the first commit says otherwise: WireGuard's usual port.
_RESCUE_PORT = 51820
# PEP 552: bytecode that is not compared with its source, as no one can change it within an archive.
_UNCHECKED = (1).to_bytes(4, "little") + bytes(8)
# What Python imports in its own way: they lead to the rest.
_FIRST = ("__main__", "wgmesh", "wgmesh.bytecode")
# Units that agents before this one had not, and that a node has enabled from its first commit on.
_ALWAYS = (GUARD_UNIT, ROTATION_UNIT)
_TOOLS = ("nft", "wg", "ip", "unshare", "systemctl", "systemd-run")


def install(places: Places, tunnel: Tunnel, raw: bytes) -> tuple[Answer, str]:
    """Install the zipapp this code runs from; `raw` is its expected SHA-256 in hex.

    May be run again at any point. Raises `AgentError`, `OSError`.
    """
    expected = raw.decode("ascii", "replace").strip()
    require_installable(expected)
    with lock(places, wait=COMMAND_WAIT):
        put_in_place(places, tunnel, expected)
    return Answer.INSTALLED, expected


def require_installable(expected: str) -> None:
    """Refuse to install another file than the expected one, or on a host that lacks a tool.

    `expected` is the SHA-256 of the zipapp this code runs from, hex. Raises `AgentError`.
    """
    if not _DIGEST.fullmatch(expected):
        raise AgentError(Answer.REFUSED, f"expected the SHA-256 of the agent in hex, not {expected[:80]!r}")
    if archive_digest() != expected:
        raise AgentError(
            Answer.REFUSED,
            f"{ARCHIVE} has the digest {archive_digest()}, but {expected} was expected: copy the file again",
        )
    require_systemd()
    missing = [tool for tool in _TOOLS if find_tool(tool) is None]
    if missing:
        raise AgentError(Answer.REFUSED, f"not installed on this host: {', '.join(missing)}")


def put_in_place(places: Places, tunnel: Tunnel, digest: str) -> None:
    """Install the zipapp this code runs from, with this SHA-256; the caller holds the lock.

    May be done again at any point. Raises `AgentError`, `OSError`.
    """
    if load_trial(places) is not None:
        raise AgentError(Answer.BUSY, "a trial is under way and needs the current agent: try again later")
    make_folders(places)
    _install_archive(places, digest)
    _install_units(places, tunnel)
    _mend_generations(places)
    install_stopper(places)
    _renew_guard(places)
    log(f"agent {digest} is installed")


def make_folders(places: Places) -> None:
    """Make the folders of the agent, where they are missing. Raises `OSError`."""
    make_folder(places.library, 0o755)
    for folder in (places.state, places.keys, places.generations, places.volatile):
        make_folder(folder.parent, 0o755)
        make_folder(folder, 0o700)
        folder.chmod(0o700)


def _install_archive(places: Places, digest: str) -> None:
    record = recorded(places)
    there = sha256(places.agent.read_bytes()) if places.agent.is_file() else None
    if record is not None and record == Record(sent=digest, installed=there or ""):
        return
    content = with_bytecode(ARCHIVE)
    write_file(places.agent, content, 0o755)
    write_file(places.agent_digest, f"{digest}\n{sha256(content)}\n".encode(), 0o644)


def with_bytecode(archive: Path) -> bytes:
    """Return the zipapp with this Python's bytecode added: compiling takes most of a start.

    The modules that find the bytecode have theirs beside them. Another Python, after an upgrade of the host,
    finds the modules themselves, packed as they came.
    """
    import io
    import marshal
    import zipfile

    modules = compiled(str(archive))
    buffer = io.BytesIO()
    with zipfile.ZipFile(archive) as source:
        texts = [(info, source.read(info)) for info in source.infolist()]
    with zipfile.ZipFile(buffer, "w") as target:
        for info, text in texts:
            target.writestr(info, text)
        for name in _FIRST:
            is_package, code = modules[name]
            path = name.replace(".", "/") + ("/__init__" if is_package else "")
            target.writestr(zipfile.ZipInfo(f"{path}.pyc"), MAGIC_NUMBER + _UNCHECKED + code)
        target.writestr(zipfile.ZipInfo(ENTRY), marshal.dumps(modules))
    return buffer.getvalue()


def _install_units(places: Places, tunnel: Tunnel) -> None:
    """On a node bring the units up to date; before the first commit leave the host's as they are."""
    if not places.rescue.exists():
        write_file(places.rescue, rescue_ruleset(ssh_ports(), _RESCUE_PORT).encode(), 0o644)
    if was_committed(places):
        put_units(places, tunnel, _ALWAYS if current_digest(places) is not None else [])
    else:
        remove_units(places, tunnel)


def _mend_generations(places: Places) -> None:
    """Bring what agents before this one stored into today's form: they put keys into generations.

    Those that were tried and never committed too. What is damaged is left to the commands that tell of it.
    """
    for folder in sorted(places.generations.glob("[!.]*")):
        with contextlib.suppress(AgentError, OSError):
            load_generation(places, folder.name)


def _renew_guard(places: Places) -> None:
    """On a node: have what runs run with this agent's code, also a guard that an agent before it had not."""
    if current_digest(places) is not None:
        run(["systemctl", "restart", "--no-block", GUARD_UNIT])
        run(["systemctl", "try-restart", "--no-block", ROTATION_UNIT])
