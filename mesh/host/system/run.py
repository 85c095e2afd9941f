"""The few ways the agent touches the system: run a tool, write a file for good, know the time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import time
from contextvars import ContextVar
from pathlib import Path

from ..answers import AgentError, Answer
from .journal import send_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, Optional

__all__ = [
    "attempt",
    "boot_id",
    "find_tool",
    "io_error",
    "log",
    "make_folder",
    "outcome",
    "random_hex",
    "read_json",
    "remove_tree",
    "replace_link",
    "run",
    "since_boot",
    "sync_folder",
    "time_limit",
    "told",
    "tool_limit",
    "write_file",
    "write_json",
]

_TIMEOUT = 30.0
_limit: ContextVar[float] = ContextVar("tool_limit", default=_TIMEOUT)
# Seconds a tool that was killed has to go; one that the kernel holds back is left alone.
_GONE = 1.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Enough of anything that could be a key: WireGuard's are 43 characters of base64 and a `=`. What begins as a
# path does is none, but for one key in a thousand million.
_KEYLIKE = re.compile(
    r"(?<![A-Za-z0-9+/=])(?P<path>/(?:etc|lib|proc|root|run|sys|tmp|usr|var)(?:/[A-Za-z0-9_.@-]+)+)(?![A-Za-z0-9+/=])"
    r"|[A-Za-z0-9+/]{20,}=*"
)
_WITHIN_PATH = re.compile(r"[A-Za-z0-9]{20,}")
# Precisely a key; unlike a digest, which is hex of 64 characters.
_KEY = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=")
# wg prints the offending key, whole or cut (wireguard-tools, src/config.c, parse_key).
_TALKS_OF_KEYS = ("wg", "wg-quick")


@contextlib.contextmanager
def tool_limit(seconds: float) -> Iterator[None]:
    """Give every tool that is run within this many seconds, but where its caller says otherwise."""
    token = _limit.set(seconds)
    try:
        yield
    finally:
        _limit.reset(token)


def time_limit(seconds: Optional[float] = None) -> float:
    """Return the seconds that a tool has: those given, else 30 or what `tool_limit` says."""
    return _limit.get() if seconds is None else seconds


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    fds: Iterable[int] = (),
    timeout: Optional[float] = None,
) -> str:
    """Run a tool and return what it printed.

    Raises `AgentError` (FAILED) with the command, its exit code and the first line of what it said,
    nothing that looks like a key; `timeout` is in seconds, by default 30 or what `tool_limit` says.
    `fds` are inherited by the tool.
    """
    code, out, err = _finish(_start(argv, fds), argv, stdin, timeout)
    if code:
        said = "" if Path(argv[0]).name in _TALKS_OF_KEYS else _first_line(err or out)
        raise AgentError(Answer.FAILED, f"{_shown(argv)} failed ({code}){said}")
    return out


def told(argv: Sequence[str], *, stdin: str = "") -> str:
    """Run a tool that is asked several things at once, and return what it printed.

    Its exit code, which speaks of one of them only, does not count. Raises `AgentError` as `run` does where
    it cannot be run or hangs.
    """
    return _finish(_start(argv, ()), argv, stdin, None)[1]


def outcome(argv: Sequence[str]) -> tuple[int, str]:
    """Run a tool whose failure says something; returns its exit code and all that it printed.

    Raises `AgentError` as `run` does where it cannot be run or hangs.
    """
    code, out, err = _finish(_start(argv, ()), argv, "", None)
    return code, out + err


def _finish(
    process: subprocess.Popen[str], argv: Sequence[str], stdin: str, timeout: Optional[float]
) -> tuple[int, str, str]:
    """Wait for a tool; returns its exit code and what it printed on both ways."""
    import subprocess

    limit = time_limit(timeout)
    try:
        out, err = process.communicate(stdin, timeout=limit)
    except subprocess.TimeoutExpired:
        _abandon(process)
        raise AgentError(Answer.FAILED, f"{_shown(argv)} did not end within {limit:.0f} s") from None
    return process.returncode, out, err


def _start(argv: Sequence[str], fds: Iterable[int]) -> subprocess.Popen[str]:
    import subprocess

    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=_environment(),
            pass_fds=tuple(fds),
        )
    except FileNotFoundError:
        raise AgentError(Answer.FAILED, f"{argv[0]} is not installed") from None
    except OSError as error:
        raise AgentError(Answer.FAILED, f"{argv[0]} cannot be run: {error.strerror}") from None


def _abandon(process: subprocess.Popen[str]) -> None:
    """Kill a tool that hangs, and do not wait for one that even this does not end."""
    import subprocess

    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GONE)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def attempt(argv: Sequence[str], *, timeout: Optional[float] = None) -> Optional[str]:
    """Run a tool and return what it printed, or None when it failed."""
    try:
        return run(argv, timeout=timeout)
    except AgentError:
        return None


def find_tool(name: str) -> Optional[str]:
    """Return the path of a tool where `run` finds it; None when it is not installed."""
    paths = (Path(folder, name) for folder in _PATH.split(":"))
    return next((str(path) for path in paths if path.is_file() and os.access(path, os.X_OK)), None)


def _environment() -> dict[str, str]:
    return {"PATH": _PATH, "LANG": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}


def _shown(argv: Sequence[str]) -> str:
    return _without_keys(" ".join(argv[:8])) + (" ..." if len(argv) > 8 else "")


def _without_keys(text: str) -> str:
    """Leave out whatever could be a key, also within a path, which itself is none."""
    return _KEYLIKE.sub(
        lambda found: _WITHIN_PATH.sub("...", found["path"]) if found["path"] else "...", text
    )


def _first_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f": {_without_keys(lines[0])[:300]}" if lines else ""


def io_error(error: OSError) -> AgentError:
    """Turn an error of the operating system into an answer."""
    where = f"{error.filename}: " if error.filename else ""
    reason = f"{where}{error.strerror or error}"
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return AgentError(Answer.NO_SPACE if full else Answer.IO_ERROR, reason)


def write_file(path: Path, content: bytes, mode: int, *, like: Optional[Path] = None) -> None:
    """Give `path` this content and mode in one step that a power loss cannot halve. Raises `OSError`.

    Owner, ACL and attributes are those of the file `like`, else root's.
    """
    with _taking_the_place_of(path) as fresh:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if like is not None:
                owner = like.stat()
                os.fchown(handle, owner.st_uid, owner.st_gid)
                _copy_attributes(like, fresh)
                os.utime(handle)
            os.fchmod(handle, mode)
            os.fsync(handle)


def _copy_attributes(like: Path, path: Path) -> None:
    from shutil import copystat

    copystat(like, path)


def make_folder(path: Path, mode: int) -> None:
    """Make a folder and those above it that are missing, all with this mode whatever the umask is.

    One that exists stays as it is. Raises `OSError`.
    """
    if path.is_dir():
        return
    make_folder(path.parent, mode)
    path.mkdir(exist_ok=True)
    path.chmod(mode)


def replace_link(path: Path, target: str) -> None:
    """Make `path` a symlink to `target` in one step that a power loss cannot halve. Raises `OSError`."""
    with _taking_the_place_of(path) as fresh:
        fresh.symlink_to(target)


@contextlib.contextmanager
def _taking_the_place_of(path: Path) -> Iterator[Path]:
    """Give a name in the same folder; what is made there takes the place of `path`, or is gone."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{random_hex(4)}.new")
    try:
        yield fresh
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder safe from a power loss."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file for root's eyes only. Raises `OSError`."""
    write_file(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode(), 0o600)


def read_json(path: Path) -> Optional[dict[str, Any]]:
    """Read a JSON object; None when there is none or it is damaged."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def random_hex(size: int) -> str:
    """Return so many random bytes in hex."""
    return os.urandom(size).hex()


def remove_tree(path: Path) -> None:
    """Remove a folder and all that is in it, as far as that works; a link in its place stays."""
    if path.is_symlink() or not path.is_dir():
        return
    with contextlib.suppress(OSError):
        for each in list(path.iterdir()):
            if each.is_dir() and not each.is_symlink():
                remove_tree(each)
            else:
                with contextlib.suppress(OSError):
                    each.unlink()
        path.rmdir()


def since_boot() -> float:
    """Return the seconds since boot, those in suspend included: no clock change moves them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return what tells this boot from any other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def log(message: str) -> None:
    """Write a line to the journal, without ever waiting for it. Never pass a secret."""
    send_line(_KEY.sub("...", " ".join(message.split())))
