"""`mesh add` and `mesh remove` as an operator types them: which file, what is shown, how it is written."""

import hashlib
import json
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner, Result

from mesh.__main__ import app
from mesh.edit import files
from mesh.edit.errors import EditError

_TEXT: Final = """encryptionsalt: v1:salt
config:
  hcloud:token: a-token-in-plain-text
  demo:mesh:
    cidr: 10.10.0.0/24
    nodes:
      web-1: {address: 10.10.0.1}
  other:secret: another-in-plain-text
"""


@pytest.fixture(autouse=True)
def _a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PULUMI_STACK", raising=False)


def type_command(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def project(folder: Path, *stacks: str) -> Path:
    (folder / "Pulumi.yaml").write_text("name: demo\nruntime: python\nstackConfigDir: stacks\n")
    (folder / "stacks").mkdir()
    for stack in stacks:
        (folder / "stacks" / f"Pulumi.{stack}.yaml").write_text(_TEXT)
    return folder / "stacks"


def test_it_shows_what_has_changed_and_what_comes_next_and_no_secret(tmp_path: Path) -> None:
    path = project(tmp_path, "dev") / "Pulumi.dev.yaml"
    path.chmod(0o640)
    done = type_command("add", "web-2", "--public", "tcp/80", "--public", "tcp/443")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == (
        "--- stacks/Pulumi.dev.yaml\n"
        "+++ stacks/Pulumi.dev.yaml\n"
        "@@ -5,3 +5,4 @@\n"
        "     cidr: 10.10.0.0/24\n"
        "     nodes:\n"
        "       web-1: {address: 10.10.0.1}\n"
        "+      web-2: {address: 10.10.0.2, public: [tcp/80, tcp/443]}\n"
    )
    assert "Next: pulumi preview --diff" in done.stderr
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]
    gone = type_command("remove", "web-2", "--stack", "organization/demo/dev")
    assert gone.exit_code == 0, gone.stderr
    assert path.read_text() == _TEXT
    refused = type_command("remove", "web-1")
    assert isinstance(refused.exception, EditError)
    assert str(refused.exception).startswith("stacks/Pulumi.dev.yaml: web-1 is the only node")
    assert path.read_text() == _TEXT


def test_a_rotation_is_shown_with_what_comes_next(tmp_path: Path) -> None:
    path = project(tmp_path, "dev") / "Pulumi.dev.yaml"
    done = type_command("rotate", "--preshared")
    assert done.exit_code == 0, done.stderr
    assert "+    rotation: {preshared: 2}\n" in done.stdout
    assert "every pair: the next `pulumi up` makes another pre-shared key\n" in done.stderr
    assert "Next: pulumi preview --diff" in done.stderr
    done = type_command("rotate", "web-1", "--stack", "dev")
    assert "+      web-1: {address: 10.10.0.1, generation: 2}\n" in done.stdout
    text = path.read_text()
    refused = type_command("rotate", "web-2")
    assert str(refused.exception) == (
        "stacks/Pulumi.dev.yaml: 'web-2' is not a node of this mesh; it has web-1"
    )
    assert path.read_text() == text


def test_lines_that_hold_more_than_the_mesh_are_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(
        "config: {hcloud:token: in-plain-text, "
        "demo:mesh: {cidr: 10.10.0.0/24, nodes: {web-1: {address: 10.10.0.1}}}}\n"
    )
    done = type_command("add", "web-2", "--file", "any.yaml")
    assert done.exit_code == 0, done.stderr
    assert "web-2: {address: 10.10.0.2}" in path.read_text()
    assert "in-plain-text" not in done.stdout + done.stderr


def test_the_stack_is_named_or_set_or_selected_or_the_only_one(tmp_path: Path) -> None:
    stacks = project(tmp_path, "dev", "prod", "lab.example")

    def found(stack: str | None = None, **environment: str) -> str:
        home = {"PULUMI_HOME": str(tmp_path / "home")}
        return files.find(stacks, stack, {**home, **environment}).path.name

    assert found("acme/demo/prod", PULUMI_STACK="dev") == "Pulumi.prod.yaml"
    assert found(PULUMI_STACK="dev") == "Pulumi.dev.yaml"
    with pytest.raises(EditError, match=r"name one with --stack .*: dev, prod"):
        found()
    with pytest.raises(EditError, match=r"Pulumi\.test\.yaml: there is no such file; .*: dev, prod"):
        found("test")
    # as Pulumi notes `pulumi stack select`: the name in the file's name is the SHA-1 of the project's path
    digest = hashlib.sha1(str(tmp_path / "Pulumi.yaml").encode()).hexdigest()
    note = tmp_path / "home" / "workspaces" / f"demo-{digest}-workspace.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"stacks": {"file:///a": "organization/demo/prod"}}))
    assert found() == "Pulumi.prod.yaml"
    note.write_text(
        json.dumps({"stacks": {"file:///a": "organization/demo/prod", "file:///b": "acme/demo/dev"}})
    )
    assert found(PULUMI_BACKEND_URL="file:///b") == "Pulumi.dev.yaml"
    with pytest.raises(EditError, match="no stack is selected"):
        found()
    note.unlink()
    (stacks / "Pulumi.prod.yaml").unlink()
    assert found() == "Pulumi.dev.yaml"


def test_without_a_project_a_file_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(EditError, match=r"no Pulumi.yaml in .* --file"):
        files.find(tmp_path, None, {})


def test_a_link_stays_a_link_and_the_file_behind_it_is_written(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "Pulumi.dev.yaml", tmp_path / "Pulumi.dev.yaml"
    real.parent.mkdir()
    real.write_bytes(b"a\r\n")
    link.symlink_to(real)
    files.write(link, "a\r\n", "b\r\n")
    assert link.is_symlink()
    assert real.read_bytes() == b"b\r\n"
    assert [path.name for path in real.parent.iterdir()] == [real.name]


def test_a_file_that_has_changed_since_it_was_read_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text("newer")
    with pytest.raises(EditError, match="changed by another program"):
        files.write(path, "older", "edited")
    assert path.read_text() == "newer"


def test_two_names_for_a_file_are_refused() -> None:
    done = type_command("add", "web-2", "--file", "a.yaml", "--stack", "dev")
    assert isinstance(done.exception, EditError)
    assert str(done.exception) == "--stack and --file both name a stack file: give one of them"
