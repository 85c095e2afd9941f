"""What is dialled and what stays open, run by run: ports, firewalls, keys."""

import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from mesh.program import access
from mesh.program.keys import short_ssh_key, ssh_public_line
from mesh.program.moves import new_addresses
from mesh.program.renumbering import plan_renumbering
from mesh.remote import read_secret_input
from tests.unit.meshes import plan_of
from tests.unit.program.recording import Recording, previous_of, run, value_of

STEPS = ("agent-file", "keys", "apply")
SERVER = "hcloud:index/server:Server"


@pytest.fixture(autouse=True)
def answering(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The ports on which any node answers while the program knocks."""
    ports = {22, 2222}
    monkeypatch.setattr(access, "answers", lambda _address, port: port in ports)
    return ports


def _mesh(**changes: Any) -> dict[str, Any]:
    nodes = {"a": {"address": "10.10.0.1"}, "b": {"address": "10.10.0.2"}}
    return {"cidr": "10.10.0.0/24", "nodes": nodes, **changes}


def _ports(recording: Recording, node: str) -> set[int]:
    return {int(recording[f"{node}-{step}"].inputs["connection"]["value"]["port"]) for step in STEPS}


def _connection(recording: Recording, step: str) -> dict[str, Any]:
    value: dict[str, Any] = recording[step].inputs["connection"]["value"]
    return value


def _private(recording: Recording, step: str) -> str:
    value = _connection(recording, step)["privateKey"]
    return str(value["value"] if isinstance(value, dict) else value)


def _document(recording: Recording, node: str) -> str:
    return str(recording[f"{node}-apply"].inputs["stdin"])


def _ssh_rule(recording: Recording, node: str) -> str:
    (found,) = re.findall(r"tcp dport (.*) ip saddr @ssh_sources4", _document(recording, node))
    return str(found)


def _rules(recording: Recording, firewall: str, name: str) -> list[str]:
    return [
        rule["port"]
        for rule in recording[f"firewall-{firewall}"].inputs["rules"]
        if rule["description"] == name
    ]


def _failed(before: Recording, after: Recording, *names: str) -> Recording:
    """What the state has when these resources could not be changed."""
    for name in names:
        after.state[after[name].urn] = before.state[before[name].urn]
    return after


def _access(before: Recording) -> dict[str, access.Access]:
    return access.plan_access(plan_of(_mesh()), previous_of(before))


MOVED = _mesh(ssh={"port": 2222})


def test_the_first_run_dials_the_old_port_and_opens_the_new_one_on_both_gates() -> None:
    first = run(_mesh())
    second = run(MOVED, existing=first)
    assert _ports(second, "a") == {22}
    assert _ssh_rule(second, "a") == "{ 2222, 22 }"
    assert _rules(second, "private", "SSH") == ["22", "2222"]
    assert value_of(second.mesh.nodes["a"]["ssh_port"]) == 2222


def test_the_second_run_dials_the_new_port_and_closes_the_old_one_and_then_nothing_is_left() -> None:
    second = run(MOVED, existing=run(_mesh()))
    third = run(MOVED, existing=second)
    assert _ports(third, "a") == {2222}
    assert _ssh_rule(third, "a") == "2222"
    assert _rules(third, "private", "SSH") == ["2222"]
    fourth = run(MOVED, existing=third)
    for name, each in fourth.resources.items():
        if "input" not in each.request.ignoreChanges:
            assert each.inputs == third[name].inputs, name


def test_a_preview_says_what_the_run_will_do() -> None:
    second = run(MOVED, existing=run(_mesh()))
    preview = run(MOVED, existing=second, preview=True)
    assert (_ports(preview, "a"), _ssh_rule(preview, "a")) == ({2222}, "2222")


def test_a_port_that_does_not_answer_is_not_dialled_and_the_old_one_stays(
    answering: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    second = run(MOVED, existing=run(_mesh()))
    answering.remove(2222)
    third = run(MOVED, existing=second)
    assert (_ports(third, "a"), _ssh_rule(third, "a")) == ({22}, "{ 2222, 22 }")
    assert _rules(third, "private", "SSH") == ["22", "2222"]
    assert (
        "a, b: SSH port 2222 is open on the node but does not answer from here: 22 stays open" in caplog.text
    )
    assert "`pulumi up --refresh`" in caplog.text


def test_a_node_that_failed_is_still_dialled_where_it_listens_and_the_cloud_keeps_its_port() -> None:
    first = run(_mesh())
    second = _failed(first, run(MOVED, existing=first), "b-apply")
    third = run(MOVED, existing=second)
    assert (_ports(third, "a"), _ssh_rule(third, "a")) == ({2222}, "2222")
    assert (_ports(third, "b"), _ssh_rule(third, "b")) == ({22}, "{ 2222, 22 }")
    assert _rules(third, "private", "SSH") == ["22", "2222"]


def test_a_move_that_is_taken_back_half_way_goes_back_the_same_way() -> None:
    second = run(MOVED, existing=run(_mesh()))
    third = run(_mesh(), existing=second)
    assert (_ports(third, "a"), _ssh_rule(third, "a")) == ({2222}, "{ 22, 2222 }")
    fourth = run(_mesh(), existing=third)
    assert (_ports(fourth, "a"), _ssh_rule(fourth, "a")) == ({22}, "22")


def test_a_node_that_is_out_keeps_its_doors_and_the_cloud_lets_them_be() -> None:
    first = run(_mesh())
    nodes = {**_mesh()["nodes"], "b": {"address": "10.10.0.2", "enabled": False}}
    second = run({**MOVED, "nodes": nodes}, existing=first)
    assert _rules(second, "private", "SSH") == ["22", "2222"]
    assert "firewallIds" in second["b-server"].request.ignoreChanges
    back = run(MOVED, existing=_failed(first, second, "b-apply", *(f"b-{step}" for step in STEPS)))
    assert (_ports(back, "b"), _ssh_rule(back, "b")) == ({22}, "{ 2222, 22 }")


def test_a_server_that_is_made_anew_is_met_where_it_is_born() -> None:
    first = run(_mesh())
    for step in STEPS:
        first.state[first[f"a-{step}"].urn]["triggers"][0] = "77"
    second = run(MOVED, existing=first)
    assert (_ports(second, "a"), _ssh_rule(second, "a")) == ({2222}, "2222")
    assert (_ports(second, "b"), _ssh_rule(second, "b")) == ({22}, "{ 2222, 22 }")


def test_a_firewall_goes_in_the_run_after_its_last_server_has_left_it() -> None:
    first = run(_mesh())
    nodes = {name: {**facts, "public": ["tcp/443"]} for name, facts in _mesh()["nodes"].items()}
    second = run(_mesh(nodes=nodes), existing=first)
    assert {"firewall-private", "firewall-tcp443"} <= set(second.resources)
    kept = run(_mesh(nodes=nodes), existing=_failed(first, second, "b-server", "b-apply"))
    assert "firewall-private" in kept.resources
    done = run(_mesh(nodes=nodes), existing=run(_mesh(nodes=nodes), existing=first))
    assert "firewall-private" not in done.resources


def _wireguard(recording: Recording, node: str) -> tuple[str, list[str], bool]:
    text = _document(recording, node)
    return (
        re.findall(r"ListenPort = (\d+)", text)[0],
        re.findall(r"Endpoint = [^:]*:(\d+)", text),
        "udp dport 51820 ip saddr @peer_endpoints fib daddr type local udp dport set 51821" in text,
    )


def test_wireguards_port_moves_in_three_runs_and_no_peer_is_left_behind() -> None:
    wanted = _mesh(port=51821)
    first = run(_mesh())
    second = run(wanted, existing=first)
    assert _wireguard(second, "a") == ("51821", ["51820"], True)
    assert _rules(second, "private", "WireGuard") == ["51820", "51821"]
    third = run(wanted, existing=second)
    assert _wireguard(third, "a") == ("51821", ["51821"], True)
    behind = run(wanted, existing=_failed(second, run(wanted, existing=second), "b-apply"))
    assert _wireguard(behind, "a") == ("51821", ["51821"], True), "b still sends to the old port"
    fourth = run(wanted, existing=third)
    assert _wireguard(fourth, "a") == ("51821", ["51821"], False)
    assert _rules(fourth, "private", "WireGuard") == ["51821"]


def _hosts(recording: Recording, node: str) -> list[str]:
    return _document(recording, node).partition("==> /etc/hosts <==\n")[2].partition("==>")[0].splitlines()


def test_names_get_their_ipv6_addresses_once_the_nodes_have_committed_these() -> None:
    """A program tries IPv6 first, and would wait in vain for a node that does not have its address yet."""
    wanted = _mesh(cidr6="fd00:10::/64")
    first = run(_mesh())
    second = run(wanted, existing=first)
    assert "Address = 10.10.0.1/24, fd00:10::1/64\n" in _document(second, "a")
    assert "AllowedIPs = 10.10.0.2/32, fd00:10::2/128\n" in _document(second, "a")
    assert _hosts(second, "a") == ["10.10.0.1 a", "10.10.0.2 b"]
    names = ["10.10.0.1 a", "10.10.0.2 b", "fd00:10::1 a", "fd00:10::2 b"]
    third = run(wanted, existing=second)
    assert _hosts(third, "a") == _hosts(third, "b") == names
    assert _document(run(wanted, existing=third), "a") == _document(third, "a")
    behind = run(wanted, existing=_failed(first, second, "b-apply"))
    assert _hosts(behind, "a") == ["10.10.0.1 a", "10.10.0.2 b"], "b has not committed"
    assert _hosts(run(wanted), "a") == names, "a new mesh has all names at once"


def test_a_preview_says_when_names_get_ipv6_addresses() -> None:
    plan = plan_of(_mesh(cidr6="fd00:10::/64"))
    committed = access.doors_of(access.plan_access(plan, previous_of(run(_mesh()))))
    assert list(new_addresses(plan_renumbering(plan, committed), plan.clients)) == [
        (
            "a, b: new IPv6 address in the mesh. Names of nodes lead to IPv4 addresses until the nodes have "
            "committed: the next `up` adds the IPv6 addresses to the hosts files."
        )
    ]


def test_another_management_key_is_brought_over_the_old_ones_connection_and_replaces_no_server() -> None:
    first = run(_mesh())
    old = value_of(first.mesh.ssh_private_key)
    second = run(_mesh(), existing=first, replaced=["management-key"])
    new = value_of(second.mesh.ssh_private_key)
    assert old != new
    assert {_private(second, f"{node}-{step}") for node in "ab" for step in STEPS} == {short_ssh_key(old)}
    lines = [f"{ssh_public_line(key)} wireguard-mesh" for key in (new, old)]
    assert "\n".join(lines) in _document(second, "a")
    assert not second["management"].request.deleteBeforeReplace
    assert second["management"].inputs["name"] != first["management"].inputs["name"]
    assert "sshKeys" in second["a-server"].request.ignoreChanges
    for node in "ab":
        assert second[f"{node}-apply"].inputs["triggers"] == first[f"{node}-apply"].inputs["triggers"]
    third = run(_mesh(), existing=_failed(first, second, "b-keys", "b-apply"))
    assert _private(third, "a-apply") == short_ssh_key(new)
    assert lines[1] not in _document(third, "a")
    assert _private(third, "b-apply") == short_ssh_key(old), "it was down when the key changed"
    assert "\n".join(lines) in _document(third, "b")


def test_a_preview_of_another_management_key_cuts_nobody_off() -> None:
    first = run(_mesh())
    preview = run(_mesh(), existing=first, preview=True, replaced=["management-key"])
    assert _private(preview, "a-apply") == short_ssh_key(value_of(first.mesh.ssh_private_key))
    assert "<known after up> wireguard-mesh\nssh-ed25519 " in _document(preview, "a")


def _bundle(recording: Recording, node: str) -> dict[str, Any]:
    value: dict[str, Any] = read_secret_input(recording[f"{node}-keys"].inputs["stdin"]["value"])
    return value


def test_another_host_key_is_of_another_kind_and_served_beside_the_old_one_first() -> None:
    first = run(_mesh())
    pinned = _connection(first, "a-apply")["hostKey"]
    assert set(_bundle(first, "a")) == {"format", "keys", "host_key"}
    assert ssh_public_line(_bundle(first, "a")["host_key"]) == pinned
    second = run(_mesh(), existing=first, replaced=["a-host-key"])
    assert _connection(second, "a-apply")["hostKey"] == pinned
    bundle = _bundle(second, "a")
    assert isinstance(load_ssh_private_key(bundle["host_key"].encode(), None), ec.EllipticCurvePrivateKey)
    assert bundle["former_host_key"] == pinned
    assert value_of(second.mesh.nodes["a"]["host_key"]) == ssh_public_line(bundle["host_key"])
    assert _bundle(second, "b") == _bundle(first, "b")

    third = run(_mesh(), existing=second)
    assert _connection(third, "a-apply")["hostKey"] == ssh_public_line(bundle["host_key"])
    assert set(_bundle(third, "a")) == {"format", "keys", "host_key"}
    fourth = run(_mesh(), existing=third)
    assert _bundle(fourth, "a") == _bundle(third, "a")
    again = run(_mesh(), existing=fourth, replaced=["a-host-key"])
    assert ssh_public_line(_bundle(again, "a")["host_key"]).startswith("ssh-ed25519 ")


def test_a_host_key_that_could_not_be_brought_is_not_expected() -> None:
    first = run(_mesh())
    second = _failed(first, run(_mesh(), existing=first, replaced=["a-host-key"]), "a-keys", "a-apply")
    third = run(_mesh(), existing=second)
    assert _connection(third, "a-apply")["hostKey"] == _connection(first, "a-apply")["hostKey"]
    assert "former_host_key" in _bundle(third, "a")


def test_who_may_come_in_is_named_where_nobody_answers() -> None:
    limited = run(_mesh(ssh={"from": ["198.51.100.7", "203.0.113.0/24"]}))
    assert access.ssh_limits(_access(limited)) == dict.fromkeys(("a", "b"), "198.51.100.7/32, 203.0.113.0/24")
    assert access.ssh_limits(_access(run(_mesh()))) == {}
