"""Runs that fail, are killed or are taken back at any point, for hours: no node is ever without a door."""

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.plan import MeshPlan
from mesh.program import access as access_module
from mesh.program.access import Access, plan_access
from mesh.program.gates import plan_gates
from mesh.program.keys import ssh_key
from mesh.program.machines.hetzner.firewalls import Firewall, firewall_of, plan_firewalls
from mesh.program.previous import Previous
from mesh.render import Endpoint, read_doors, render_document
from tests.examples import examples
from tests.unit.meshes import MANAGEMENT, facts_of, key_names_of, plan_of

NAMES = ("a", "b", "c")
COMMAND, FIREWALL = "command:remote:Command", "hcloud:index/firewall:Firewall"
KEY = ssh_key()
PUBLIC: tuple[list[str], ...] = ([], ["tcp/80"], ["tcp/443"])


@dataclass
class World:
    """Three nodes as they are, the cloud's firewalls as they are, and what the state has of both."""

    has: dict[str, str] = field(default_factory=dict)
    recorded: dict[str, str] = field(default_factory=dict)
    firewalls: dict[str, Firewall] = field(default_factory=dict)
    behind: dict[str, str] = field(default_factory=dict)
    dialled: dict[str, int] = field(default_factory=dict)

    def previous(self) -> Previous:
        records: dict[tuple[str, str], Any] = {
            (COMMAND, f"{name}-apply"): {
                "stdin": text,
                "triggers": ["1"],
                "connection": {
                    "host": _address(name),
                    "port": self.dialled[name],
                    "privateKey": KEY,
                    "hostKey": "k",
                },
            }
            for name, text in self.recorded.items()
        }
        records |= {(FIREWALL, f"firewall-{name}"): {} for name in self.firewalls}
        return Previous(records=records)

    def doors(self, name: str) -> set[int]:
        """The ports on which somebody outside reaches the node's sshd."""
        gate = self.firewalls[self.behind[name]]
        return set(read_doors(self.has[name]).ssh_ports) & set(gate.ssh_ports)


def _address(name: str) -> str:
    return f"192.0.2.{NAMES.index(name) + 1}"


def _plan(port: int, wireguard: int, public: list[str], *, out: bool) -> MeshPlan:
    nodes: dict[str, dict[str, Any]] = {
        name: {"address": f"10.10.0.{number}"} for number, name in enumerate(NAMES, start=1)
    }
    nodes["a"]["public"] = public
    if out:
        nodes["c"]["enabled"] = False
    return plan_of({"cidr": "10.10.0.0/24", "port": wireguard, "ssh": {"port": port}, "nodes": nodes})


def _name(address: str) -> str:
    return next(name for name in NAMES if _address(name) == address)


def _document(plan: MeshPlan, access: dict[str, Access], name: str) -> str:
    facts = {
        peer: replace(
            each, endpoint=Endpoint(address=ip_address(_address(peer)), port=access[peer].endpoint_port)
        )
        for peer, each in facts_of(plan).items()
    }
    node = plan.nodes[name]
    return render_document(
        node, facts, key_names_of(node), management_key=MANAGEMENT, moving=access[name].moving
    )


def _run(world: World, plan: MeshPlan, fates: list[str]) -> None:
    """One `up`; `fates` are those of its steps: `killed` ends it, with the step done and not recorded."""
    previous = world.previous()
    access = plan_access(plan, previous)
    gates = plan_firewalls(plan_gates(plan, access), previous)
    if fates[0] == "fails":
        return
    world.firewalls |= gates
    for fate, (name, node) in zip(fates[1:], plan.nodes.items(), strict=True):
        known = name in world.has
        if not node.enabled and known:
            continue
        world.behind[name] = firewall_of(node)
        if known:
            # whatever comes of it, the node could be reached
            assert access[name].port in world.doors(name), "the program dials a door that is shut"
        if fate == "fails" and known:
            continue
        world.has[name] = _document(plan, access, name)
        if fate == "killed" and known:
            return
        world.recorded[name], world.dialled[name] = world.has[name], access[name].port
        assert all(world.doors(name) for name in world.has), "a node is behind shut doors"
    for name in set(world.firewalls) - set(gates):
        assert name not in world.behind.values(), "a firewall goes that a server is in"
        del world.firewalls[name]


RUN = st.tuples(
    st.sampled_from([22, 2222, 2200]),
    st.sampled_from([51820, 51821]),
    st.sampled_from(PUBLIC),
    st.booleans(),
    st.lists(st.sampled_from(["done", "done", "fails", "killed"]), min_size=4, max_size=4),
)


@examples(0.2)
@given(runs=st.lists(RUN, min_size=2, max_size=8))
def test_whatever_becomes_of_runs_every_node_can_be_entered(runs: list[Any]) -> None:
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access_module, "answers", lambda host, port: port in world.doors(_name(host)))
        _run(world, _plan(22, 51820, [], out=False), ["done"] * 4)
        for port, wireguard, public, out, fates in runs:
            _run(world, _plan(port, wireguard, public, out=out), fates)
        last = _plan(2222, 51820, [], out=False)
        for _ in range(4):
            _run(world, last, ["done"] * 4)
        assert all(world.doors(name) == {2222} for name in NAMES)
        assert all(read_doors(world.has[name]).ports == (51820,) for name in NAMES)
        assert {gate.ssh_ports for gate in world.firewalls.values()} == {(2222,)}
        assert {gate.ports for gate in world.firewalls.values()} == {(51820,)}
        assert set(world.firewalls) == {"private"}
