"""Every example in stacks/ is rehearsed as it stands: by its name, with no other file, nothing written."""

import shutil
from pathlib import Path

import pytest
import yaml

from lab.testing import REPOSITORY
from tests.system.world import World

pytestmark = [pytest.mark.hosts, pytest.mark.long]

EXAMPLES = sorted((REPOSITORY / "stacks").glob("Pulumi.*.example.yaml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name.split(".")[1])
def test_an_example_is_made_and_destroyed_by_its_name_alone(world: World, example: Path) -> None:
    stack = example.name.split(".")[1]
    stacks = world.folder / "stacks"
    shutil.copy(example, stacks)
    before = {each.name: each.read_bytes() for each in stacks.iterdir()}
    settings = yaml.safe_load(example.read_text())["config"]["wireguard-mesh:mesh"]
    count = len(settings["nodes"])

    up = world.command("make", "up", f"STACK={stack}")
    assert up.code == 0, up.out
    assert "the lab's own token" in up.out
    assert ("mesh.ssh.from has also" in up.out) == ("from" in settings.get("ssh", {})), up.out
    assert f"all {count * (count - 1)} pairs reach each other" in up.out
    again = world.lab("--stack", stack, "run", "up", "--yes", "--skip-preview", "--expect-no-changes")
    assert again.code == 0, again.out

    if settings.get("protect"):
        refused = world.lab("--stack", stack, "run", "destroy", "--yes")
        assert refused.code != 0
        assert "because it is protected" in refused.out
    down = world.command("make", "down", f"STACK={stack}")
    assert down.code == 0, down.out
    assert not (world.folder / ".lab" / "cloud").exists()
    assert {each.name: each.read_bytes() for each in stacks.iterdir()} == before
