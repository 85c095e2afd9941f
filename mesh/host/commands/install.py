"""The command `install`: the agent puts itself and its units in place."""

import contextlib
import hashlib
import importlib.util
import io
import marshal
import re
import zipfile
from dataclasses import dataclass
from typing import Optional

from ..answers import AgentError, Answer
from ..files.generation import current_digest, load_generation
from ..files.rescue import rescue_ruleset
from ..files.stopper import install_stopper
from ..files.wentback import was_committed
from ..live.first_key import drop_first_contact_key
from ..live.sshd_service import ssh_ports
from ..places import Places
from ..system.archive import ARCHIVE
from ..system.run import find_tool, log, make_folder, run, write_file
from ..system.systemd import enable, require_systemd
from ..system.unitfiles import put_units, remove_units
from ..system.units import GUARD_UNIT
from ..trial.lock import COMMAND_WAIT, lock
from ..trial.record import load_trial
from ..tunnel import Tunnel

__all__ = ["agent_digest", "archive_digest", "check_archive", "install", "with_bytecode"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Until the first commit says otherwise: WireGuard's usual port.
_RESCUE_PORT = 51820
# PEP 552: bytecode that is not compared with its source, which no one can change within an archive.
_UNCHECKED = (1).to_bytes(4, "little")
_TOOLS = ("nft", "wg", "ip", "unshare", "systemctl", "systemd-run")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive_digest() -> str:
    """Return the SHA-256 of the zipapp this code runs from, hex. Raises `AgentError`."""
    try:
        return _sha256(ARCHIVE.read_bytes())
    except OSError:
        raise AgentError(Answer.FAILED, f"{ARCHIVE} is not the agent's file") from None


@dataclass(frozen=True)
class _Record:
    """What was installed: SHA-256, hex, of the file as it was sent and as it was installed."""

    sent: str
    installed: str


def _recorded(places: Places) -> Optional[_Record]:
    """Return what was installed; None where nothing was, or the record is lost."""
    try:
        return _Record(*places.agent_digest.read_text().split())
    except (OSError, ValueError, TypeError):
        return None


def agent_digest(places: Places) -> str:
    """Return the SHA-256 of the agent as it was sent, hex; of this file if it is another one."""
    record, found = _recorded(places), archive_digest()
    return record.sent if record is not None and record.installed == found else found


def check_archive(places: Places) -> None:
    """Refuse to run from an installed file that is not the one that was installed. Raises `AgentError`."""
    record, found = _recorded(places), archive_digest()
    if record is None or record.installed != found:
        installed = record.installed if record else "nothing"
        raise AgentError(
            Answer.REFUSED,
            f"{ARCHIVE} has the digest {found}, but {installed} was installed: install the agent again",
        )


def install(places: Places, tunnel: Tunnel, raw: bytes) -> tuple[Answer, str]:
    """Install the zipapp this code runs from; `raw` is its expected SHA-256 in hex.

    May be run again at any point. Raises `AgentError`, `OSError`.
    """
    expected = raw.decode("ascii", "replace").strip()
    if not _DIGEST.fullmatch(expected):
        raise AgentError(Answer.REFUSED, "install: standard input must be the SHA-256 of the agent in hex")
    if archive_digest() != expected:
        raise AgentError(
            Answer.REFUSED,
            f"{ARCHIVE} has the digest {archive_digest()}, but {expected} was expected: copy the file again",
        )
    require_systemd()
    missing = [tool for tool in _TOOLS if find_tool(tool) is None]
    if missing:
        raise AgentError(Answer.REFUSED, f"not installed on this host: {', '.join(missing)}")
    with lock(places, wait=COMMAND_WAIT):
        if load_trial(places) is not None:
            raise AgentError(Answer.BUSY, "a trial is under way and needs the present agent: try again later")
        _make_folders(places)
        _install_archive(places, expected)
        _install_units(places, tunnel)
        _mend_generations(places)
        install_stopper(places)
        _renew_guard(places)
        drop_first_contact_key(places)
    log(f"agent {expected} is installed")
    return Answer.INSTALLED, expected


def _make_folders(places: Places) -> None:
    make_folder(places.library, 0o755)
    for folder in (places.state, places.keys, places.generations, places.volatile):
        make_folder(folder.parent, 0o755)
        make_folder(folder, 0o700)
        folder.chmod(0o700)


def _install_archive(places: Places, digest: str) -> None:
    record = _recorded(places)
    there = _sha256(places.agent.read_bytes()) if places.agent.is_file() else None
    if record is not None and record == _Record(sent=digest, installed=there or ""):
        return
    content = with_bytecode(ARCHIVE.read_bytes())
    write_file(places.agent, content, 0o755)
    write_file(places.agent_digest, f"{digest}\n{_sha256(content)}\n".encode(), 0o644)


def with_bytecode(archive: bytes) -> bytes:
    """Return the zipapp with this Python's bytecode beside each module: compiling takes most of a start.

    Another Python, after an upgrade of the host, finds the modules themselves there.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(buffer, "w") as target:
        for info in source.infolist():
            text = source.read(info)
            target.writestr(info, text)
            if info.filename.endswith(".py"):
                code = compile(text, info.filename, "exec", dont_inherit=True)
                head = importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(text)
                compiled = zipfile.ZipInfo(f"{info.filename}c", info.date_time)
                target.writestr(compiled, head + marshal.dumps(code))
    return buffer.getvalue()


def _install_units(places: Places, tunnel: Tunnel) -> None:
    """On a node bring the units up to date; before the first commit leave the host's as they are."""
    if not places.rescue.exists():
        write_file(places.rescue, rescue_ruleset(ssh_ports(), _RESCUE_PORT).encode(), 0o644)
    if was_committed(places):
        put_units(places, tunnel)
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
    """On a node: have the guard run with this agent's code, also where an agent before it had none."""
    if current_digest(places) is not None:
        enable([GUARD_UNIT])
        run(["systemctl", "restart", "--no-block", GUARD_UNIT])
