"""An SSH connection to a node, pinned to the host key the stack knows.

Nothing of the user's own SSH setup plays a part. The key lies in a file while ssh runs, in memory if there is
some; ssh ends with this process, and the file goes, also if this process is killed.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from mesh.cli.outputs import node_of
from mesh.outputs import MeshOutputs, NodeOutputs

__all__ = ["ssh"]

# Seconds until a node that does not answer is given up: as the other commands do (mesh/calls/nodes.py).
_CONNECT_SECONDS: Final = 10
# Seconds of silence after which the node is asked for a sign of life; three without one end the session.
_KEEPALIVE_SECONDS: Final = 10
# Seconds for ssh to end when it is asked to.
_PARTING_SECONDS: Final = 2
_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)
# prctl(2).
_SET_DEATH_SIGNAL: Final = 1

# `-F none` leaves out the files of user and system; what is said here also holds for a client that was built
# with other defaults.
_OPTIONS: Final = {
    "IdentitiesOnly": "yes",
    "IdentityAgent": "none",
    "PreferredAuthentications": "publickey",
    "StrictHostKeyChecking": "yes",
    "GlobalKnownHostsFile": "/dev/null",
    "UpdateHostKeys": "no",
    "CanonicalizeHostname": "no",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ControlMaster": "no",
    "ControlPath": "none",
    "ProxyCommand": "none",
    "PermitLocalCommand": "no",
    "ConnectTimeout": str(_CONNECT_SECONDS),
    "ServerAliveInterval": str(_KEEPALIVE_SECONDS),
    "ServerAliveCountMax": "3",
}
# Waits until the one who started it is gone, however that came, and takes the folder away.
_CARETAKER: Final = 'trap "" HUP INT QUIT TERM; cat >/dev/null; rm -rf -- "$1"'


def ssh(mesh: MeshOutputs, name: str, command: Sequence[str]) -> int:
    """Open a shell on a node, or run `command` there; returns ssh's exit code.

    Ended by a signal, it returns 128 and the signal's number, as a shell does.
    """
    node = node_of(mesh, name)
    try:
        with _told_to_end(), _folder() as folder:
            key, known_hosts = folder / "key", folder / "known_hosts"
            key.touch(mode=0o600)
            key.write_text(mesh.ssh_private_key)
            known_hosts.write_text(f"{_host(node)} {node.host_key}\n")
            options = {**_OPTIONS, "UserKnownHostsFile": str(known_hosts)}
            words = [
                *("ssh", "-F", "none", "-i", str(key), "-p", str(node.ssh_port)),
                *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
                f"root@{node.public_ip}",
                *command,
            ]
            code = _run(words)
            return code if code >= 0 else 128 - code
    except _EndError as end:
        return 128 + end.number


class _EndError(Exception):
    """This process is told to end by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextlib.contextmanager
def _told_to_end() -> Iterator[None]:
    """Turn the signals that end a process into `_EndError`, so that everything is put away first."""

    def told(number: int, _frame: FrameType | None) -> None:
        for each in _ENDS:
            signal.signal(each, signal.SIG_IGN)
        raise _EndError(number)

    former = {number: signal.signal(number, told) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make a private folder, which is gone afterwards in any case."""
    with tempfile.TemporaryDirectory(prefix="wgmesh-ssh-", dir=_memory(), ignore_cleanup_errors=True) as name:
        caretaker = subprocess.Popen(
            ["sh", "-c", _CARETAKER, "sh", name], stdin=subprocess.PIPE, start_new_session=True
        )
        try:
            yield Path(name)
        finally:
            caretaker.communicate()


def _run(words: Sequence[str]) -> int:
    """Run ssh until it ends, or this process is told to end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
    ending = _end_with(os.getpid())
    process = subprocess.Popen(words, env=environment, preexec_fn=ending)  # noqa: PLW1509 - one thread only
    try:
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # ssh has it, too, and decides
                return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PARTING_SECONDS)
            process.kill()
            process.wait()


def _end_with(parent: int) -> Callable[[], None]:
    """Return what the child does before it runs: have the kernel end it with its parent (on Linux)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", lambda *_arguments: None)

    def prepare() -> None:
        prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _host(node: NodeOutputs) -> str:
    """The node as known_hosts names it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    return node.public_ip if node.ssh_port == 22 else f"[{node.public_ip}]:{node.ssh_port}"


def _memory() -> str | None:
    """A folder in memory where there is one, so that the key never reaches a disk."""
    shm = "/dev/shm"  # noqa: S108 - the folder made in it is private
    return shm if os.access(shm, os.W_OK) else None
