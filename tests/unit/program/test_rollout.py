from typing import Any

import pytest

from mesh.program.machines.hetzner.api import CloudAccess
from tests.unit.program.off import cloud_with_servers_off
from tests.unit.program.recording import Recording, run

NODES: dict[str, Any] = {
    "web-1": {"address": "10.10.0.1"},
    "web-2": {"address": "10.10.0.2"},
    "db-1": {"address": "10.10.0.11"},
}
TOUCHING = ("agent-file", "keys", "apply")


def _mesh(**more: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": NODES, **more}


@pytest.fixture(scope="module")
def first() -> Recording:
    """The first run of a mesh with a canary."""
    return run(_mesh(rollout={"canary": "web-2"}))


@pytest.fixture(scope="module")
def canary(first: Recording) -> Recording:
    """Any run after that."""
    return run(_mesh(rollout={"canary": "web-2"}), existing=first)


def test_nothing_touches_another_node_before_the_canary_has_committed(canary: Recording) -> None:
    for node in ("web-1", "db-1"):
        for step in TOUCHING:
            assert "web-2-apply" in canary[f"{node}-{step}"].dependencies


def test_the_canary_waits_for_nobody(canary: Recording) -> None:
    for step in TOUCHING:
        others = [name for name in canary[f"web-2-{step}"].dependencies if name.startswith(("web-1", "db-1"))]
        assert others == []


def test_servers_are_made_and_met_side_by_side_all_the_same(first: Recording) -> None:
    for node in ("web-1", "db-1"):
        for step in ("ip", "server", "agent-file", "keys"):
            assert "web-2-apply" not in first[f"{node}-{step}"].dependencies
        assert "web-2-apply" in first[f"{node}-apply"].dependencies


def test_the_canary_answers_for_itself(canary: Recording) -> None:
    for step in TOUCHING:
        assert list(canary[f"web-2-{step}"].request.hooks.on_error) == ["wireguard-mesh-canary"]
        assert list(canary[f"web-1-{step}"].request.hooks.on_error) == ["wireguard-mesh-reconnect"]


def test_without_a_canary_nodes_do_not_wait_for_each_other() -> None:
    plain = run(_mesh())
    for node in NODES:
        for step in TOUCHING:
            names = plain[f"{node}-{step}"].dependencies
            assert not [name for name in names if name.endswith("-apply")]


def test_naming_a_canary_changes_no_input(canary: Recording) -> None:
    plain = run(_mesh(), existing=canary)
    for name, each in plain.resources.items():
        if "input" not in each.request.ignoreChanges:
            assert each.inputs == canary[name].inputs


def _out(name: str) -> dict[str, Any]:
    return _mesh(
        nodes={other: {**node, "enabled": other != name} for other, node in NODES.items()},
    )


def test_a_node_that_is_out_is_in_nobodys_files() -> None:
    up = run(_mesh())
    out = run(_out("db-1"), existing=up)
    assert set(out["directory"].inputs["input"]) == {"web-1", "web-2"}
    for node in ("web-1", "web-2"):
        assert "db-1" in up[f"{node}-apply"].inputs["stdin"]
        assert "db-1" not in out[f"{node}-apply"].inputs["stdin"]


def test_a_node_that_is_out_keeps_everything_it_has() -> None:
    up = run(_mesh())
    out = run(_out("db-1"), existing=up)
    assert set(out.resources) == set(up.resources)
    for name in ("db-1-ip", "db-1-server"):
        assert out[name].inputs == up[name].inputs
    assert {"serverType", "location"} <= set(out["db-1-server"].request.ignoreChanges)
    assert list(out["db-1-ip"].request.ignoreChanges) == ["location"]
    for step in TOUCHING:
        before, after = up[f"db-1-{step}"], out[f"db-1-{step}"]
        changed = {
            key for key in before.inputs | after.inputs if before.inputs.get(key) != after.inputs.get(key)
        }
        assert changed <= set(after.request.ignoreChanges)
        # whatever else it could change by is held as well: connection, files, a server made again
        assert set(after.inputs) <= set(after.request.ignoreChanges)
        assert after.deleted_with == "db-1-server"


def test_a_node_that_is_out_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    up = run(_mesh())
    with cloud_with_servers_off("test-db-1") as access:
        monkeypatch.setattr(CloudAccess, "configured", lambda: access)
        assert "db-1-power" not in run(_out("db-1"), existing=up).resources
        started = run(_mesh(), existing=up)
        assert started["db-1-power"].inputs["input"] == "off: will be started"
        assert run(_out("db-1"), existing=started)["db-1-power"].inputs["input"] == "left as it is"


def test_back_in_it_gets_what_it_would_have_had_all_along() -> None:
    up = run(_mesh())
    back = run(_mesh(), existing=run(_out("db-1"), existing=up))
    for step in TOUCHING:
        ignored = list(back[f"db-1-{step}"].request.ignoreChanges)
        assert ignored == ([] if step == "apply" else ["connection"])
        for name, value in up[f"db-1-{step}"].inputs.items():
            assert name in ignored or back[f"db-1-{step}"].inputs[name] == value


def test_a_node_that_is_out_from_the_start_is_a_server_without_peers() -> None:
    for preview in (True, False):
        out = run(_out("db-1"), preview=preview)
        files = out["db-1-apply"].inputs["stdin"]
        assert "[Peer]" not in files
        assert "web-1" not in files
        assert "10.10.0.11 db-1\n" in files


def test_outputs_say_who_is_out() -> None:
    assert {name: facts["enabled"] for name, facts in run(_out("db-1")).mesh.nodes.items()} == {
        "web-1": True,
        "web-2": True,
        "db-1": False,
    }
