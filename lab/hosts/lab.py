"""All hosts of one state folder, and the network between them."""

import fcntl
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final, Literal

from lab.hosts import cgroups
from lab.hosts.errors import HostError, run
from lab.hosts.image import image_path
from lab.hosts.machine import HostSpec, Machine
from lab.hosts.nat import Nat
from lab.hosts.private import Interface, PrivateNetwork, PrivateNetworks, stale
from lab.hosts.router import Router, Rule
from lab.processes import end, is_alive, start_time

__all__ = ["Lab"]

_BOOT_SECONDS: Final = 30  # until the first process runs; it takes a tenth of a second
_SHUTDOWN_SECONDS: Final = 20  # as long as a cloud waits for an orderly shutdown before it cuts the power
_BUS_TRIES: Final = 100  # a fifth of a second apart; a busy machine boots a host in a few seconds
_HTTP: Final = 80
_INOTIFY_LIMIT: Final = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_OF_HOST: Final = 4  # systemd has 3, D-Bus one; without them a host hangs half booted
_LOGIN: Final = (
    "SHELL=$(getent passwd root | cut -d: -f7); SSH_CLIENT='127.0.0.1 0 22'; USER=root; LOGNAME=root; cd; "
    'unset SHLVL; export SHELL SSH_CLIENT USER LOGNAME; exec "$SHELL" -c "$1"'
)
_GROUPS_OF_HOSTS: Final = "wgl*-*"  # of every lab on this machine: its root user's limit counts them all

State = Literal["running", "off"]


class Lab:
    """The hosts under `state_dir`; `image_dir` holds the images. Nothing happens until `up`.

    Every method may be called from several threads and processes at once.
    """

    def __init__(self, state_dir: Path, image_dir: Path) -> None:
        self._state = state_dir.resolve()
        self._images = image_dir.resolve()
        self._hosts = self._state / "hosts"
        self._router = Router(self._state)
        self._networks = PrivateNetworks(self._state, self._router)

    @property
    def pool(self) -> IPv4Network:
        """The /24 of public addresses; the first usable one belongs to this machine."""
        return self._router.pool

    @property
    def pool6(self) -> IPv6Network:
        """The /56 of public IPv6 networks; the first of them belongs to this machine."""
        return self._router.pool6

    def up(self) -> None:
        """Make the network; clean up what a run that was killed left of it."""
        for machine in self.machines():
            with self._locked(machine):
                if self._running(machine) is None:
                    self._kill(machine)
                if not machine.exists:  # its creation was cut short
                    machine.destroy()
        self._router.up()
        self._networks.up()
        self._enforce()
        if self._nats():
            self._router.set_nats(self._nats)

    def down(self) -> None:
        """Stop every host at once and remove the network; hosts keep their disks."""
        for machine in self.machines():
            with self._locked(machine):
                self._kill(machine)
        self._end_supervisors()
        cgroups.end_all(f"{self._router.id}-*")
        self._networks.down()
        self._router.down()

    def machines(self) -> list[Machine]:
        """Return every host there is, in the order of their keys."""
        if not self._hosts.exists():
            return []
        found = (
            Machine(self._hosts, folder.name) for folder in sorted(self._hosts.iterdir()) if folder.is_dir()
        )
        return [machine for machine in found if machine.folder.exists()]

    def create(self, spec: HostSpec) -> None:
        """Make a host's disk and seed; does not boot it."""
        self._image(spec.image, spec.hostname)
        machine = Machine(self._hosts, spec.key)
        self._hosts.mkdir(parents=True, exist_ok=True)
        with self._locked(machine):
            if machine.exists:
                raise HostError(f"{spec.hostname}: a host with the key {spec.key} already exists")
            machine.create(spec)

    def start(self, key: str) -> None:
        """Boot a host; returns when its first process runs. A host that runs is left alone."""
        machine = self._machine(key)
        with self._locked(machine):
            if self._running(machine):
                return
            self._kill(machine)  # a supervisor that was killed may have left its host behind
            image = self._image(machine.spec()["image"], machine.key)
            _refuse_too_many(key)
            with machine.log.open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, *self._supervise, "--root", str(image), key],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    cwd=Path(__file__).parents[2],
                )  # fmt: skip
            self._await_boot(machine, process)

    def refuse_image(self, name: str) -> None:
        """Refuse an image that is not built. Raises `HostError`."""
        self._image(name, "rebuild")

    def _image(self, name: str, where: str) -> Path:
        image = image_path(self._images, name)
        if not image.exists():
            raise HostError(
                f"host {where}: its image {name!r} is not in {self._images}; build it with "
                f"`python -m lab.hosts image --directory {self._images} --name {name}`"
            )
        return image

    def _await_boot(self, machine: Machine, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _BOOT_SECONDS
        while time.monotonic() < deadline:
            if machine.running.exists():
                return
            if process.poll() is not None:
                break
            time.sleep(0.02)
        self._kill(machine)
        process.wait()
        tail = machine.log.read_text(errors="replace").strip()[-400:]
        raise HostError(f"host {machine.key} does not boot; the end of {machine.log}: {tail}")

    def stop(self, key: str, *, graceful: bool = True) -> None:
        """Shut a host down, or cut its power. It is off when this returns."""
        machine = self._machine(key)
        with self._locked(machine):
            running = self._running(machine)
            if running and graceful:
                end(running["pid"], running["started"], number=signal.SIGTERM, wait=_SHUTDOWN_SECONDS)
            self._kill(machine)

    def destroy(self, key: str) -> None:
        """Cut a host's power and remove all of it; a host that is not there is fine."""
        machine = Machine(self._hosts, key)
        if machine.folder.exists():
            with self._locked(machine) as lock:
                self._kill(machine)
                machine.destroy()
                lock.unlink(missing_ok=True)
        if self._router.exists:
            self._enforce()

    def states(self) -> dict[str, State]:
        """Return what every host really does."""
        return {m.key: "running" if self._running(m) else "off" for m in self.machines() if m.exists}

    def readdress(self, key: str, address: str | None, network6: str | None = None) -> None:
        """Give a host that is off other public addresses."""
        machine = self._machine(key)
        with self._locked(machine):
            if self._running(machine):
                raise HostError(f"host {key} runs; stop the host before you change its address")
            machine.set_addresses(address, network6)

    def set_firewall(self, key: str, rules: Sequence[Rule] | None) -> None:
        """Enforce a cloud firewall on the way to and from a host; None removes it."""
        machine = self._machine(key)
        with self._locked(machine):
            machine.set_rules(rules)
        self._enforce()

    def set_link_size(self, key: str, size: int) -> None:
        """Let a host's link carry packets of at most `size` bytes, at once and after each boot.

        Larger packets are lost in both directions, and nobody is told. 1500 is what a link has otherwise.
        """
        machine = self._machine(key)
        with self._locked(machine):
            machine.set_link_size(size)
            if self._running(machine):
                self._router.set_link_size(machine.link, size)

    def set_nat(self, key: str, nat: Nat | None) -> None:
        """Put a host behind NAT, or behind another one; None removes it.

        Connections of all hosts are forgotten, as by a router that is switched off and on.
        """
        machine = self._machine(key)
        with self._locked(machine):
            machine.set_nat(nat)
        self._router.set_nats(self._nats)

    def _nats(self) -> dict[str, tuple[str, Nat]]:
        found = {}
        for machine in self.machines():
            nat = machine.nat() if machine.exists else None
            address = machine.spec()["address"] if nat else None
            if nat and address:
                found[machine.link] = (str(address), nat)
        return found

    def set_network(self, key: str, network: PrivateNetwork | None) -> None:
        """Make a private network or change its routes; None removes it."""
        if network is None:
            self._networks.remove(key)
        else:
            self._networks.set(key, network)

    def set_interfaces(self, key: str, interfaces: Sequence[Interface]) -> None:
        """Let a host have these interfaces in private networks, at once where it runs."""
        machine = self._machine(key)
        with self._locked(machine):
            present, running = machine.interfaces(), self._running(machine)
            machine.set_interfaces(interfaces)
            if running is None:
                machine.configure(interfaces)
                return
            gone = stale(present, interfaces)
            fresh = stale(interfaces, present)
            for interface in gone:
                self._networks.unplug(machine.link, interface.network)
            if gone or fresh:
                self._configure(key, interfaces)
            for interface in interfaces:
                if interface in fresh:
                    self._networks.plug(machine.link, interface, running["leader"])
                elif interface not in present:
                    self._networks.set_addresses(machine.link, interface)

    def _configure(self, key: str, interfaces: Sequence[Interface]) -> None:
        """Tell a running host's networkd its private networks."""
        lines = ["set -e", "cd /etc/systemd/network", "rm -f 20-*.network"]
        lines += [f"printf %s {shlex.quote(each.config())} > 20-{each.name}.network" for each in interfaces]
        # a host that boots may not have come to its bus yet
        lines.append(f"for try in $(seq {_BUS_TRIES}); do networkctl reload && exit; sleep 0.2; done")
        run(*self.enter(key, ["sh", "-c", "\n".join([*lines, "exit 1"])]), where=f"host {key}")

    def metadata_listener(self) -> socket.socket:
        """Return a socket on which hosts reach the metadata service."""
        return self._router.listener(_HTTP)

    def _enforce(self) -> None:
        self._router.set_firewalls(lambda: {m.link: m.rules() for m in self.machines() if m.exists})

    def enter(self, key: str, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` inside a running host, as its root user."""
        machine = self._machine(key)
        running = self._running(machine)
        if running is None or not is_alive(running["leader"], running["leader_started"]):
            raise HostError(f"host {key} is off")
        return [
            *("nsenter", "--target", str(running["leader"])),
            *("--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--no-fork"),
            *("env", "-i", "-C", "/", "HOME=/root"),
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            *("setpriv", f"--bounding-set={','.join(_foreign_capabilities(running['leader']))}"),
            # Forks into the host's processes. nsenter's own fork would stop for good when a host that
            # shuts down stops its processes.
            *("sh", "-c", '"$@"; exit $?', "enter"),
            *argv,
        ]

    def login(self, key: str, command: str) -> list[str]:
        """Return the command line that runs `command` in a running host as sshd does: by root's own shell.

        Its start files count, as over SSH (bash reads ~/.bashrc where it sees SSH_CLIENT).
        """
        return self.enter(key, ["sh", "-c", _LOGIN, "login", command])

    def find(self, name: str) -> str:
        """Return the key of the host with this key or first host name. Raises `HostError`."""
        for machine in self.machines():
            if machine.exists and name in {machine.key, machine.spec()["hostname"]}:
                return machine.key
        raise HostError(f"host {name!r} does not exist")

    def _machine(self, key: str) -> Machine:
        machine = Machine(self._hosts, key)
        if not machine.exists:
            raise HostError(f"host {key!r} does not exist")
        return machine

    @contextmanager
    def _locked(self, machine: Machine) -> Iterator[Path]:
        """One change of a host at a time, across processes; yields the lock's file."""
        path = self._hosts / f".{machine.key}.lock"
        while True:
            with path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if _is_at(lock.fileno(), path):  # else it was removed, with its host, while we waited
                    yield path
                    return

    def _running(self, machine: Machine) -> dict[str, Any] | None:
        """Return the record of a running supervisor; None when the host is off."""
        try:
            record: dict[str, Any] = json.loads(machine.running.read_text())
        except FileNotFoundError:
            return None
        return record if is_alive(record["pid"], record["started"]) else None

    def _kill(self, machine: Machine) -> None:
        """Cut the power, and remove what is left of the host outside its folder."""
        self._end_supervisors(machine.key)
        cgroups.end_all(f"{self._router.id}-{machine.key}")
        machine.running.unlink(missing_ok=True)
        self._router.detach(machine.link)

    def _end_supervisors(self, key: str | None = None) -> None:
        """End a host's supervisor (None: every host's), also one that has not written its record yet."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[1:-1]
            except OSError:  # gone meanwhile
                continue
            pid = int(folder.name)
            started = start_time(pid)
            ours = words[:5] == self._supervise and key in {None, words[-1]}
            if ours and started is not None:
                end(pid, started)

    @property
    def _supervise(self) -> list[str]:
        """The first arguments of every supervisor of this lab."""
        return ["-m", "lab.hosts", "supervise", "--state", str(self._state)]


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _refuse_too_many(key: str) -> None:
    limit, hosts = int(_INOTIFY_LIMIT.read_text()), len(cgroups.living(_GROUPS_OF_HOSTS))
    if (hosts + 1) * _INOTIFY_OF_HOST > limit:
        raise HostError(
            f"host {key}: {hosts} hosts already run on this machine, and its {limit} inotify instances are "
            "too few for one more: stop a host, or run `sysctl fs.inotify.max_user_instances=1024`"
        )


def _foreign_capabilities(leader: int) -> list[str]:
    """What this process may do and a host's may not, such as setting the clock, as setpriv drops it."""
    theirs, ours = (_capabilities(pid) for pid in (str(leader), "self"))
    return [f"-cap_{number}" for number in range(64) if ours & ~theirs & (1 << number)]


def _capabilities(pid: str) -> int:
    """Return the bounding set as a mask (proc(5))."""
    status = Path("/proc", pid, "status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")), 16)
