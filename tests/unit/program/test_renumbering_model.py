"""Runs that fail, are killed or are taken back while addresses inside the mesh change: names always work."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from itertools import permutations
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from mesh.host.files.document import FIREWALL, HOSTS, WG_CONF, Document, parse_document
from mesh.host.files.wgconf import WgFile
from mesh.plan import MeshPlan
from mesh.plan.held import with_held
from mesh.program.renumbering import plan_renumbering
from mesh.render import Moving, read_doors, render_document
from mesh.review.evaluate import Firewall
from mesh.review.rules import Packet
from tests.examples import examples
from tests.unit.meshes import MANAGEMENT, facts_of, key_names_of, plan_of

NAMES = ("a", "b", "c")
Connection = tuple[str, str, str, str]
"""Client and its address, server and its address."""


@dataclass
class World:
    """Three nodes with the files that they have, and those that the state has of each.

    A node that was out is a member again once a run has given it new files, and has not been killed. `out`
    are the nodes that the directory of the last run does not have; a run writes the directory first.
    """

    members: set[str] = field(default_factory=set)
    out: set[str] = field(default_factory=set)
    has: dict[str, str] = field(default_factory=dict)
    recorded: dict[str, str] = field(default_factory=dict)


def _plan(wish: Any) -> MeshPlan:
    cidr, hosts, cidr6, policy, out = wish
    nodes: dict[str, Any] = {
        name: {"address": f"{cidr.rsplit('.', 1)[0]}.{number + 10 * host}"}
        for number, (name, host) in enumerate(zip(NAMES, hosts, strict=True), start=1)
    }
    if out:
        nodes["c"]["enabled"] = False
    mesh: dict[str, Any] = {"cidr": cidr, "nodes": nodes}
    if cidr6:
        mesh["cidr6"] = cidr6
    if policy:
        mesh["policy"] = [{"from": ["all"], "to": ["all"], "allow": ["tcp/5432"]}]
    return plan_of(mesh)


def _run(world: World, plan: MeshPlan, fates: list[str]) -> None:
    """One `up`; `fates` are those of its steps: `killed` ends it, with the step done and not recorded."""
    committed = {name: read_doors(text) for name, text in world.recorded.items()}
    renumbering = plan_renumbering(plan, committed, world.out)
    world.out = {name for name, node in plan.nodes.items() if not node.enabled}
    plan = with_held(plan, renumbering.held)
    facts, done = facts_of(plan), set[str]()
    for fate, (name, node) in zip(fates, plan.nodes.items(), strict=True):
        if not node.enabled:
            world.members.discard(name)
            continue
        if fate == "fails" and world.has:
            continue
        world.has[name] = render_document(
            node,
            facts,
            key_names_of(node),
            management_key=MANAGEMENT,
            moving=Moving(leads=renumbering.leads),
        )
        if fate == "killed":
            return
        world.recorded[name] = world.has[name]
        done.add(name)
    world.members |= done


def _read(world: World) -> dict[str, Document]:
    return {name: parse_document(text.encode()) for name, text in world.has.items()}


def _named(document: Document, name: str) -> list[str]:
    lines = (line.split() for line in document.files[HOSTS].splitlines())
    return [address for address, called in lines if called == name]


def _by_name(documents: dict[str, Document]) -> Iterator[Connection]:
    """What programs begin by name, from the address that the kernel would take: the first of the network.

    Of nodes that have each other as peers.
    """
    for one, other in permutations(documents, 2):
        if not (_is_peer(documents[one], other) and _is_peer(documents[other], one)):
            continue
        for target in _named(documents[one], other):
            yield one, _source(documents[one].wg, ip_address(target)), other, target


def _source(file: WgFile, target: IPv4Address | IPv6Address) -> str:
    own = _interfaces(file)
    return str(next((each.ip for each in own if target in each.network), own[0].ip))


def _interfaces(file: WgFile) -> list[IPv4Interface | IPv6Interface]:
    return [ip_interface(each) for each in file.addresses]


def _first(document: Document, version: int) -> str | None:
    """From where a node sends to networks behind others: its first address of the family."""
    own = (each for each in _interfaces(document.wg) if each.version == version)
    return next((str(each.ip) for each in own), None)


def _unknown(documents: dict[str, Document]) -> list[tuple[str, str, str]]:
    """The nodes that send to networks behind another one from an address that this one does not take."""
    return [
        (one, first, other)
        for one, other in permutations(documents, 2)
        if _is_peer(documents[one], other) and _is_peer(documents[other], one)
        for version in (4, 6)
        if _first(documents[other], version) and (first := _first(documents[one], version))
        if not _sends(documents[other], one, first)
    ]


def _works(documents: dict[str, Document], connection: Connection) -> bool:
    """Whether the packets of a connection get from one node to the other, and are let in."""
    one, source, other, target = connection
    sender, receiver = documents[one], documents[other]
    asked = Packet(interface="wg0", source=ip_address(source), target=ip_address(target))
    firewall = Firewall(receiver.files[FIREWALL])
    return (
        _has(sender.wg, source)
        and _has(receiver.wg, target)
        and _sends(sender, other, target)
        and _sends(receiver, one, source)
        and firewall.let_in(asked).lets("tcp", 5432)
    )


def _has(file: WgFile, address: str) -> bool:
    return any(str(each.ip) == address for each in _interfaces(file))


def _is_peer(document: Document, other: str) -> bool:
    return other in read_doors(document.files[WG_CONF]).allowed


def _sends(document: Document, other: str, address: str) -> bool:
    """Whether a node sends packets to an address to this peer."""
    doors = read_doors(document.files[WG_CONF])
    return address in doors.allowed.get(other, ())


def _repeated(runs: list[list[str]]) -> list[list[str]]:
    """A run that was killed is done again before anything else is wished (docs/renumbering.md)."""
    killed = any("killed" in fates for fates in runs)
    return [*runs, ["done"] * 3] if killed else runs


FATES = st.lists(st.sampled_from(["done", "done", "fails", "killed"]), min_size=3, max_size=3)
WISH = st.tuples(
    st.sampled_from(["10.10.0.0/24", "10.20.0.0/24", "10.10.0.0/16"]),
    st.tuples(*[st.integers(0, 1)] * 3),
    st.sampled_from([None, "fd00:10::/64", "fd00:20::/64"]),
    st.booleans(),
    st.booleans(),
)


# A node that failed twice knows nothing of another one that was out, and has another address now.
_BACK_ELSEWHERE: Any = [
    (("10.10.0.0/24", (0, 0, 0), None, False, True), [["done", "fails", "done"]]),
    (("10.10.0.0/24", (1, 0, 1), None, False, False), [["fails", "done", "done"]]),
]

# A node that was out counts as one of the mesh since a run that was killed before it reached that node.
_BACK_AND_KILLED: Any = [
    (("10.10.0.0/24", (0, 1, 0), None, False, True), [["done"] * 3] * 3),
    (("10.10.0.0/24", (0, 0, 0), None, False, False), [["killed", "done", "done"]] * 2),
]


# The same in the run that takes a former address away: a node with old files calls another one there.
_BACK_AT_THE_END: Any = [
    (("10.10.0.0/24", (0, 1, 0), None, False, True), [["done"] * 3] * 2),
    (
        ("10.10.0.0/24", (0, 1, 1), None, False, False),
        [["fails", "killed", "done"], ["killed", "done", "done"]],
    ),
]
_BACK_AT_THE_END_AND_KILLED_FIRST: Any = [
    (("10.10.0.0/24", (0, 1, 0), None, False, True), [["done"] * 3] * 2),
    (
        ("10.10.0.0/24", (0, 1, 0), None, False, False),
        [["killed", "done", "done"], ["fails", "done", "done"]],
    ),
]


# A node whose run failed still calls another one at a former address, and so from its own former address.
_TAKEN_BACK: Any = [
    (("10.20.0.0/24", (0, 0, 0), None, False, False), [["done"] * 3] * 2),
    (("10.10.0.0/24", (0, 0, 1), None, False, False), [["done"] * 3, ["done", "fails", "done"]]),
]


@examples(0.3)
@example(wishes=_TAKEN_BACK)
@example(wishes=_BACK_ELSEWHERE)
@example(wishes=_BACK_AND_KILLED)
@example(wishes=_BACK_AT_THE_END)
@example(wishes=_BACK_AT_THE_END_AND_KILLED_FIRST)
@given(wishes=st.lists(st.tuples(WISH, st.lists(FATES, min_size=1, max_size=4)), min_size=1, max_size=2))
def test_whatever_becomes_of_runs_names_lead_to_addresses_that_work(wishes: list[Any]) -> None:
    world = World()
    _run(world, _plan(("10.10.0.0/24", (0, 0, 0), None, False, False)), ["done"] * 3)
    for wish, runs in [
        *wishes,
        (("10.30.0.0/24", (0, 0, 0), "fd00:30::/64", True, False), [["done"] * 3] * 5),
    ]:
        plan = _plan(wish)
        for fates in _repeated(runs):
            _run(world, plan, fates)
            members = {name: each for name, each in _read(world).items() if name in world.members}
            for connection in _by_name(members):
                goes = wish[2] is None and ":" in connection[1]
                assert goes or _works(members, connection), connection
    assert set(_by_name(_read(world))) == {
        (one, f"{net}{NAMES.index(one) + 1}", other, f"{net}{NAMES.index(other) + 1}")
        for one, other in permutations(NAMES, 2)
        for net in ("10.30.0.", "fd00:30::")
    }
    assert world.has == {
        name: render_document(node, facts_of(plan), key_names_of(node), management_key=MANAGEMENT)
        for name, node in plan.nodes.items()
    }, "something of former addresses is left"
