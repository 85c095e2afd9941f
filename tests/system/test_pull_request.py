"""A stack of a pull request beside another stack: it comes and goes, also with dead hosts, unnoticed."""

import json
import re
import shutil
from typing import Any

import pytest

from lab.testing import REPOSITORY
from tests.system.world import World

pytestmark = [pytest.mark.hosts, pytest.mark.long]

STACK = "pr-123"
# as long as a destroy may take with hosts that do not answer
_SECONDS = 120
_SINCE_BOOT = (
    "cat /sys/class/net/wg0/ifindex; wg show wg0 listen-port; systemctl show -p UserspaceTimestampMonotonic; "
    "systemctl show -p ActiveEnterTimestampMonotonic ssh wgmesh-wg0 'wg-quick@wg0' nftables"
)


def _pr(world: World, *words: str, timeout: int = 500) -> str:
    run = world.lab("--stack", STACK, "run", *words, timeout=timeout)
    assert run.code == 0, run.out
    return run.out


def _has(world: World, stack: str) -> dict[str, list[Any]]:
    """What the cloud has of a stack, by kind: names and numbers."""
    kept = json.loads((world.folder / ".lab" / "cloud" / "cloud.json").read_text())
    kinds = ("servers", "primary_ips", "ssh_keys", "firewalls", "placement_groups")
    return {
        kind: sorted(
            (each["name"], each["id"]) for each in kept[kind].values() if each["name"].startswith(f"{stack}-")
        )
        for kind in kinds
    }


def _unchanged(world: World) -> dict[str, str]:
    """What tells whether anything of the other mesh was started again."""
    return {node: world.on(node, _SINCE_BOOT) for node in ("web-1", "db-1")}


def test_a_stack_comes_and_goes_with_dead_hosts_and_the_one_beside_goes_on(world: World) -> None:
    world.edit_mesh(lambda mesh: mesh["nodes"].pop("web-2"))
    world.up()
    before, beside = _unchanged(world), _has(world, "lab")
    shutil.copy(
        REPOSITORY / "stacks" / "Pulumi.pr.example.yaml", world.folder / "stacks" / f"Pulumi.{STACK}.yaml"
    )
    pings = world.background("web-1", "exec ping -n -i 0.2 10.10.0.11")
    try:
        _pr(world, "up", "--yes", "--skip-preview")
        made = _has(world, STACK)
        assert all(made.values()), "something of every kind carries the stack's name"
        assert len(made["servers"]) == 2

        # one server deleted by hand, sshd hung on the other
        world.delete_server(f"{STACK}-web-1")
        hosts = world.hosts
        enter = hosts.enter(hosts.find(f"{STACK}-db-1"), ["pkill", "-STOP", "sshd"])
        assert world.command(*enter).code == 0
        _pr(world, "destroy", "--yes", "--skip-preview", "--refresh", timeout=_SECONDS)
        assert not any(_has(world, STACK).values())

        # once more, with a server that is off
        _pr(world, "up", "--yes", "--skip-preview")
        world.cloud().servers.get_by_name(f"{STACK}-db-1").power_off().wait_until_finished()  # type: ignore[union-attr]
        _pr(world, "destroy", "--yes", "--skip-preview", "--remove", timeout=_SECONDS)
        assert not any(_has(world, STACK).values())
    finally:
        world.on("web-1", "pkill -INT ping", check=False)
        told, _ = pings.communicate(timeout=30)
    assert re.search(r"\b0% packet loss", told), told[-500:]
    assert _has(world, "lab") == beside
    assert _unchanged(world) == before
    world.ok("up", "--yes", "--skip-preview", "--expect-no-changes")
    listed = world.ok("stack", "ls")
    assert STACK not in listed
    assert world.reach().code == 0
