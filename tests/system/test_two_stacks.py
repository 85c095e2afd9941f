"""Two stacks in one lab: what is done to one leaves the other alone."""

import json
import subprocess

import pytest
import yaml

from tests.system.world import World

pytestmark = [pytest.mark.hosts, pytest.mark.long]


def _one_node(world: World, stack: str, cidr: str) -> None:
    document = yaml.safe_load(world.stack_file.read_text())
    address = cidr.replace(".0/24", ".1")
    document["config"]["wireguard-mesh:mesh"] = {"cidr": cidr, "nodes": {"n-1": {"address": address}}}
    (world.folder / "stacks" / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(document))


def test_down_stops_nobody_elses_servers(world: World) -> None:
    _one_node(world, "lab", "10.10.0.0/24")
    _one_node(world, "prod", "10.20.0.0/24")
    assert world.lab("start").code == 0
    for stack in ("lab", "prod"):
        run = world.lab("--stack", stack, "run", "up", "--yes", "--skip-preview")
        assert run.code == 0, run.out
    down = world.lab("down")
    assert down.code == 0, down.out
    assert (
        "the stack lab is destroyed; cloud and hosts keep running, because this lab also has the stack prod"
        in down.out
    )
    assert "`make down STACK=prod` stops them" in down.out
    assert "removed with the cloud" not in down.out
    enter = f"{world.via('n-1').replace('lab-n-1', 'prod-n-1')} true"
    assert world.command(*enter.split()).code == 0
    again = world.lab("--stack", "prod", "run", "up", "--yes", "--skip-preview", "--expect-no-changes")
    assert again.code == 0, again.out
    # once more, with nothing left of it: quick, and nothing is made to be deleted
    empty = world.lab("down")
    assert empty.code == 0
    assert "created" not in empty.out
    last = world.lab("--stack", "prod", "down")
    assert last.code == 0, last.out
    assert not (world.folder / ".lab" / "cloud").exists()
    assert not (world.folder / ".lab" / "owner").exists()
    left = subprocess.run(["ip", "netns", "list"], check=False, capture_output=True, text=True)
    assert "prod-n-1" not in left.stdout


def test_down_of_a_half_made_stack_copes(world: World) -> None:
    _one_node(world, "lab", "10.10.0.0/24")
    assert world.lab("start").code == 0
    (world.folder / ".lab" / "cloud" / "faults.json").write_text(
        json.dumps({"create": "resource_unavailable"})
    )
    run = world.lab("run", "up", "--yes", "--skip-preview")
    assert run.code == 1
    down = world.lab("down")
    assert down.code == 0, down.out
    assert "Traceback" not in down.out
    assert not (world.folder / ".lab" / "cloud").exists()


def test_down_copes_with_a_server_that_somebody_deleted(world: World) -> None:
    _one_node(world, "lab", "10.10.0.0/24")
    assert world.lab("start").code == 0
    assert world.lab("run", "up", "--yes", "--skip-preview").code == 0
    world.delete_server("lab-n-1")
    down = world.lab("down")
    assert down.code == 0, down.out
    assert "not found (not_found)" in down.out, "as the real provider, which fails without a refresh"
    assert not (world.folder / ".lab" / "cloud").exists()
