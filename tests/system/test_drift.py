"""The commands of day two on a whole rehearsal: what an operator types, sees and gets back."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab.testing import Run, wait
from tests.system.world import World

pytestmark = pytest.mark.hosts

NODES = ("web-1", "web-2", "db-1")


@pytest.fixture
def mesh(world: World) -> World:
    world.bring()
    return world


@contextmanager
def _down(mesh: World, node: str) -> Iterator[None]:
    """The node's host fails for a while."""
    key = mesh.hosts.find(f"lab-{node}")
    mesh.hosts.stop(key, graceful=False)
    try:
        yield
    finally:
        mesh.hosts.start(key)
        wait(lambda: _mesh(mesh, "ssh", node, "true").code == 0, 60)


def _mesh(world: World, *words: str) -> Run:
    return world.command(sys.executable, "-m", "mesh", *words)


def _json(world: World, *words: str) -> tuple[int, Any]:
    run = _mesh(world, *words, "--json")
    return run.code, _document(run)


def _document(run: Run) -> Any:
    return json.loads(run.out[: run.out.rindex("}") + 1])


def test_right_after_up_nothing_differs(mesh: World) -> None:
    run = _mesh(mesh, "check")
    assert run.code == 0, run.out
    assert "all 3 nodes match the stack" in run.out


def test_changes_by_hand_are_shown_and_repaired_without_a_secret(mesh: World) -> None:
    mesh.on("web-2", "ip link set wg0 mtu 1300; nft add rule inet wgmesh input tcp dport 99 accept")
    mesh.on(
        "db-1", "wg genkey >/run/k; wg set wg0 private-key /run/k; echo x >>/var/lib/wgmesh/current/wg0.conf"
    )
    run = _mesh(mesh, "check")
    assert run.code == 1
    for shown in ("MTU", "1300", "1420", "tcp dport 99 accept", "different from the stack: web-2, db-1"):
        assert shown in run.out
    as_json = _mesh(mesh, "check", "--json")
    assert as_json.code == 1
    found = _document(as_json)
    assert {node: found["nodes"][node]["good"] for node in NODES} == {node: node == "web-1" for node in NODES}
    assert {"item": "MTU", "live": "1300", "wanted": "1420"} in found["nodes"]["web-2"]["differences"]
    assert not mesh.lab("run", "preview", "--expect-no-changes").code, "the engine itself does not look"
    status = _mesh(mesh, "status")
    repaired = _mesh(mesh, "check", "--repair")
    assert repaired.code == 0, repaired.out
    assert "repaired" in repaired.out
    keys = mesh.on("db-1", "cat /run/k /var/lib/wgmesh/keys/*; rm /run/k").split()
    assert len(keys) >= 4
    said = "".join(each.out for each in (run, as_json, status, repaired))
    assert not [key for key in keys if key[:20] in said]
    assert "PRIVATE KEY" not in said
    assert _json(mesh, "check")[0] == 0


def test_status_shows_who_hears_whom(mesh: World) -> None:
    run = _mesh(mesh, "status")
    assert run.code == 0, run.out
    for shown in (*NODES, "s ago", "B "):
        assert shown in run.out
    code, found = _json(mesh, "status")
    assert code == 0
    assert all(len(found["nodes"][node]["report"]["peers"]) == 2 for node in NODES)


@pytest.mark.long
def test_another_host_key_is_named_with_the_command_that_makes_the_server_anew(mesh: World) -> None:
    key = "/etc/ssh/ssh_host_ed25519_key"
    mesh.on("web-2", f"rm {key}; ssh-keygen -q -t ed25519 -N '' -f {key}; systemctl restart ssh")
    said = {words: _mesh(mesh, *words.split()) for words in ("check", "status", "reach --rounds 1")}
    commands = {words: re.findall(r"`pulumi (up --replace '.*')`", run.out) for words, run in said.items()}
    assert [run.code for run in said.values()] == [1, 1, 1]
    (command,) = {command for found in commands.values() for command in found}
    assert all(commands.values()), commands
    mesh.ok(*shlex.split(command), "--yes", "--skip-preview")
    assert _mesh(mesh, "check").code == 0
    reach = _mesh(mesh, "reach")
    assert reach.code == 0, reach.out


def test_a_node_that_is_down_is_named_and_the_others_are_checked(mesh: World) -> None:
    mesh.on("web-1", "sysctl -q net.ipv4.tcp_syncookies=0")
    with _down(mesh, "db-1"):
        code, found = _json(mesh, "check", "--repair")
        assert code == 1
        assert found["nodes"]["db-1"]["problem"]
        assert [each["item"] for each in found["nodes"]["web-1"]["repaired"]] == [
            "sysctl net.ipv4.tcp_syncookies"
        ]
        assert found["nodes"]["web-2"]["good"]
        assert _mesh(mesh, "status").code == 1


@pytest.mark.long
def test_a_node_that_is_taken_out_for_being_down_is_no_longer_bad(mesh: World) -> None:
    mesh.edit_mesh(lambda settings: settings["nodes"]["db-1"].update(enabled=False))
    with _down(mesh, "db-1"):
        mesh.up()
        for words in (["check"], ["status"], ["reach"]):
            run = _mesh(mesh, *words)
            assert run.code == 0, run.out
        assert "db-1: not enabled\nall 2 nodes match the stack" in _mesh(mesh, "check").out


@pytest.mark.long
def test_a_node_whose_creation_failed_is_named_and_the_others_are_asked(mesh: World) -> None:
    cloud = mesh.cloud()
    taken = cloud.primary_ips.create("ipv4", "lab-web-3", location=cloud.locations.get_by_name("fsn1"))
    mesh.edit_mesh(lambda settings: settings["nodes"].update({"web-3": {"address": "10.10.0.3"}}))
    up = mesh.lab("run", "up", "--yes", "--skip-preview", "--continue-on-error")
    assert "primary_ip name is already used" in up.out
    for words in (["check"], ["status"], ["reach"]):
        run = _mesh(mesh, *words)
        assert run.code == 1
        assert "web-3: not made yet: run `up` again\n" in run.out
    assert _mesh(mesh, "ssh", "web-1", "true").code == 0
    found = _json(mesh, "check")[1]
    assert [node for node, check in found["nodes"].items() if not check["good"]] == ["web-3"]
    taken.primary_ip.delete()


@pytest.mark.long
def test_a_firewall_of_another_kind_is_a_warning_of_up_and_a_difference_of_check(mesh: World) -> None:
    """ufw as it comes, in short: it lets in SSH alone."""
    mesh.on(
        "web-1",
        "nft add table ip filter; nft add chain ip filter INPUT '{ type filter hook input priority 0; "
        "policy drop; }'; nft add rule ip filter INPUT ct state established,related accept;"
        "nft add rule ip filter INPUT tcp dport 22 accept",
    )
    named = "table ip filter, chain INPUT (policy drop)"
    try:
        mesh.edit_mesh(lambda settings: settings["nodes"]["web-1"].update(public=["tcp/8098"]))
        said = " ".join(mesh.up().split())
        assert "web-1: WireGuard (UDP to port 51820) from" in said
        assert named in said
        code, found = _json(mesh, "check")
        assert code == 1
        assert [node for node in NODES if not found["nodes"][node]["good"]] == ["web-1"]
        assert all(named in each["live"] for each in found["nodes"]["web-1"]["differences"])
    finally:
        mesh.on("web-1", "nft delete table ip filter")
    assert _json(mesh, "check")[0] == 0
