"""Stacks beside each other in one cloud: protection, names that meet, and an end that leaves nothing."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lab.testing import REPOSITORY
from tests.system.projects import Project, write_program
from tests.system.simulated import TOKEN, simulated

pytestmark = pytest.mark.hosts

PROGRAM = """\
import pulumi
from mesh.program import Mesh, stack_settings

pulumi.export("nodes", Mesh.from_settings("mesh", stack_settings()).nodes)
"""
# As somebody in the cloud's console: what the cloud answers to a deletion, and to a rebuild.
OUTSIDER = """\
import sys
from hcloud import APIException, Client
from hcloud.images import Image
client = Client(sys.argv[1], sys.argv[2])
server = client.servers.get_by_name(sys.argv[3])
address = client.primary_ips.get_by_name(sys.argv[3])
for what in (server.delete, lambda: server.rebuild(image=Image(name="debian-12")), address.delete):
    try:
        what()
        print("done")
    except APIException as error:
        print(error.code)
"""
WEB, DB = {"address": "10.10.0.1"}, {"address": "10.10.0.2"}


def mesh(**more: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": {"web-1": WEB, "db-1": DB}, **more}


@dataclass(frozen=True)
class Environment(Project):
    """A stack of the project; `kept` is where the cloud keeps what it has."""

    kept: Path = Path()

    def beside(self, stack: str) -> "Environment":
        return replace(self, stack=stack)

    def settle(self, settings: dict[str, Any]) -> None:
        self.configure({"mesh": settings})

    def make(self, settings: dict[str, Any]) -> str:
        self.create({"mesh": settings})
        return self.up()

    def refused(self, settings: dict[str, Any], *words: str) -> str:
        """What a preview, or these words, says of settings; nothing may change."""
        self.settle(settings)
        before = self.cloud_has(), self.state()
        said = self.engine(*(words or ("preview",)), code=1)
        assert (self.cloud_has(), self.state()) == before
        return said

    def steps(self, settings: dict[str, Any]) -> dict[str, str]:
        """What a preview would do, by the names of the resources."""
        self.settle(settings)
        shown = self.engine("preview", "--json")
        steps = json.loads(shown[shown.index("{") :])["steps"]
        return {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] != "same"}

    def state(self) -> dict[str, tuple[str | None, bool]]:
        """Every resource's number, and whether the engine protects it."""
        kept = json.loads(self.engine("stack", "export"))["deployment"].get("resources") or []
        return {each["urn"]: (each.get("id"), bool(each.get("protect"))) for each in kept}

    def protected(self) -> set[str]:
        return {urn.rpartition("::")[2] for urn, (_, protect) in self.state().items() if protect}

    def cloud_has(self) -> dict[str, list[str]]:
        """The names of what the cloud has, by kind."""
        kinds = ("servers", "primary_ips", "ssh_keys", "firewalls", "placement_groups")
        kept = json.loads((self.kept / "cloud.json").read_text())
        found = kept.get("records", kept)
        return {kind: sorted(each["name"] for each in found[kind].values()) for kind in kinds}

    def all_of_mine(self) -> list[str]:
        """The names of all that this stack has in the cloud."""
        everything = [name for names in self.cloud_has().values() for name in names]
        return [name for name in everything if name.startswith(f"{self.stack}-")]

    def outsider(self, node: str) -> list[str]:
        ran = self.cloud.run(
            sys.executable, "-c", OUTSIDER, TOKEN, self.cloud.endpoint, f"{self.stack}-{node}",
            folder=self.folder, environment={},
        )  # fmt: skip
        return ran.stdout.split()


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    folder = tmp_path_factory.mktemp("project")
    write_program(folder, PROGRAM)
    kept = tmp_path_factory.mktemp("cloud")
    with simulated(kept) as cloud:
        yield Environment(cloud=cloud, folder=folder, packages=REPOSITORY, kept=kept)


def test_what_is_protected_is_refused_by_name_and_stays(project: Environment) -> None:
    prod = project.beside("short")
    prod.make(mesh(protect=True))
    said = prod.refused({**mesh(protect=True), "nodes": {"web-1": WEB}})
    assert "mesh.nodes.db-1: is protected, but not in the stack file any more" in said
    said = prod.refused(mesh(protect=True), "destroy", "--yes")
    assert "because it is protected" in said
    assert prod.outsider("web-1") == ["protected", "protected", "protected"]
    assert set(prod.steps(mesh())) == {
        f"{node}-{part}" for node in mesh()["nodes"] for part in ("server", "ip")
    }


@pytest.mark.long
def test_protection_comes_and_goes_alone_and_nothing_is_lost_meanwhile(project: Environment) -> None:
    prod = project.beside("prod")
    prod.make(mesh())
    before = prod.state()
    guarded = {f"{node}-{part}" for node in ("web-1", "db-1") for part in ("server", "ip")}

    assert prod.steps(mesh(protect=True)) == dict.fromkeys(guarded, "update")
    prod.up()
    assert prod.protected() == guarded | {"web-1-apply", "db-1-apply"}
    assert {urn: found[0] for urn, found in prod.state().items()} == {
        urn: found[0] for urn, found in before.items()
    }, "nothing was replaced"
    assert prod.outsider("web-1") == ["protected", "protected", "protected"]

    said = prod.refused({**mesh(protect=True), "nodes": {"web-1": WEB}})
    assert "mesh.nodes.db-1: is protected, but not in the stack file any more" in said
    moved = {"web-1": WEB, "db-1": {**DB, "location": "nbg1", "protect": False}}
    said = prod.refused(mesh(protect=True, nodes=moved), "up", "--yes", "--skip-preview")
    assert "mesh.nodes.db-1: is protected, but moves from fsn1 to nbg1" in said
    said = prod.refused(mesh(protect=True), "destroy", "--yes")
    assert "because it is protected" in said

    # one node alone: its protection first, the node then
    off = {"web-1": WEB, "db-1": {**DB, "protect": False}}
    assert set(prod.steps(mesh(protect=True, nodes=off))) == {"db-1-server", "db-1-ip"}
    prod.up()
    prod.settle({**mesh(protect=True), "nodes": {"web-1": WEB}})
    prod.up()
    assert [name for name in prod.cloud_has()["servers"] if name.startswith("prod-")] == ["prod-web-1"]

    prod.settle({**mesh(), "nodes": {"web-1": WEB}})
    prod.up()
    assert prod.protected() == set()
    prod.engine("destroy", "--yes", "--skip-preview")
    assert not any(prod.all_of_mine())


@pytest.mark.long
def test_a_refused_destroy_deletes_nothing_not_even_a_key(project: Environment) -> None:
    prod = project.beside("keys")
    prod.make(mesh(protect=True))
    names = {urn.rpartition("::")[2] for urn in prod.state()}
    cloud = prod.cloud_has()
    prod.engine("destroy", "--yes", "--skip-preview", "--continue-on-error", code=1)
    left = {urn.rpartition("::")[2] for urn in prod.state()}
    assert names == left
    assert prod.cloud_has() == cloud
    (key,) = (urn for urn in prod.state() if urn.endswith("::management-key"))
    prod.engine("destroy", "--yes", "--skip-preview", "--target", key, "--target-dependents", code=1)
    prod.engine("state", "delete", key, "--target-dependents", "--yes", code=1)
    assert key in prod.state()
    prod.engine("preview", "--replace", key)  # a key may still become another one
    prod.settle(mesh())
    prod.up()
    prod.engine("destroy", "--yes", "--skip-preview")
    assert not any(prod.all_of_mine())


@pytest.mark.long
@pytest.mark.parametrize("stack", ["PR-9", "9", "1.2", "pr-" + "9" * 53])
def test_any_name_of_a_stack_that_is_a_host_name_lives_and_ends(project: Environment, stack: str) -> None:
    made = project.beside(stack)
    made.make(mesh(nodes={"web-1": WEB}))
    assert f"{stack}-web-1" in made.cloud_has()["servers"]
    assert {name for name in made.all_of_mine() if not name.startswith(stack)} == set()
    made.engine("destroy", "--yes", "--skip-preview", "--remove")
    assert not any(made.all_of_mine())


def test_a_name_that_is_too_long_or_no_host_name_is_refused_with_the_remedy(project: Environment) -> None:
    long = project.beside("pr-" + "9" * 57)
    long.create({"mesh": mesh()})
    said = long.engine("preview", code=1)
    assert "mesh.nodes.web-1: the server would be called pr-99" in said
    assert "66 characters, and a host name has at most 63; make the name of the node or of the stack" in said
    under = project.beside("pr_9")
    under.create({"mesh": mesh()})
    assert "rename the stack: `pulumi stack rename pr-9`" in under.engine("preview", code=1)


@pytest.mark.long
def test_two_stacks_that_come_to_one_name_never_touch_each_other(project: Environment) -> None:
    first, second = project.beside("pr-1"), project.beside("pr")
    first.make(mesh(nodes={"web": WEB}))
    second.create({"mesh": mesh(nodes={"1-web": WEB})})
    before = first.cloud_has()
    for words in (("preview",), ("up", "--yes", "--skip-preview")):
        said = second.engine(*words, code=1)
        assert "mesh.nodes.1-web: the server would be called pr-1-web, and the cloud already has" in said
        assert "belongs to the stack pr-1" in said
    assert second.cloud_has() == before
    second.settle(mesh(nodes={"web": WEB}))
    second.up()
    second.engine("destroy", "--yes", "--skip-preview")
    assert first.cloud_has() == before
    assert first.steps(mesh(nodes={"web": WEB})) == {}
    first.engine("destroy", "--yes", "--skip-preview")
