"""A policy, a canary, a node taken out and sshd on another port, on real hosts."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.world import World

pytestmark = pytest.mark.hosts

NODES: dict[str, Any] = {
    "web-1": {"address": "10.10.0.1", "groups": ["web"], "public": ["tcp/80"]},
    "web-2": {"address": "10.10.0.2", "groups": ["web"], "public": ["tcp/80"]},
    "db-1": {"address": "10.10.0.11", "groups": ["db"]},
}
POLICY = [{"from": ["web"], "to": ["db"], "allow": ["tcp/5432"]}]
UP = ("up", "--yes", "--skip-preview")


def _describe(settings: dict[str, Any]) -> None:
    settings |= {
        "nodes": NODES,
        "policy": POLICY,
        "rollout": {"canary": "web-1"},
        "ssh": {"port": 2222},
    }


@pytest.fixture(scope="module")
def first_commits(world: World) -> dict[str, float]:
    """Bring the mesh up for the first time; returns when each node committed its files."""
    world.bring(_describe)
    return {node: float(world.on(node, "stat -c %.9Y /var/lib/wgmesh/current")) for node in NODES}


@pytest.fixture
def mesh(world: World, first_commits: dict[str, float]) -> World:
    """Three nodes under a policy, with a canary, sshd on port 2222."""
    assert set(first_commits) == set(NODES)
    world.bring()
    return world


def _committed(mesh: World) -> dict[str, str]:
    return {node: mesh.on(node, "readlink /var/lib/wgmesh/current").strip() for node in NODES}


def _open(mesh: World, source: str, address: str, port: int) -> bool:
    return mesh.on(source, f"nc -z -w 2 {address} {port} && echo open", check=False).strip() == "open"


def test_a_new_mesh_comes_up_canary_first_and_all_reach_all(
    mesh: World, first_commits: dict[str, float]
) -> None:
    run = mesh.reach()
    assert run.code == 0, run.out
    assert first_commits["web-1"] == min(first_commits.values())


def test_sshd_listens_where_it_was_told_and_the_tools_find_it(mesh: World) -> None:
    address = mesh.outputs()["nodes"]["db-1"]["public_ip"]
    assert _open(mesh, "web-1", address, 2222)
    assert not _open(mesh, "web-1", address, 22)


@pytest.fixture
def listeners(mesh: World) -> Iterator[None]:
    for node in NODES:
        mesh.on(node, "for p in 5432 5433 80; do systemd-run -q --unit=t$p nc -lk -p $p; done; sleep 1")
    yield
    for node in NODES:
        mesh.on(node, "systemctl stop t5432 t5433 t80", check=False)


@pytest.mark.usefixtures("listeners")
def test_only_what_the_policy_says_comes_through_the_tunnel(mesh: World) -> None:
    assert {(source, port): _open(mesh, source, "10.10.0.11", port) for source in ("web-1", "web-2")
            for port in (5432, 5433, 2222)} == {
        ("web-1", 5432): True, ("web-1", 5433): False, ("web-1", 2222): False,
        ("web-2", 5432): True, ("web-2", 5433): False, ("web-2", 2222): False,
    }  # fmt: skip
    # what is public is so on the public address
    assert not _open(mesh, "db-1", "10.10.0.1", 80)
    assert _open(mesh, "db-1", mesh.outputs()["nodes"]["web-1"]["public_ip"], 80)


def test_a_wrong_policy_test_stops_the_preview_with_the_rule(mesh: World) -> None:
    before = mesh.stack_file.read_text()
    wrong = {"from": "web", "to": "db", "port": "tcp/5432", "expect": "deny"}
    mesh.edit_mesh(lambda settings: settings.update(policyTests=[wrong]))
    try:
        run = mesh.lab("run", "preview")
    finally:
        mesh.stack_file.write_text(before)
    assert run.code != 0
    assert "web-1 may reach db-1 on tcp/5432: mesh.policy[0] allows it" in run.out
    assert "Traceback" not in run.out


@pytest.mark.parametrize(
    "options",
    [(), pytest.param(("--continue-on-error",), marks=pytest.mark.long)],
    ids=["stopping", "going on"],
)
def test_a_canary_that_fails_spares_the_others_and_says_how_to_go_on(
    mesh: World, options: tuple[str, ...]
) -> None:
    before = _committed(mesh)
    connections = {node: mesh.ssh_connections(node) for node in ("web-2", "db-1")}
    mesh.on("web-1", "mkdir -p /etc/wgmesh; echo 'sysctl fail' >/etc/wgmesh/failpoint")
    rule = {"from": ["db"], "to": ["web"], "allow": [f"tcp/{7000 + len(options)}"]}
    mesh.edit_mesh(lambda settings: settings.update(policy=[*POLICY, rule], mtu=1400 - len(options)))
    try:
        run = mesh.lab("run", *UP, *options)
        assert run.code != 0
        assert "web-1 is the canary (mesh.rollout.canary) and web-1-apply failed there" in run.out
        assert "run up again" in run.out.replace("\n", " ")
        assert _committed(mesh) == before
        assert {node: mesh.ssh_connections(node) for node in connections} == connections
    finally:
        mesh.on("web-1", "rm /etc/wgmesh/failpoint")
    mesh.up()
    after = _committed(mesh)
    assert all(after[node] != before[node] for node in NODES)


def _identity(mesh: World, node: str) -> str:
    return mesh.on(node, "cat /etc/machine-id") + mesh.on(node, "wg show wg0 public-key")


def test_a_node_that_is_down_is_taken_out_and_comes_back_as_it_was(mesh: World) -> None:
    before, identity = _committed(mesh), _identity(mesh, "web-2")
    key = mesh.outputs()["nodes"]["web-2"]["public_key"]
    mesh.on("web-2", "systemctl stop ssh")
    mesh.edit_mesh(lambda settings: settings["nodes"]["web-2"].update(enabled=False))
    steps = [step["urn"].rsplit("::", 1)[1] for step in mesh.json("preview", "--json")["steps"]]
    assert "web-1-apply" in steps
    assert not [name for name in steps if name.startswith("web-2")]
    mesh.up()
    for node in ("web-1", "db-1"):
        assert key not in mesh.on(node, "wg show wg0 peers")
        assert "web-2" not in mesh.on(node, "cat /etc/hosts")
    assert _committed(mesh)["web-2"] == before["web-2"]
    run = mesh.reach()
    assert run.code == 0, run.out
    assert "all 2 pairs reach each other" in run.out

    mesh.on("web-2", "systemctl start ssh")
    mesh.edit_mesh(lambda settings: settings["nodes"]["web-2"].pop("enabled"))
    printed = mesh.up()
    assert not re.search(r"\d+ (created|replaced|deleted)", printed)
    run = mesh.reach()
    assert "all 6 pairs reach each other" in run.out
    assert _identity(mesh, "web-2") == identity
