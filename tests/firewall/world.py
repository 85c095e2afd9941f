"""A node, the internet, the mesh and a container, each a network namespace; packets through a real ruleset.

The node's `wg0` is a plain link here: rules match interfaces by name, and what the tunnel itself promises
(who sends from which address) is played by the mesh's namespace, which may send from any.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PLAYER: Final = Path(__file__).with_name("player.py")

NODE_PUBLIC, NODE_MESH, NODE_BRIDGE = "198.51.100.1", "10.10.0.11", "172.17.0.1"
NODE_PUBLIC6, OUTSIDE6 = "2001:db8:1::1", ("2001:db8:2::5", "2001:db8:3::5")
NODE_MESH6, PEERS6 = "fd00:10::11", ("fd00:10::1", "fd00:10::2", "fd00:10::3")
PEER6: Final = PEERS6[0]
PEERS: Final = ("10.10.0.1", "10.10.0.2", "10.10.0.3")
PEER_ENDPOINT, OFFICE, STRANGER = "192.0.0.1", "203.0.113.5", "198.51.100.66"
NEXT_HOP: Final = "172.31.1.1"
"""A private address outside, as the gateway of a cloud has."""
METADATA: Final = "169.254.169.254"
CONTAINER: Final = "172.17.0.2"


@dataclass(frozen=True)
class Knock:
    """One attempt: protocol, source address, destination address and port (or ICMP type), from which port
    (0: any), as which user.
    """

    protocol: str
    source: str
    target: str
    port: int
    uid: int = 0
    sport: int = 0


# Asks for all entries of the table of connections to be deleted (linux/netfilter/nfnetlink_conntrack.h,
# IPCTNL_MSG_CT_DELETE without attributes) and checks the answer's error number.
_FORGET_CONNECTIONS: Final = """
import socket, struct
asked = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
asked.send(struct.pack("=IHHIIBBH", 20, 0x102, 5, 1, 0, 0, 0, 0))
assert struct.unpack_from("=i", asked.recv(4096), 16) == (0,)
"""


class Place:
    """A namespace, and the process that keeps it; it ends with this one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._keeper = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "unshare",
                "--net",
                sys.executable,
                "-S",
                str(_PLAYER),
                "keep",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "ready\n"

    @property
    def pid(self) -> int:
        return self._keeper.pid

    def argv(self, *words: str) -> list[str]:
        return ["nsenter", "--target", str(self.pid), "--net", "--", *words]

    def run(self, *words: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(self.argv(*words), input=stdin, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def ip(self, *lines: str) -> None:
        self.run("ip", "-batch", "-", stdin="".join(f"{line}\n" for line in lines))

    def player(self, command: str, value: Any) -> Any:
        return json.loads(self.run(sys.executable, "-S", str(_PLAYER), command, stdin=json.dumps(value)))

    def knock(self, knocks: Sequence[Knock]) -> list[bool]:
        """Whether each attempt got through: by any answer, a reset too; not by silence or an ICMP error."""
        answers: list[bool] = self.player("knock", [vars(knock) for knock in knocks])
        return answers

    def end(self) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait()


@dataclass(frozen=True)
class World:
    node: Place
    outside: Place
    mesh: Place
    container: Place

    def load(self, ruleset: str) -> None:
        """Have these rules in force, without the connections that another test opened."""
        self.node.run("nft", "-f", "-", stdin=ruleset)
        self.node.run(sys.executable, "-S", "-c", _FORGET_CONNECTIONS)

    @contextlib.contextmanager
    def listening(self, ports: Sequence[int], place: Place | None = None) -> Iterator["Heard"]:
        """A UDP echo on these ports, and a note of every packet that reached its sockets."""
        process = subprocess.Popen(
            (place or self.node).argv(sys.executable, "-S", str(_PLAYER), "listen"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(list(ports)) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        heard = Heard()
        try:
            yield heard
        finally:
            process.stdin.close()
            heard.packets += [tuple(entry) for entry in json.loads(process.stdout.read())]
            process.wait()

    def segment_sizes(self, source: Place, target: Place, address: str) -> tuple[int, int]:
        """Open a TCP connection; the largest segments its client and its server will send."""
        server = subprocess.Popen(
            target.argv(sys.executable, "-S", str(_PLAYER), "accept"), stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        client: int = source.player("dial", address)
        with server.stdout:
            return client, int(server.stdout.read())


class Heard:
    """The packets a listener got, as (source, port); complete when the listener has ended."""

    def __init__(self) -> None:
        self.packets: list[tuple[str, int]] = []


@contextlib.contextmanager
def world() -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        places = []
        for name in ("node", "outside", "mesh", "container"):
            place = Place(name)
            stack.callback(place.end)
            places.append(place)
        built = World(*places)
        _link(built)
        yield built


def _link(world: World) -> None:
    node, outside, mesh, container = world.node, world.outside, world.mesh, world.container
    for place in (node, outside, mesh, container):
        place.ip("link set lo up")
    node.ip(
        f"link add eth0 type veth peer name eth0 netns {outside.pid}",
        f"link add wg0 mtu 1420 type veth peer name wg0 netns {mesh.pid}",
        f"link add docker0 type veth peer name eth0 netns {container.pid}",
        *(
            f"address add {address} dev {device}"
            for address, device in (
                (f"{NODE_PUBLIC}/32", "eth0"),
                (f"{NODE_MESH}/24", "wg0"),
                (f"{NODE_BRIDGE}/16", "docker0"),
            )
        ),
        f"address add {NODE_PUBLIC6}/64 dev eth0 nodad",
        f"address add {NODE_MESH6}/64 dev wg0 nodad",
        *(f"link set {device} up" for device in ("eth0", "wg0", "docker0")),
        "route add default dev eth0",
        "route add ::/0 dev eth0",
    )
    outside.ip(
        "link set eth0 up",
        *(
            f"address add {address}/32 dev eth0"
            for address in (
                PEER_ENDPOINT,
                OFFICE,
                STRANGER,
                METADATA,
                NEXT_HOP,
                PEERS[0],
                "10.10.0.250",
            )
        ),
        *(f"address add {address}/128 dev eth0 nodad" for address in (*OUTSIDE6, "fd00:10::250")),
        f"route add {NODE_PUBLIC} dev eth0",
        f"route add {NODE_MESH} dev eth0",
        f"route add {PEERS[1]} via {NODE_PUBLIC}",
        f"route add {NODE_PUBLIC6} dev eth0",
        # who has an address is asked on its own link only
        f"route add {NODE_MESH6} via {NODE_PUBLIC6} dev eth0",
    )
    mesh.ip(
        "link set wg0 mtu 1500 up",
        *(f"address add {address}/32 dev wg0" for address in (*PEERS, "10.99.0.1")),
        f"route add default via {NODE_MESH} dev wg0 onlink",
        *(f"address add {address}/64 dev wg0 nodad" for address in (*PEERS6, "fd00:11::1")),
        f"route add ::/0 via {NODE_MESH6} dev wg0",
    )
    container.ip(
        "link set eth0 up", f"address add {CONTAINER}/16 dev eth0", f"route add default via {NODE_BRIDGE}"
    )
    node.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
    for key in ("all", "eth0", "wg0", "docker0"):
        node.run("sh", "-c", f"echo 0 >/proc/sys/net/ipv4/conf/{key}/rp_filter")
