import re
from typing import Any

import pulumi
import pytest
from pulumi.runtime.rpc import UNKNOWN

from mesh.render import UNKNOWN_TEXT
from tests.unit.program.recording import Recording, is_secret, run

NODES: dict[str, Any] = {"a": {"address": "10.10.0.1"}, "b": {"address": "10.10.0.2"}}


def _mesh(**more: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": {**NODES, **more}}


def _files(recording: Recording, node: str) -> str:
    value = recording[f"{node}-apply"].inputs["stdin"]
    assert isinstance(value, str)
    return value


def test_a_preview_of_nothing_changed_shows_nothing_changed() -> None:
    up = run(_mesh())
    preview = run(_mesh(), existing=up, preview=True)
    for name, each in preview.resources.items():
        assert each.changed_since(up[name]) == set(), name


def test_a_preview_makes_no_key_that_will_never_be() -> None:
    preview = run(_mesh(), preview=True)
    for name in ("management-key", "preshared-root", "a-identity", "a-host-key", "a-first-contact-key"):
        value = preview[name].inputs["input"]
        assert is_secret(value)
        assert value["value"] == UNKNOWN


def test_the_first_preview_shows_the_files_of_servers_that_do_not_exist() -> None:
    files = _files(run(_mesh(), preview=True), "a")
    assert f"# b\n[Peer]\nPublicKey = {UNKNOWN_TEXT}\n" in files
    assert "AllowedIPs = 10.10.0.2/32\n" in files
    assert f"Endpoint = {UNKNOWN_TEXT}\n" in files
    assert f"# PresharedKey = key:{UNKNOWN_TEXT}\n" in files


def test_a_preview_shows_the_files_of_new_nodes_only_line_by_line_and_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[tuple[str, bool]] = []

    def info(text: str, resource: object, *, ephemeral: bool) -> None:
        heard.append((text, ephemeral))

    monkeypatch.setattr(pulumi.log, "info", info)
    first = run(_mesh(), preview=True)
    assert [(text.split()[0], ephemeral) for text, ephemeral in heard] == [("a", True), ("b", True)]
    assert _files(first, "a").splitlines() == [
        line.removeprefix("    ") for line in heard[0][0].splitlines()[1:]
    ]
    heard.clear()
    run(_mesh())
    assert heard == [], "an up shows nothing of it"


def test_a_preview_of_one_more_node_shows_exactly_its_lines() -> None:
    up = run(_mesh())
    preview = run(_mesh(c={"address": "10.10.0.3"}), existing=up, preview=True)
    before, after = _files(up, "a").splitlines(), _files(preview, "a").splitlines()
    assert [line for line in before if line not in after] == []
    added = [line.strip() for line in after if line not in before]
    fingerprint = next(line for line in added if line.startswith("# PresharedKey = key:"))
    assert UNKNOWN_TEXT not in fingerprint
    assert added == [
        "# c",
        f"PublicKey = {UNKNOWN_TEXT}",
        fingerprint,
        "AllowedIPs = 10.10.0.3/32",
        f"Endpoint = {UNKNOWN_TEXT}",
        f"{UNKNOWN_TEXT},",
        "10.10.0.3 c",
    ]


_MADE_ANEW = ["a-identity", "b-identity", "a-ip", "b-ip", "a-server", "preshared-root", "management-key"]


@pytest.fixture(scope="module")
def before() -> Recording:
    return run(_mesh())


@pytest.mark.parametrize("anew", [*([name] for name in _MADE_ANEW), _MADE_ANEW], ids=" ".join)
def test_whatever_is_made_anew_the_files_are_shown_with_what_is_known(
    before: Recording, anew: list[str]
) -> None:
    preview = run(_mesh(), existing=before, preview=True, replaced=anew)
    files = _files(preview, "a")
    assert files.startswith("wgmesh-files 1\n")
    private, public, shared, endpoint, management = (
        UNKNOWN_TEXT in next(line for line in files.splitlines() if re.search(sign, line))
        for sign in ("^# PrivateKey", "^PublicKey", "^# PresharedKey", "^Endpoint", " wireguard-mesh$")
    )
    assert private == ("a-identity" in anew)
    assert public == ("b-identity" in anew)
    assert shared == ("preshared-root" in anew)
    assert endpoint == ("b-ip" in anew)
    assert management == ("management-key" in anew)


def test_the_directory_is_unknown_leaf_by_leaf() -> None:
    up = run(_mesh())
    preview = run(_mesh(c={"address": "10.10.0.3"}), existing=up, preview=True)
    facts = preview["directory"].inputs["input"]
    assert facts["a"] == up["directory"].inputs["input"]["a"]
    assert facts["c"] == {"address": "10.10.0.3", "public_key": UNKNOWN, "endpoint": UNKNOWN}


def test_files_in_a_preview_are_never_secret_or_unknown_as_a_whole() -> None:
    preview = run(_mesh(), preview=True)
    assert _files(preview, "a").startswith("wgmesh-files 1\n")
