"""Namespaces of network in the place of hosts: quick, and without any program of a host."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Final

__all__ = ["Space"]

_KNOCK: Final = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1)
except ConnectionRefusedError:
    pass
"""
_ACCEPT: Final = """
import socket
with socket.create_server(("", 5000)) as server:
    print("ready", flush=True)
    connection, _ = server.accept()
    print(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG), flush=True)
"""
_CONNECT: Final = "import socket, sys; socket.create_connection((sys.argv[1], 5000), timeout=5).close()"
# Tells everybody who connects by which address they are seen.
_LISTEN: Final = """
import select, socket, sys
found = [socket.create_server(("", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
while True:
    for each in select.select(found, [], [])[0]:
        connection, (address, _) = each.accept()
        connection.sendall(address.encode())
        connection.close()
"""
_SEEN: Final = """
import socket, sys
address, port, *own = sys.argv[1:]
source = (own[0], 0) if own else None
with socket.create_connection((address, int(port)), timeout=2, source_address=source) as connection:
    print(connection.recv(100).decode())
"""


class Space:
    """A namespace of network and of `/run`, which ends with its first process."""

    def __init__(self) -> None:
        script = "mount -t tmpfs none /run && mkdir /run/wireguard && echo ready && exec cat"
        self._keeper = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "sh", "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "ready\n"
        self._started: list[subprocess.Popen[str]] = []
        # Until a link is sure that nobody else has its IPv6 address, 1 to 2 s, nothing is passed on there.
        self.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        return self._keeper.pid

    def argv(self, *words: str) -> list[str]:
        return ["nsenter", "--target", str(self.pid), "--net", "--mount", "--", *words]

    def run(self, *words: str, stdin: str = "") -> str:
        done = subprocess.run(self.argv(*words), input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def works(self, *words: str) -> bool:
        return subprocess.run(self.argv(*words), capture_output=True, check=False).returncode == 0

    def start(self, *words: str, errors: int | IO[str] = subprocess.DEVNULL) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            self.argv("setpriv", "--pdeathsig", "KILL", *words),
            stdout=subprocess.PIPE, text=True,
            stderr=errors,  # where wireguard-go advises to take the kernel's
        )  # fmt: skip
        self._started.append(process)
        return process

    @contextlib.contextmanager
    def serving(self, code: str, *words: str) -> Iterator[IO[str]]:
        """Run Python code that says `ready` once it listens; gives what it says after that."""
        process = self.start(sys.executable, "-S", "-u", "-c", code, *words)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process.stdout
        finally:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def listening(self, *ports: int) -> Iterator[None]:
        """Take TCP connections on these ports."""
        with self.serving(_LISTEN, *map(str, ports)):
            yield

    def seen_as(self, address: str, port: int, *own: str) -> str | None:
        """Return by which address somebody who listens sees this space; None without a connection.

        The connection comes from its `own` address where one is given.
        """
        argv = self.argv(sys.executable, "-S", "-c", _SEEN, address, str(port), *own)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout.strip() or None

    def answers_on(self, address: str, port: int) -> bool:
        """Whether a TCP connection from here gets an answer: also a refusal, where nobody listens."""
        return self.works(sys.executable, "-S", "-c", _KNOCK, address, str(port))

    def segment_to(self, server: "Space", address: str) -> int:
        """Return the size of TCP segments, in bytes, that a connection from here agrees on."""
        with server.serving(_ACCEPT) as said:
            self.run(sys.executable, "-S", "-c", _CONNECT, address)
            return int(said.readline())

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        self._keeper.kill()
        self._keeper.wait()
