"""A wish of the stack file is done or refused, before anything is changed, and what it takes is told."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.testing import Run
from tests.system.world import World

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def mesh(world: World) -> World:
    world.up()
    return world


@pytest.fixture(autouse=True)
def _the_file_as_it_was(mesh: World) -> Iterator[None]:
    kept = mesh.stack_file.read_text()
    yield
    mesh.stack_file.write_text(kept)
    (mesh.folder / ".lab" / "cloud" / "faults.json").unlink(missing_ok=True)


def _node(name: str, **more: Any) -> Callable[[dict[str, Any]], object]:
    return lambda mesh: mesh["nodes"].setdefault(name, {}).update(more)


def _preview(mesh: World) -> Run:
    return mesh.lab("run", "preview")


def _up(mesh: World) -> Run:
    return mesh.lab("run", "up", "--yes", "--skip-preview")


def _cloud(mesh: World) -> str:
    """All that the cloud has, but for when something was read last."""
    found = json.loads((mesh.folder / ".lab" / "cloud" / "cloud.json").read_text())
    return json.dumps(found, sort_keys=True)


def _warnings(run: Run) -> list[str]:
    """What is warned of, in order, as it stands under Diagnostics."""
    diagnostics = run.out.partition("Diagnostics:")[2]
    return re.findall(r"warning: (.*)", diagnostics)


REFUSED = [
    ("location", {"location": "nurnberg"}, "the cloud has no location nurnberg; it has fsn1, nbg1"),
    ("type", {"type": "cx99"}, "the cloud has no server type cx99; it has"),
    ("image", {"image": "debian-99"}, "the cloud has no image debian-99; did you mean debian-13?"),
    (
        "type",
        {"type": "cax11"},
        "db-1 is x86 (cx23), and cax11 is arm: a server cannot change its architecture",
    ),
    (
        "type",
        {"type": "cax11", "location": "ash"},
        "cax11 is not sold in ash (db-1); it is sold in fsn1, nbg1, hel1",
    ),
    (
        "image",
        {"type": "cax11", "location": "hel1", "image": "debian-12"},
        "debian-12 is made for x86, but cax11 (db-1) is arm",
    ),
]


_CASES = [
    pytest.param(*case, id=str(case[1]), marks=[pytest.mark.long] if index else [])
    for index, case in enumerate(REFUSED)
]


@pytest.mark.parametrize(("key", "change", "says"), _CASES)
def test_what_the_cloud_does_not_have_is_refused_before_anything_is_changed(
    mesh: World, key: str, change: dict[str, Any], says: str
) -> None:
    before = _cloud(mesh)
    mesh.edit_mesh(_node("db-1", **change))
    for run in (_preview(mesh), _up(mesh)):
        assert run.code == 1, run.out
        assert f"mesh.nodes.db-1.{key}: {says}" in run.out, run.out
        assert "Traceback" not in run.out
    assert _cloud(mesh) == before


@pytest.mark.long
def test_a_wrong_default_is_told_once_at_its_place(mesh: World) -> None:
    mesh.edit_mesh(lambda m: m["defaults"].update(location="fsn9", type="cx32"))
    run = _preview(mesh)
    assert run.code == 1
    assert run.out.count("mesh.defaults.location: the cloud has no location fsn9; did you mean fsn1?") == 1
    assert run.out.count("mesh.defaults.type: the cloud has no server type cx32; did you mean cx33?") == 1


@pytest.mark.long
def test_a_type_that_is_sold_out_takes_no_server_away(mesh: World) -> None:
    (mesh.folder / ".lab" / "cloud" / "faults.json").write_text(json.dumps({"sold_out": {"cx33": ["nbg1"]}}))
    mesh.edit_mesh(_node("db-1", type="cx33"))
    run = _up(mesh)
    assert run.code == 1
    assert "mesh.nodes.db-1.type: cx33 is sold out in nbg1 at the moment, but its server would be" in run.out
    mesh.edit_mesh(lambda m: m["nodes"].update({"new-1": {**m["nodes"]["db-1"], "address": "10.10.0.12"}}))
    mesh.edit_mesh(_node("db-1", type="cx23"))
    run = _preview(mesh)
    assert run.code == 0, run.out
    assert any("cx33 is sold out in nbg1 at the moment: creating new-1" in each for each in _warnings(run))


def test_what_would_be_lost_is_the_last_that_a_preview_says(mesh: World) -> None:
    ip = mesh.outputs()["nodes"]["web-1"]["public_ip"]

    def change(m: dict[str, Any]) -> None:
        nodes = m["nodes"]
        nodes["web-9"] = nodes.pop("web-1")
        nodes["web-2"]["type"] = "cx33"
        nodes["db-1"].update(location="hel1", image="debian-13")

    mesh.edit_mesh(change)
    run = _preview(mesh)
    assert run.code == 0, run.out
    told = _warnings(run)
    assert len(told) == 3, run.out
    words = "\n".join(sorted(told))
    assert "db-1 moves from nbg1 to hel1: its server is deleted with its disk" in words
    assert "web-1 is not in the stack file any more (if you renamed it to web-9, give web-9" in words
    assert f"and its public address {ip} is given back" in words
    assert "web-2 becomes a cx33 (now a cx23): the server is powered off" in words
    after = run.out.rpartition("warning: ")[2]
    assert "Resources:" in after
    assert not re.search(r"^ *[+~-]", after.partition("Resources:")[0], re.MULTILINE), "no step comes after"


@pytest.mark.long
def test_an_image_that_is_wished_for_is_told_and_not_ignored(mesh: World) -> None:
    mesh.edit_mesh(_node("db-1", image="debian-13"))
    run = _preview(mesh)
    (told,) = _warnings(run)
    assert told.startswith(
        "db-1 runs debian-12, and the stack file says debian-13: an existing server keeps its"
    )
    (urn,) = re.findall(r"`pulumi up --replace '([^']*)'`", told)
    assert urn.endswith("::db-1-server")
    (replaced,) = _warnings(mesh.lab("run", "preview", "--replace", urn))
    assert replaced == "db-1 gets a new server, from debian-13: the old server is deleted with its disk"


@pytest.mark.long
def test_nothing_is_told_and_nothing_asked_when_nothing_changes(mesh: World) -> None:
    log = mesh.folder / ".lab" / "cloud" / "access.log"
    before = log.read_text()
    run = _preview(mesh)
    assert _warnings(run) == []
    asked = log.read_text().removeprefix(before)
    assert "/server_types" not in asked
    assert "/locations" not in asked


@pytest.mark.long
def test_a_preview_goes_on_without_an_answer_and_up_does_not_begin(mesh: World) -> None:
    mesh.edit_mesh(_node("new-1", address="10.10.0.12"))
    stop = (".venv/bin/python", "-m", "lab.cloud", "stop", "--state", ".lab/cloud")
    assert mesh.command(*stop).code == 0
    try:
        preview, up = _preview(mesh), _up(mesh)
    finally:
        assert mesh.lab("start").code == 0
    words = "could not ask the cloud for the location, type and image of new-1: no answer from http"
    assert preview.code == 0, preview.out
    assert any(each.startswith(words) for each in _warnings(preview)), preview.out
    assert up.code == 1
    assert f"{words}" in up.out
    assert "Nothing was changed" in up.out


@pytest.mark.long
def test_a_token_of_another_project_is_told_by_a_preview(mesh: World) -> None:
    mesh.edit_mesh(_node("new-1", address="10.10.0.12"))
    text = mesh.stack_file.read_text()
    mesh.stack_file.write_text(text.replace("lab-token-lab", "bad-token-bad", 1))
    run = _preview(mesh)
    assert run.code == 1
    assert "check hcloud:token" in run.out
    assert "bad-token" not in run.out


def _without(deployment: dict[str, Any], node: str) -> dict[str, Any]:
    """A state as it was before a node came."""
    gone = {
        each["urn"]
        for each in deployment["resources"]
        if re.fullmatch(rf"{node}(-.*)?", each["urn"].rpartition("::")[2])
    }
    kept = [each for each in deployment["resources"] if each["urn"] not in gone]
    for each in kept:
        each["dependencies"] = [urn for urn in each.get("dependencies") or () if urn not in gone]
        each["propertyDependencies"] = {
            name: [urn for urn in urns or () if urn not in gone]
            for name, urns in (each.get("propertyDependencies") or {}).items()
        }
    return {**deployment, "resources": kept}


def _with_state(mesh: World, change: Callable[[dict[str, Any]], dict[str, Any]]) -> tuple[Run, Run]:
    """Preview and up with another state than the one that is the cloud's; the right one comes back."""
    kept, other = mesh.folder / "kept.json", mesh.folder / "other.json"
    mesh.ok("stack", "export", "--file", str(kept))
    exported = json.loads(kept.read_text())
    other.write_text(json.dumps({**exported, "deployment": change(exported["deployment"])}))
    mesh.ok("stack", "import", "--file", str(other))
    try:
        return _preview(mesh), _up(mesh)
    finally:
        mesh.ok("stack", "import", "--file", str(kept))


def test_a_state_that_is_older_than_the_cloud_is_recognised(mesh: World) -> None:
    before = _cloud(mesh)
    for run in _with_state(mesh, lambda deployment: _without(deployment, "db-1")):
        assert run.code == 1
        assert "the cloud already has 1 of this stack's 3 servers (lab-db-1), but this state" in run.out
        assert "Delete nothing." in run.out
        assert not re.search(r"hcloud [a-z-]+ delete", run.out)
    assert _cloud(mesh) == before


@pytest.mark.long
def test_a_lost_state_is_recognised_and_nothing_is_deleted(mesh: World) -> None:
    servers = mesh.json("stack", "output", "--json")["nodes"]
    preview, up = _with_state(mesh, lambda deployment: {**deployment, "resources": []})
    assert any("the cloud already has 3 of this stack's 3 servers" in each for each in _warnings(preview))
    assert up.code == 1
    for run in (preview, up):
        assert "Delete nothing." in run.out
        assert not re.search(r"hcloud [a-z-]+ delete", run.out), run.out
    assert mesh.lab("run", "preview", "--expect-no-changes").code == 0
    assert mesh.json("stack", "output", "--json")["nodes"] == servers
    assert mesh.reach().code == 0
