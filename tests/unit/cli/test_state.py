import pytest

from mesh.cli.engine import CliError
from mesh.cli.state import parse_state
from mesh.names import MeshNames
from tests.unit.cli.stack import (
    COMMAND,
    COPY,
    SERVER,
    URN,
    command,
    exported,
    generations,
    node_resources,
    resource,
)


def test_each_node_has_the_document_its_last_apply_sent() -> None:
    found = parse_state(
        exported(
            *node_resources("web-1"),
            command("web-2-apply", "document 2\n"),
            command("office.web-3-apply", "of another mesh\n"),
            command("web-2-apply", "replaced meanwhile\n", delete=True),
        ),
        ["web-1", "web-2", "web-3"],
    ).files
    assert list(found) == ["web-1", "web-2"], "the third one has no files yet"
    assert found["web-1"].document == "document of web-1\n"
    assert found["web-1"].agent == "ab" * 32
    assert found["web-2"].document == "document 2\n"
    assert found["web-2"].agent is None


def test_what_lies_beside_the_mesh_is_no_part_of_it_whatever_its_name() -> None:
    own = {**command("web-1-apply", "apt install nginx\n"), "urn": f"urn:pulumi:s::p::{COMMAND}::web-1-apply"}
    found = parse_state(exported(*node_resources("web-1"), own), ["web-1"])
    assert found.files["web-1"].document == "document of web-1\n"


def test_what_can_be_replaced_is_named_as_the_engine_does() -> None:
    node = resource("wireguard-mesh:index:Node", "web-1-server")
    found = parse_state(exported(*node_resources("web-1"), node), ["web-1"])
    assert found.server("web-1") == f"{URN}${SERVER}::web-1-server"
    assert found.keys("web-1") == f"{URN}${COMMAND}::web-1-keys"
    assert found.agent("web-1") == (f"{URN}${COPY}::web-1-agent-file", f"{URN}${COMMAND}::web-1-keys")


def test_a_state_of_an_older_version_says_which_agent_was_sent() -> None:
    """Until its next `up`, and for a node that is not enabled then, which keeps the commands that it has."""
    older = [
        command("web-1-apply", "document 1\n"),
        resource(COMMAND, "web-1-keys", inputs={"create": "exec python3 wgmesh.pyz keys", "stdin": "x"}),
    ]
    installed = command("web-1-agent", "cd" * 32)
    assert parse_state(exported(*older, installed), ["web-1"]).files["web-1"].agent == "cd" * 32
    assert parse_state(exported(*older), ["web-1"]).files["web-1"].agent is None


def test_a_node_is_found_by_the_name_that_the_outputs_still_have_when_a_run_that_renames_was_stopped() -> (
    None
):
    renamed = command("front-apply", "document\n", aliases=[f"{URN}${COMMAND}::web-1-apply"])
    found = parse_state(exported(renamed, *node_resources("db-1")), ["web-1", "db-1"])
    assert found.files["web-1"].document == "document\n"
    assert found.steps["web-1", "apply"].endswith("::front-apply")
    assert parse_state(exported(renamed), ["front"]).files["front"].document == "document\n"


def test_an_empty_stack_has_no_files() -> None:
    assert parse_state({"version": 3, "deployment": {}}, ["web-1"]).files == {}


def test_files_that_are_encrypted_are_refused_by_name() -> None:
    with pytest.raises(CliError, match="web-1: the node's files are marked as a secret"):
        parse_state(exported(command("web-1-apply", {"ciphertext": "x"})), ["web-1"])


def test_another_mesh_of_the_stack_has_its_own_files_and_names() -> None:
    state = exported(command("web-1-apply", "document 1\n"), command("office.web-1-apply", "document 2\n"))
    found = parse_state(state, ["web-1"], MeshNames("office"))
    assert found.files["web-1"].document == "document 2\n"
    assert found.steps["web-1", "apply"].endswith("::office.web-1-apply")


def test_the_record_of_keys_is_that_of_the_mesh_and_empty_without_rotation() -> None:
    state = exported(generations(), generations("office.generations", maxAge=90))
    assert "maxAge" not in parse_state(state, []).generations
    assert parse_state(state, [], MeshNames("office")).generations["maxAge"] == 90
    assert parse_state(exported(), []).generations == {}
    gone = {**generations(maxAge=90), "delete": True}
    assert parse_state(exported(gone), []).generations == {}
