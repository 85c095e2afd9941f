"""A rotation of keys reads as one: how many sessions, that none ends, which devices need something."""

import json
import re
from typing import Any, Final

import pytest

from mesh.review import as_markdown, review
from tests.unit.review.previews import document_of, preview_of, step_of

_MESH: Final[dict[str, Any]] = {
    "cidr": "10.10.0.0/24",
    "nodes": {
        "web-1": {"address": "10.10.0.1"},
        "web-2": {"address": "10.10.0.2"},
        "db-1": {"address": "10.10.0.11"},
    },
    "clients": {
        "laptop": {"address": "10.10.0.200", "to": ["web-1"]},
        "phone": {"address": "10.10.0.201", "to": ["db-1"]},
    },
}
_STACK: Final = "urn:pulumi:dev::wireguard-mesh::"
_NODE: Final = f"{_STACK}wireguard-mesh:index:Mesh$wireguard-mesh:index:Node"
_COMMAND: Final = "command:remote:Command"
_STASH: Final = "pulumi:index:Stash"
_SERVER: Final = "hcloud:index/server:Server"
_UNKNOWN: Final = "<known after up>"


def _on(text: str) -> str:
    """A document of a mesh that has rotation."""
    text = re.sub(r"(ListenPort = \d+\n)", r"\1# NextPort = 51821\n", text)
    return re.sub(r"(# (?:laptop|phone)\n(?:.+\n)*AllowedIPs = .*\n)", r"\1# Client = yes\n", text)


def _with_key(text: str, name: str, key: str, node: str) -> str:
    """Give a node another key, in its own document or as a peer."""
    if node == name:
        return re.sub(r"# PrivateKey = .*", f"# PrivateKey = key:{key}", text)
    return re.sub(rf"(# {name}\n\[Peer\]\nPublicKey = ).*", rf"\g<1>{key}", text)


def _rekeyed(names: tuple[str, ...], key: str = _UNKNOWN) -> dict[str, str]:
    found = {}
    for node in _MESH["nodes"]:
        text = str(document_of(_MESH, node))
        for name in names:
            text = _with_key(text, name, key, node)
        found[node] = text
    return found


def _read(
    before: dict[str, str], after: dict[str, str], *replaced: str, updated: str = "", server: str = ""
) -> str:
    """The review of a preview in which documents change, and stashes, or a node's server, are replaced."""
    preview = json.loads(preview_of(_MESH, _MESH))
    if server:
        made = step_of(
            f"{_NODE}${_SERVER}::{server}-server", _SERVER, f"{_NODE}::{server}", {"name": "a"}, {"name": "b"}
        )
        preview["steps"] += [{**each, "op": "replace"} for each in made]
    for node, text in before.items():
        urn = f"{_NODE}${_COMMAND}::{node}-apply"
        preview["steps"] += step_of(
            urn, _COMMAND, f"{_NODE}::{node}", {"stdin": text}, {"stdin": after[node]}
        )
    for name in replaced:
        if name.endswith("-own-key"):
            parent = f"{_NODE}::{name.removesuffix('-own-key')}"
            made = step_of(f"{_NODE}${_COMMAND}::{name}", _COMMAND, parent, {"stdin": "1"}, {"stdin": "2"})
            preview["steps"] += [{**each, "op": "replace"} for each in made]
            continue
        parent = f"{_NODE}::{name.removesuffix('-identity')}" if name.endswith("identity") else _mesh()
        preview["steps"].append(_stash(name, parent, "replace"))
    if updated:
        preview["steps"].append(_stash(updated, _mesh(), "update"))
    preview["changeSummary"] = {"update": 1}
    return as_markdown(review(json.dumps(preview)))


def _mesh() -> str:
    return f"{_STACK}wireguard-mesh:index:Mesh::mesh"


def _stash(name: str, parent: str, op: str) -> dict[str, Any]:
    urn = f"{_STACK}wireguard-mesh:index:Mesh${_STASH}::{name}"
    state = {"urn": urn, "type": _STASH, "parent": parent, "inputs": {}}
    return {"op": op, "urn": urn, "oldState": state, "newState": state}


def _before() -> dict[str, str]:
    return {node: str(document_of(_MESH, node)) for node in _MESH["nodes"]}


def _rotating(texts: dict[str, str]) -> dict[str, str]:
    return {node: _on(text) for node, text in texts.items()}


def _section(text: str) -> list[str]:
    found = text.partition("### Sessions that get new keys")[2].partition("###")[0]
    return [line.removeprefix("- ") for line in found.splitlines() if line.startswith("- ")]


def test_the_identities_of_all_nodes() -> None:
    names = tuple(_MESH["nodes"])
    text = _read(
        _rotating(_before()), _rotating(_rekeyed(names)), *(f"{name}-identity" for name in names),
        updated="generations",
    )  # fmt: skip
    assert text.startswith(
        "## 3 sessions re-keyed, none interrupted; 2 clients need their configurations again (laptop, phone)"
    )
    assert _section(text) == [
        "another WireGuard key of all 3 nodes: 3 sessions re-keyed, none interrupted, with all 3 nodes",
        "laptop: write its configuration again with `mesh client laptop`",
        "phone: write its configuration again with `mesh client phone`",
    ]
    assert "generations" not in text


@pytest.mark.parametrize("made", ["db-1-identity", "db-1-own-key"])
def test_the_key_of_one_node(made: str) -> None:
    text = _read(_rotating(_before()), _rotating(_rekeyed(("db-1",))), made)
    assert text.startswith(
        "## 2 sessions re-keyed, none interrupted; 1 client needs its configuration again ("
    )
    assert _section(text) == [
        "another WireGuard key of db-1: 2 sessions re-keyed, none interrupted, with web-1, web-2",
        "phone: write its configuration again with `mesh client phone`",
    ]


def test_the_run_that_switches_rotation_on_may_rotate_at_once() -> None:
    text = _read(_before(), _rotating(_rekeyed(("db-1",), "known")))
    assert text.startswith("## 2 sessions re-keyed, none interrupted; ")


def test_the_pre_shared_keys_of_all_pairs() -> None:
    after = {
        node: re.sub(r"# PresharedKey = .*", f"# PresharedKey = key:{_UNKNOWN}", text)
        for node, text in _before().items()
    }
    text = _read(_rotating(_before()), _rotating(after), "preshared-root")
    assert text.startswith("## 3 sessions re-keyed, none interrupted; 2 clients need")
    assert _section(text)[0] == (
        "another pre-shared key: 3 sessions re-keyed, none interrupted, db-1/web-1, db-1/web-2, web-1/web-2"
    )
    assert "not known before" not in text


def test_without_rotation_sessions_begin_again() -> None:
    text = _read(_before(), _rekeyed(("db-1",)), "db-1-identity")
    assert text.startswith("## 2 sessions get new keys; ")
    assert "interrupted" not in text
    assert "mesh client" not in text


def _port_moves(text: str) -> str:
    return text.replace("ListenPort = 51820", "ListenPort = 51900")


def test_with_another_port_sessions_begin_again() -> None:
    after = {node: _port_moves(text) for node, text in _rotating(_rekeyed(("db-1",))).items()}
    text = _read(_rotating(_before()), after, "db-1-identity")
    assert "2 sessions get new keys" in text
    assert "none interrupted" not in text


def test_one_end_that_cannot_rotate_is_enough_for_an_interruption() -> None:
    after = _rotating(_rekeyed(("db-1",)))
    after["web-1"] = _rekeyed(("db-1",))["web-1"]
    text = _read(_before(), after, "db-1-identity")
    assert "1 session re-keyed, none interrupted; 1 session gets new keys" in text
    assert "another WireGuard key of db-1: 1 session, with web-1" in _section(text)


@pytest.mark.parametrize("old", ["web-1", "db-1"])
def test_a_pair_of_which_one_is_renamed_begins_again(old: str) -> None:
    after = {
        node: re.sub(rf"^# {old}(?=$|:)", "# other", text, flags=re.MULTILINE)
        for node, text in _rotating(_rekeyed(("db-1",))).items()
    }
    preview = json.loads(preview_of(_MESH, _MESH))
    for node, text in _rotating(_before()).items():
        now = "other" if node == old else node
        urn = f"{_NODE}${_COMMAND}::{now}-apply"
        (step,) = step_of(urn, _COMMAND, f"{_NODE}::{now}", {"stdin": text}, {"stdin": after[node]})
        step["oldState"].update(urn=f"{_NODE}${_COMMAND}::{node}-apply", parent=f"{_NODE}::{node}")
        preview["steps"].append(step)
    preview["steps"].append(_stash("db-1-identity", f"{_NODE}::db-1", "replace"))
    headline = as_markdown(review(json.dumps(preview))).partition("\n")[0]
    if old == "db-1":
        assert "none interrupted" not in headline
    else:
        assert "1 session re-keyed, none interrupted; 1 session gets new keys" in headline


def test_a_device_whose_own_key_changes_is_a_session_that_begins_again() -> None:
    after = {node: _with_key(text, "phone", "other", node) for node, text in _before().items()}
    text = _read(_rotating(_before()), _rotating(after))
    assert text.startswith("## 1 session gets new keys; ")


def test_sessions_of_a_server_that_is_made_anew_end() -> None:
    text = _read(_rotating(_before()), _rotating(_rekeyed(("web-1",))), "web-1-identity", server="db-1")
    assert text.startswith(
        "## 1 server is deleted and made anew (db-1); 1 session re-keyed, none interrupted; "
        "1 session gets new keys;"
    )
