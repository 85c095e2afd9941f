"""Files of a whole mesh whose keys are readable, and whether what one node sends can be read by another."""

from dataclasses import dataclass, field, replace

from mesh.host.files.wgconf import WgFile, WgPeer
from mesh.host.live.device import Device, Peer, wanted_device
from mesh.host.rotation.devices import next_device, redirected, wg0_device
from mesh.host.rotation.plan import Plan
from mesh.host.rotation.progress import Progress

PORT, NEXT_PORT = 51820, 51821


@dataclass(frozen=True)
class Mesh:
    """Nodes with the generation of their keys; the order is that of addresses."""

    nodes: tuple[tuple[str, int], ...]
    preshared: int = 1
    callers: frozenset[str] = frozenset()  # nobody has an endpoint of theirs
    addresses: dict[str, int] = field(default_factory=dict, hash=False, compare=False)

    def number(self, name: str) -> int:
        return self.addresses.get(name) or 1 + [each for each, _ in self.nodes].index(name)

    def file(self, name: str) -> WgFile:
        generations = dict(self.nodes)
        peers = tuple(
            WgPeer(
                public_key=f"{other}.{generation}",
                preshared=f"psk {'-'.join(sorted((name, other)))}.{self.preshared}",
                allowed_ips=(f"{self.address(other)}/32",),
                endpoint=None if other in self.callers else f"198.51.100.{self.number(other)}:{PORT}",
                keepalive=0,
                name=other,
            )
            for other, generation in self.nodes
            if other != name
        )
        private = f"private {name}.{generations[name]}"
        return WgFile(private, (f"{self.address(name)}/24",), PORT, 1420, peers, NEXT_PORT)

    def address(self, name: str) -> str:
        return f"10.10.0.{self.number(name)}"

    def names(self) -> list[str]:
        return [name for name, _ in self.nodes]

    def without(self, *names: str) -> "Mesh":
        return replace(self, nodes=tuple(each for each in self.nodes if each[0] not in names))


def mesh(*names: str, **generations: int) -> Mesh:
    """Return a mesh of such nodes with first keys, but for some."""
    return Mesh(
        tuple((name, generations.get(name, 1)) for name in names),
        addresses={name: number for number, name in enumerate(names, start=1)},
    )


@dataclass(frozen=True)
class Kernel:
    """What runs on a node: two interfaces, redirects to the second one; `knows` are its file's peers."""

    name: str
    knows: frozenset[str]
    wg0: Device
    next: Device | None
    redirects: frozenset[str]


def kernel_of(name: str, file: WgFile, plan: Plan | None, progress: Progress | None) -> Kernel:
    """Return what is to run on a node by the code under test."""
    knows = frozenset(peer.name for peer in file.peers)
    if plan is None or progress is None:
        return Kernel(name, knows, wanted_device(file), None, frozenset())
    return Kernel(
        name,
        knows,
        wg0_device(file, plan, progress),
        next_device(file, plan, progress),
        redirected(file, plan, progress),
    )


def reached(sender: Kernel, receiver: Kernel, address: str, *, by: str = "") -> str | None:
    """Return which interface of the receiver can read a packet to its address; "wg0", "next", or None.

    It goes as the sender's redirects say, or is bound to an interface (`by`).
    """
    way = by or ("next" if receiver.name in sender.redirects else "wg0")
    device = sender.next if way == "next" else sender.wg0
    if device is None:
        return None
    for public, peer in device.peers.items():
        if f"{address}/32" in peer.allowed_ips:
            for name, other in (("wg0", receiver.wg0), ("next", receiver.next)):
                if other and _reads(device, public, peer, other):
                    return name
    return None


def _reads(device: Device, public: str, peer: Peer, other: Device) -> bool:
    back = other.peers.get(_public(device))
    if back is None or _public(other) != public or back.preshared_key != peer.preshared_key:
        return False
    # By the endpoint's port; or roamed, because the other end calls from there.
    return _port(peer) == other.port or _port(back) == device.port


def _public(device: Device) -> str:
    return (device.private_key or "").removeprefix("private ")


def _port(peer: Peer) -> int:
    return int(peer.endpoint.rpartition(":")[2]) if peer.endpoint else 0
