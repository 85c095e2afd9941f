"""A stack that an older version made: the next `up` brings the agent and its new call, and nothing else."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hcloud import Client

from lab.cloud.process import Process
from lab.testing import free_port
from tests.system.world import World

OLDER = Path(__file__).parent / "older"
TOKEN = "lab-token-" * 6 + "lab-"
NODES = ("web-1", "db-1", "old-1")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The stack file, the state and the cloud's records as the older version left them."""
    world = World(tmp_path_factory.mktemp("older"))
    port = free_port()
    stack = (OLDER / "Pulumi.lab.yaml").read_text()
    world.stack_file.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", stack))
    records = world.folder / ".lab" / "cloud"
    records.mkdir()
    shutil.copy(OLDER / "cloud.json", records)
    cloud = Process(state=records, port=port, token=TOKEN, images=None)
    cloud.start()
    try:
        client = Client(token=TOKEN, api_endpoint=f"http://127.0.0.1:{port}/v1", poll_interval=0.05)
        for server in client.servers.get_all():
            server.power_on().wait_until_finished()  # a cloud that is started anew finds its hosts off
        world.ok("stack", "import", "--file", str(OLDER / "state.json"))
        yield world
    finally:
        cloud.stop()


@pytest.fixture(scope="module")
def preview(older: World) -> dict[str, Any]:
    run = older.lab("run", "preview", "--json")
    assert run.code == 0, run.out
    found: dict[str, Any] = json.loads(run.out[run.out.index("{") :])
    return found


def test_nothing_but_the_agent_changes(preview: dict[str, Any]) -> None:
    steps = {step["urn"].rsplit("::", 1)[1]: step["op"] for step in preview["steps"] if step["op"] != "same"}
    assert steps == {
        f"{node}-{part}": "update" for node in ("web-1", "db-1") for part in ("agent-file", "keys", "apply")
    }


def test_of_an_apply_only_its_line_changes(preview: dict[str, Any]) -> None:
    """The files are those that the node has."""
    for step in preview["steps"]:
        if step["urn"].endswith("-apply") and step["op"] != "same":
            assert list(step["detailedDiff"]) == ["create"]


def test_only_the_line_of_the_keys_changes_by_the_agents_digest(preview: dict[str, Any]) -> None:
    """And with the keys comes the host key that the node has."""
    steps = {step["urn"].rsplit("::", 1)[1]: step for step in preview["steps"]}
    for node in ("web-1", "db-1"):
        step, copied = steps[f"{node}-keys"], steps[f"{node}-agent-file"]
        assert list(step["detailedDiff"]) == ["create", "stdin"]
        assert copied["newState"]["inputs"]["source"]["hash"] in step["newState"]["inputs"]["create"]


def test_every_resource_of_the_older_version_is_found(preview: dict[str, Any]) -> None:
    state = json.loads((OLDER / "state.json").read_text())
    kept = [each for each in state["deployment"]["resources"] if ":providers:" not in each["type"]]
    assert sum(preview["changeSummary"].values()) == len(kept)
