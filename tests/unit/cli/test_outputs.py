import sys
from pathlib import Path
from typing import Any

import pytest

from mesh.cli.engine import CliError, refuse_two_stacks
from mesh.cli.outputs import node_of, read_outputs
from tests.unit.cli.stack import NODES, OUTPUTS, UNKNOWN, changed, engine, type_command


def test_nodes_come_in_the_order_of_their_addresses(tmp_path: Path) -> None:
    mesh = read_outputs(engine(tmp_path, OUTPUTS), None)
    assert list(mesh.nodes) == ["web-1", "db-1"]
    assert node_of(mesh, "db-1").public_ip == "192.0.2.11"
    assert mesh.ssh_private_key == OUTPUTS["ssh_private_key"]


@pytest.mark.parametrize(("stack", "asked"), [(None, ""), ("prod", " --stack prod")])
def test_the_engine_is_asked_for_the_stack(tmp_path: Path, stack: str | None, asked: str) -> None:
    read_outputs(engine(tmp_path, OUTPUTS), stack)
    assert (tmp_path / "asked").read_text() == f"stack output --json --show-secrets{asked}"


def test_a_port_of_its_own_and_being_out_are_read(tmp_path: Path) -> None:
    mesh = read_outputs(engine(tmp_path, changed(db_1={"ssh_port": 2222.0, "enabled": False})), None)
    assert [(node.ssh_port, node.enabled) for node in mesh.nodes.values()] == [(22, True), (2222, False)]
    assert str(node_of(mesh, "db-1").ssh_port) == "2222"


def test_a_stack_that_was_never_up_says_so(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no mesh yet: bring it up first"):
        read_outputs(engine(tmp_path, {}), None)


@pytest.mark.parametrize(
    "outputs",
    [{"wireguard_mesh": {"format": 1}}, {"nodes": NODES}, {"nodes": [], "ssh_private_key": "k"}],
)
def test_a_stack_whose_outputs_are_no_mesh_says_what_to_export(tmp_path: Path, outputs: Any) -> None:
    with pytest.raises(CliError, match="have the program export the mesh's `outputs`"):
        read_outputs(engine(tmp_path, outputs), None)


def test_an_output_with_the_name_of_a_key_of_ours_is_not_said(tmp_path: Path) -> None:
    """The stack's outputs are a record themselves, and may have the same mesh once more, as `mesh`."""
    assert list(read_outputs(engine(tmp_path, {**OUTPUTS, "mesh": OUTPUTS}), None).nodes) == ["web-1", "db-1"]
    other = {**OUTPUTS, "nodes": {"web-1": NODES["web-1"]}}
    with pytest.raises(CliError) as refused:
        read_outputs(engine(tmp_path, {**OUTPUTS, "mesh": other}), None)
    assert str(refused.value) == "two outputs of the stack hold the mesh mesh: export each mesh once"
    with pytest.raises(CliError, match="'My Mesh' cannot be the name of a mesh"):
        read_outputs(engine(tmp_path, {**OUTPUTS, "mesh": "My Mesh"}), None)


@pytest.mark.parametrize("fact", ["public_ip", "public_key", "host_key"])
@pytest.mark.parametrize("value", [None, "", UNKNOWN])
def test_a_node_that_was_never_made_is_named_and_the_others_are_there(
    tmp_path: Path, fact: str, value: str | None
) -> None:
    mesh = read_outputs(engine(tmp_path, changed(db_1={fact: value})), None)
    assert list(mesh.nodes) == ["web-1"]
    assert mesh.missing == ["db-1"]
    with pytest.raises(CliError, match=r"^db-1: not made yet: run `up` again$"):
        node_of(mesh, "db-1")


def test_a_node_that_is_out_is_not_missing(tmp_path: Path) -> None:
    mesh = read_outputs(engine(tmp_path, changed(db_1={"public_ip": UNKNOWN, "enabled": False})), None)
    assert mesh.missing == []
    assert "db-1" not in mesh.nodes


def test_an_engine_that_fails_has_said_why_itself(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="its message is above"):
        read_outputs(engine(tmp_path, {}, code=1), None)


def test_an_engine_that_is_not_installed_is_named() -> None:
    with pytest.raises(CliError, match="`no-such-engine` is not on PATH; name the engine with --pulumi"):
        read_outputs("no-such-engine run", None)


def test_an_unknown_node_is_answered_with_those_there_are(tmp_path: Path) -> None:
    mesh = read_outputs(engine(tmp_path, OUTPUTS), None)
    with pytest.raises(CliError, match="'web-9' is not a node of this stack; it has web-1, db-1"):
        node_of(mesh, "web-9")


def test_an_engine_that_speaks_of_another_stack_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "wrapper.py"
    script.write_text(
        "import sys\n"
        "words = [*sys.argv[1:], '--stack', 'lab']\n"
        "print(words[-1] if '--show-name' in words else '{}')\n"
    )
    wrapper = f"{sys.executable} {script}"
    with pytest.raises(CliError, match=r"--stack is nope, but .* answers for the stack lab"):
        read_outputs(wrapper, "nope")
    with pytest.raises(CliError, match="no mesh yet"):
        read_outputs(wrapper, "organization/wireguard-mesh/lab")


@pytest.mark.parametrize(
    "words", ["check --stack a --stack b", "check --stack=a --stack b", "ssh --stack a web-1 up --stack b"]
)
def test_two_stacks_are_refused(words: str) -> None:
    with pytest.raises(CliError, match="two stacks are named, a and b"):
        refuse_two_stacks(words.split())


@pytest.mark.parametrize(
    "words", ["check --stack a", "ssh --stack a web-1 -- up --stack b", "check", "reach --json"]
)
def test_one_stack_is_not(words: str) -> None:
    refuse_two_stacks(words.split())


def test_a_stack_of_a_newer_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    newer = changed(web_1={"tunnels": [{}]})
    newer = {**newer, "wireguard_mesh": {"format": 9, "version": "9.0.0", "more": 1}, "else": 5}
    assert list(read_outputs(engine(tmp_path, newer), None).nodes) == ["web-1", "db-1"]


def test_an_ipv6_address_in_the_mesh_is_read_where_there_is_one(tmp_path: Path) -> None:
    mesh = read_outputs(engine(tmp_path, changed(web_1={"address6": "fd00::2"})), None)
    assert {name: node.address6 for name, node in mesh.nodes.items()} == {"web-1": "fd00::2", "db-1": None}


def test_a_stack_of_an_older_version_gets_the_defaults_of_its_time(tmp_path: Path) -> None:
    older = {
        name: {key: value for key, value in facts.items() if key not in {"enabled", "ssh_port"}}
        for name, facts in NODES.items()
    }
    mesh = read_outputs(engine(tmp_path, {**OUTPUTS, "nodes": older}), None)
    assert [(node.enabled, node.ssh_port) for node in mesh.nodes.values()] == [(True, 22), (True, 22)]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"address": "fd00::2"}, "has no IPv4 address in the mesh"),
        ({"address": None}, "has no IPv4 address in the mesh"),
        ({"address6": "10.10.0.2"}, "has an address6 that is no IPv6 address"),
        ({"address6": 6}, "has an address6 that is no IPv6 address"),
        ({"ssh_port": "22"}, "has an ssh_port that is not a port"),
        ({"ssh_port": 1e9}, "has an ssh_port that is not a port"),
        ({"public_ip": ["192.0.2.2"]}, "has a public_ip that is not text"),
    ],
)
@pytest.mark.parametrize(
    ("program", "writer"), [({}, "an older version"), ({"version": "9.0.0"}, "version 9.0.0")]
)
def test_what_cannot_be_read_names_the_version_that_wrote_it_and_what_to_do(
    tmp_path: Path, facts: dict[str, Any], says: str, program: dict[str, str], writer: str
) -> None:
    outputs = {**changed(web_1=facts), "wireguard_mesh": program}
    with pytest.raises(CliError) as caught:
        read_outputs(engine(tmp_path, outputs), None)
    assert str(caught.value).startswith(f"the stack's outputs were written by {writer} and cannot be read by")
    assert f"the entry of web-1 {says}; run `up` with this version, or use the commands of" in str(
        caught.value
    )


def test_an_entry_that_is_no_mapping_is_a_sentence_too(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="the entry of web-1 is no mapping; run `up`"):
        read_outputs(engine(tmp_path, {**OUTPUTS, "nodes": {"web-1": 5}}), None)


TWO = {**OUTPUTS, "office": {**OUTPUTS, "mesh": "office", "nodes": {"desk": NODES["web-1"]}}}


def test_of_several_meshes_one_is_named(tmp_path: Path) -> None:
    asked = engine(tmp_path, TWO)
    assert list(read_outputs(asked, None, "office").nodes) == ["desk"]
    assert list(read_outputs(asked, None, "mesh").nodes) == ["web-1", "db-1"]
    with pytest.raises(CliError, match="has several meshes: name one with --mesh, of mesh, office"):
        read_outputs(asked, None)
    with pytest.raises(CliError, match="has no mesh 'home'; it has mesh, office"):
        read_outputs(asked, None, "home")


def test_a_mesh_that_is_exported_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="two outputs of the stack hold the mesh office"):
        read_outputs(engine(tmp_path, {**TWO, "again": {**TWO["office"], "nodes": NODES}}), None)


def test_a_command_takes_the_name_of_a_mesh(tmp_path: Path) -> None:
    run = type_command(tmp_path, TWO, "ssh", "web-9", "--mesh", "office")
    assert run.stderr == "error: 'web-9' is not a node of this stack; it has desk\n"
    for command in ("check", "status", "reach"):
        run = type_command(tmp_path, TWO, command)
        assert run.stderr == "error: the stack has several meshes: name one with --mesh, of mesh, office\n"
