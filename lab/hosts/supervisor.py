"""The process beside each running host: boots it, boots it again when it reboots, cleans up after it.

systemd-nspawn runs in a mount namespace of its own, with the host's overlay and a fresh /run in it, so
that whatever ends it takes the mounts along.
"""

import ctypes
import fcntl
import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType
from typing import Final

from lab.hosts import cgroups
from lab.hosts.machine import Machine
from lab.hosts.private import PrivateNetworks
from lab.hosts.router import Router
from lab.processes import children, start_time

__all__ = ["supervise"]

_REBOOT: Final = 133  # systemd-nspawn --keep-unit ends with it when the host rebooted
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_POWER_OFF: Final = signal.SIGTERM  # nspawn passes an orderly shutdown on


def supervise(state: Path, image: Path, key: str) -> int:
    """Run one host until it powers off; returns an exit code."""
    router, machine = Router(state), Machine(state / "hosts", key)
    host = _Host(router, machine, image)
    signal.signal(signal.SIGTERM, host.power_off)
    in_use = os.open(image, os.O_RDONLY)
    fcntl.flock(in_use, fcntl.LOCK_SH)  # a newer recipe does not remove an image under running hosts
    while host.boot() == _REBOOT and not host.off:
        continue
    machine.running.unlink(missing_ok=True)
    return 0


class _Host:
    def __init__(self, router: Router, machine: Machine, image: Path) -> None:
        self._router = router
        self._machine = machine
        self._image = image
        self._networks = PrivateNetworks(machine.folder.parents[1], router)
        self._process: subprocess.Popen[bytes] | None = None
        self.off = False
        """Whether it was told to stay off."""

    def power_off(self, _signal: int, _frame: FrameType | None) -> None:
        """Shut the host down in an orderly way."""
        self.off = True
        if self._process is not None:
            self._process.send_signal(_POWER_OFF)

    def boot(self) -> int:
        """Boot once; returns nspawn's exit code when the host is down again."""
        machine, router = self._machine, self._router
        router.detach(machine.link)
        group = f"{router.id}-{machine.key}"
        cgroups.join(group)
        with machine.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent  # noqa: PLW1509
            )  # fmt: skip
        self._connect()
        code = self._process.wait()
        cgroups.end_all(group)  # whatever ended systemd-nspawn, nothing of the host lives on
        router.detach(machine.link)
        return code

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
        spec, connected = self._machine.spec(), False
        while self._process.poll() is None:
            if not connected:
                connected = self._router.attach(self._machine.link, spec["address"], spec.get("network6"))
                size = self._machine.link_size()
                if connected and size is not None:
                    self._router.set_link_size(self._machine.link, size)
            leader = _leader(self._process.pid)
            if connected and leader is not None:
                for interface in self._machine.interfaces():
                    self._networks.plug(self._machine.link, interface, leader)
                self._record(leader)
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


def _leader(nspawn: int) -> int | None:
    """Return the host's first process: in namespaces and with limits of its own, once it is systemd."""
    ours = Path("/proc/self/ns/pid").readlink()
    for pid in children(nspawn):
        try:
            in_host = Path(f"/proc/{pid}/ns/pid").readlink() != ours
            if in_host and Path(f"/proc/{pid}/exe").readlink() != Path(f"/proc/{nspawn}/exe").readlink():
                return pid
        except OSError:  # a helper of nspawn that is gone already
            continue
    return None


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
