"""The process beside each running host: boots it, boots it again when it reboots, cleans up after it.

systemd-nspawn runs in a mount namespace of its own, with the host's overlay and a fresh /run in it, so
that whatever ends it takes the mounts along.
"""

import ctypes
import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType
from typing import Final

from lab.hosts.machine import Machine
from lab.hosts.processes import children, start_time
from lab.hosts.router import Router

__all__ = ["remove_stale_cgroups", "supervise"]

_REBOOT: Final = 133  # systemd-nspawn --keep-unit ends with it when the host rebooted
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_POWER_OFF: Final = signal.SIGTERM  # nspawn passes an orderly shutdown on
_CGROUP_ROOTS: Final = (
    Path("/sys/fs/cgroup/systemd"),
    Path("/sys/fs/cgroup/unified"),
    Path("/sys/fs/cgroup"),
)


def supervise(state: Path, image: Path, key: str) -> int:
    """Run one host until it powers off; returns an exit code."""
    router, machine = Router(state), Machine(state / "hosts", key)
    host = _Host(router, machine, image)
    signal.signal(signal.SIGTERM, host.power_off)
    while host.boot() == _REBOOT:
        continue
    machine.running.unlink(missing_ok=True)
    return 0


class _Host:
    def __init__(self, router: Router, machine: Machine, image: Path) -> None:
        self._router = router
        self._machine = machine
        self._image = image
        self._process: subprocess.Popen[bytes] | None = None
        self._off = False

    def power_off(self, _signal: int, _frame: FrameType | None) -> None:
        """Shut the host down in an orderly way."""
        self._off = True
        if self._process is not None:
            self._process.send_signal(_POWER_OFF)

    def boot(self) -> int:
        """Boot once; returns nspawn's exit code when the host is down again."""
        machine, router = self._machine, self._router
        router.detach(machine.link)
        cgroups = _own_cgroups(f"{router.id}-{machine.key}")
        with machine.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent  # noqa: PLW1509
            )  # fmt: skip
        self._connect()
        code = self._process.wait()
        router.detach(machine.link)
        _remove_cgroups(cgroups)
        return 0 if self._off else code

    def _command(self) -> list[str]:
        machine = self._machine
        mount = f"lowerdir={self._image},upperdir={machine.disk},workdir={machine.work}"
        nspawn = [
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe"),
            *("--bind=/dev/net/tun", "--capability=CAP_NET_ADMIN", "--capability=CAP_NET_RAW"),
            *("--resolv-conf=off", "--timezone=off", "--link-journal=no"),
            *(f"--network-veth-extra={machine.link}:eth0", f"--machine={self._router.id}-{machine.key}"),
            f"--directory={machine.root}",
        ]
        script = (
            "mount -t tmpfs -o mode=0755 tmpfs /run && mkdir -p /run/systemd && "
            f"mount -t overlay overlay -o {shlex.quote(mount)} {shlex.quote(str(machine.root))} && "
            f"exec {shlex.join(nspawn)}"
        )
        return [
            *("nsenter", f"--net={self._router.namespace_path}"),
            *("unshare", "--mount", "--propagation=private", "sh", "-c", script),
        ]

    def _connect(self) -> None:
        """Wait for the host's link and first process, connect the one and record the other."""
        assert self._process is not None
        address = self._machine.spec()["address"]
        connected = address is None
        while self._process.poll() is None:
            if not connected:
                connected = self._router.attach(self._machine.link, address)
            first = children(self._process.pid)
            if connected and first:
                self._record(first[0])
                return
            time.sleep(0.02)

    def _record(self, leader: int) -> None:
        value = {
            "pid": os.getpid(),
            "started": start_time(os.getpid()),
            "leader": leader,
            "leader_started": start_time(leader),
        }
        fresh = self._machine.running.with_suffix(".new")
        fresh.write_text(json.dumps(value))
        fresh.rename(self._machine.running)


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _own_cgroups(name: str) -> list[Path]:
    """Move into fresh cgroups, as two hosts in one would take each other's for theirs.

    In the hybrid layout systemd-nspawn uses both of systemd's hierarchies under the same name.
    """
    made = []
    for root in _CGROUP_ROOTS:
        if (root / "cgroup.procs").exists():
            folder = root / name
            folder.mkdir(exist_ok=True)
            (folder / "cgroup.procs").write_text(str(os.getpid()))
            made.append(folder)
    return made


def _remove_cgroups(folders: list[Path]) -> None:
    """Leave the cgroups and remove them with all that the host made in them."""
    for folder in folders:
        (folder.parent / "cgroup.procs").write_text(str(os.getpid()))
        _rmtree(folder)


def _rmtree(folder: Path) -> None:
    for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        _rmdir(inner)
    _rmdir(folder)


def _rmdir(folder: Path) -> None:
    for _ in range(100):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # processes of the host are still on their way out
            time.sleep(0.02)
        else:
            return


def remove_stale_cgroups(pattern: str) -> None:
    """Remove what supervisors that were killed could not; `pattern` is a file name pattern."""
    for root in _CGROUP_ROOTS:
        for folder in root.glob(pattern):
            _rmtree(folder)
