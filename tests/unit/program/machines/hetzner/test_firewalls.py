from mesh.program.machines.hetzner.firewalls import firewall_of
from tests.unit.meshes import THREE, plan_of


def test_nodes_with_the_same_public_ports_share_a_cloud_firewall() -> None:
    plan = plan_of(THREE)
    assert {name: firewall_of(node) for name, node in plan.nodes.items()} == {
        "web-1": "tcp80-tcp443",
        "web-2": "tcp80-tcp443",
        "db-1": "private",
    }


def test_a_firewall_of_many_ports_has_a_short_name_of_its_own() -> None:
    many = [f"tcp/{port}" for port in range(8000, 8040, 2)]
    nodes = {
        "a": {"address": "10.10.0.1", "public": many},
        "b": {"address": "10.10.0.2", "public": many[:-1]},
    }
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": nodes})
    names = {firewall_of(node) for node in plan.nodes.values()}
    assert len(names) == 2
    assert max(len(name) for name in names) <= 48
