import json
import re
from pathlib import Path

import pytest
import yaml

from lab.engine.layout import removed, replaced
from lab.engine.project import ProjectError, StackFile
from tests.lab.engine.harness import Project

ROOT = Path(__file__).parents[3]
TEXT = """\
config:
  p:mesh:
    nodes:
      web-1: {address: 10.10.0.1}
      web-1: {address: 10.10.0.2}
"""


def test_a_key_given_twice_is_refused_as_pulumi_does(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.lab.yaml"
    path.write_text(TEXT)
    with pytest.raises(ProjectError, match=r'line 5: mapping key "web-1" already defined at line 4'):
        StackFile(path)


def test_one_line_may_not_repeat_a_key_either(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.lab.yaml"
    path.write_text("config: {a:b: 1, a:b: 2}\n")
    with pytest.raises(ProjectError, match=r'mapping key "a:b" already defined at line 1'):
        StackFile(path)


def test_the_same_key_in_two_places_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.lab.yaml"
    path.write_text(TEXT.replace("web-1: {address: 10.10.0.2}", "web-2: {address: 10.10.0.2}"))
    assert StackFile(path).config["p:mesh"]["nodes"].keys() == {"web-1", "web-2"}


LAID_OUT = """\
# the first line
encryptionsalt: v1:x # salt
config:
  hcloud:endpoint: http://127.0.0.1:8470/v1   # where

  box:mesh:
    # defaults of all
    defaults: {location: fsn1, type: "cx23"}  # short
    nodes:
      web-1: {address: 10.10.0.1, public: [tcp/80, tcp/443]}
      db-1:
        address: 10.10.0.11
    ports:
    - 1
    - 2 # two
# the last line
"""


@pytest.mark.parametrize(
    ("path", "value", "removes", "adds"),
    [
        (["hcloud:endpoint"], "x y", ["endpoint: http"], ["  hcloud:endpoint: x y   # where"]),
        (["box:mesh", "nodes", "web-1", "address"], "10.10.0.9", ["web-1: {address: 10.10.0.1"],
         ["      web-1: {address: 10.10.0.9, public: [tcp/80, tcp/443]}"]),
        (["box:mesh", "nodes", "web-1", "public", 2], "udp/1", ["web-1:"],
         ["      web-1: {address: 10.10.0.1, public: [tcp/80, tcp/443, udp/1]}"]),
        (["box:mesh", "nodes", "web-2", "address"], "10.10.0.2", [],
         ["      web-2:", "        address: 10.10.0.2"]),
        (["box:mesh", "nodes", "db-1", "port"], 5, [], ["        port: 5"]),
        (["box:mesh", "ports", 2], 3, [], ["    - 3"]),
        (["box:mesh", "ports", 1], True, ["    - 2 # two"], ["    - true # two"]),
        (["box:mesh", "defaults", "type"], "a: b", ["defaults:"],
         ["    defaults: {location: fsn1, type: 'a: b'}  # short"]),
        (["box:other"], {"secure": "v1:y"}, [], ["  box:other:", "    secure: v1:y"]),
    ],
)  # fmt: skip
def test_setting_a_value_changes_its_own_line_only(
    path: list[str | int], value: object, removes: list[str], adds: list[str]
) -> None:
    changed = replaced(LAID_OUT, ["config", *path], value)
    before, after = LAID_OUT.splitlines(), changed.splitlines()
    assert [line for line in after if line not in before] == adds
    gone = [line for line in before if line not in after]
    assert len(gone) == len(removes)
    assert all(part in line for part, line in zip(removes, gone, strict=True))
    if not removes:
        assert removed(changed, ["config", *path]).splitlines()[-2:] == before[-2:]


@pytest.mark.parametrize("example", sorted((ROOT / "stacks").glob("*.yaml")), ids=lambda path: path.stem)
def test_config_set_leaves_every_other_line_of_a_real_file_as_it_is(tmp_path: Path, example: Path) -> None:
    project = Project(tmp_path / "box")
    file = project.folder / "Pulumi.dev.yaml"
    file.write_text(example.read_text())
    before = example.read_text().splitlines()
    assert project.run("config set --path wireguard-mesh:mesh.mtu 1400").code == 0
    after = file.read_text().splitlines()
    after.remove("    mtu: 1400")
    assert after == before
    assert project.run("config rm --path wireguard-mesh:mesh.mtu").code == 0
    assert file.read_text() == example.read_text()
    assert project.run("config set --path wireguard-mesh:mesh.cidr 10.9.0.0/16").code == 0
    changed = [pair for pair in zip(before, file.read_text().splitlines(), strict=True) if pair[0] != pair[1]]
    assert [re.sub(r"10[\d./]+", "10.9.0.0/16", old) for old, _ in changed] == [new for _, new in changed]
    assert len(changed) == 1


@pytest.mark.parametrize("text", ["", "# only words\n", "config:\n", "config: {}\n", "config: # none yet\n"])
def test_the_first_value_is_put_in(text: str) -> None:
    changed = replaced(text, ["config", "a:b"], "1")
    assert yaml.safe_load(changed) == {"config": {"a:b": "1"}}
    assert all(word in changed for word in text.split() if word != "{}")


def test_removing_the_last_value_leaves_a_valid_file() -> None:
    assert yaml.safe_load(removed("config:\n  a:b: 1\nother: 2\n", ["config", "a:b"])) == {
        "config": {},
        "other": 2,
    }
    assert removed(LAID_OUT, ["config", "nothing"]) == LAID_OUT


def test_a_preview_leaves_an_empty_stack_file_alone(tmp_path: Path) -> None:
    project = Project(tmp_path / "box")
    file = project.folder / "Pulumi.dev.yaml"
    for text in ("", "config: {}\n"):
        file.write_text(text)
        project.write("")
        assert project.run("preview").code == 0
        assert file.read_text() == text
    assert project.run("up --yes --skip-preview").code == 0
    assert file.read_text().startswith("encryptionsalt: ")


def test_stacks_and_configuration_are_listed_set_and_removed_as_pulumi_does(tmp_path: Path) -> None:
    project = Project(tmp_path / "box")
    for words in ("set box:b 2", "set --secret a hush", "set --path m.list[0] 3", "set hcloud:token t"):
        assert project.run(f"config {words}").code == 0
    listed = """\
KEY           VALUE
a             [secret]
b             2
m             {"list": [3]}
hcloud:token  t
"""
    assert project.run("config").out == listed
    assert "hush" in project.run("config --show-secrets --stack dev").out
    assert json.loads(project.run("config --json").out)["box:a"] == {"secret": True}
    project.run("stack init other")
    assert [line.split()[0] for line in project.run("stack ls --stack dev").out.splitlines()] == [
        "NAME",
        "dev*",
        "other",
    ]
    assert json.loads(project.run("stack ls --json").out)[1]["resourceCount"] == 0
    assert project.run("version --stack dev").out == "v3.260.0\n"
    assert project.run("stack rm other --yes --preserve-config").code == 0
    assert (project.folder / "Pulumi.other.yaml").exists()
    assert project.run("stack rm --yes --stack dev").code == 0
    assert not (project.folder / "Pulumi.dev.yaml").exists()
    assert [line.split()[0] for line in project.run("stack ls").out.splitlines()] == ["NAME"]
