"""`stack` and `stack output`: what is shown, in Pulumi's form, with secrets only when asked for."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.lab.engine.harness import Project

PROGRAM = """\
class Group(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("box:m:Group", name)
        one = Stash(f"{name}-one", input=1, opts=ResourceOptions(parent=self))
        self.two = Stash(f"{name}-two", input=1, opts=ResourceOptions(parent=self, depends_on=[one]))


# one after the other, as the tree is in the order of the state
group = Group("group")
Stash("last", input=1, opts=ResourceOptions(depends_on=[group.two]))
pulumi.export("z", {"b": [1, 2.5, True, None], "a": "ü<b>"})
pulumi.export("plain", "it's $HOME")
pulumi.export("inside", {"deep": pulumi.Output.secret("hush")})
"""
TREE = """\
Current stack resources (6):
    TYPE                        NAME
    pulumi:pulumi:Stack         box-dev
    ├─ box:m:Group              group
    │  ├─ pulumi:index:Stash    group-one
    │  └─ pulumi:index:Stash    group-two
    ├─ pulumi:index:Stash       last
    └─ pulumi:providers:pulumi  default

Current stack outputs (3):
    OUTPUT  VALUE
    inside  {"deep":"[secret]"}
    plain   it's $HOME
    z       {"a":"ü<b>","b":[1,2.5,true,null]}

Use `pulumi stack select` to change stack; `pulumi stack ls` lists known ones
"""
URNS = """\
    pulumi:pulumi:Stack         box-dev
    │  URN: urn:pulumi:dev::box::pulumi:pulumi:Stack::box-dev
    ├─ box:m:Group              group
    │  │  URN: urn:pulumi:dev::box::box:m:Group::group
    │  ├─ pulumi:index:Stash    group-one
    │  │     URN: urn:pulumi:dev::box::box:m:Group$pulumi:index:Stash::group-one
    │  └─ pulumi:index:Stash    group-two
    │        URN: urn:pulumi:dev::box::box:m:Group$pulumi:index:Stash::group-two
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("stack") / "box")
    project.write(PROGRAM)
    assert project.run("up --yes --skip-preview").code == 0
    return project


def test_a_stack_is_shown_as_a_tree_with_its_outputs(project: Project) -> None:
    out = project.run("stack").out
    head, _, rest = out.partition("Current stack resources")
    assert head.startswith("Current stack is dev:\n")
    assert f"Current stack resources{rest}" == TREE


def test_a_wrong_passphrase_is_told_in_pulumis_words(project: Project) -> None:
    recorded = Path(__file__).parent / "recorded" / "66-wrong-passphrase" / "expected.json"
    told = json.loads(recorded.read_text())["steps"][3]["command"]["error"]
    ran = project.run("stack export --show-secrets", PULUMI_CONFIG_PASSPHRASE="battery-staple")
    assert ran.code != 0
    assert ran.out == f"{told}\n"


def test_urns_and_ids_stand_below_their_resources(project: Project) -> None:
    assert URNS in project.run("stack --show-urns").out
    ids = [record["id"] for record in project.export()["resources"] if record.get("id")]
    out = project.run("stack --show-ids").out
    assert len(ids) == 4
    assert [one for one in ids if f"ID: {one}" not in out] == []


def test_a_stack_without_resources_says_so(tmp_path: Path) -> None:
    project = Project(tmp_path / "box")
    assert "No resources currently in this stack" in project.run("stack").out
    assert project.run("stack --show-name").out == "dev\n"


def test_options_before_a_word_of_stack_are_refused_rather_than_ignored(project: Project) -> None:
    ran = project.run("stack --stack dev output")
    assert (ran.code, ran.out) == (1, "error: write --stack and --cwd after `stack output`\n")


def test_outputs_are_json_in_the_order_of_their_names(project: Project) -> None:
    out = project.run("stack output --json --show-secrets").out
    assert out == json.dumps(json.loads(out), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert json.loads(out)["inside"] == {"deep": "hush"}


@pytest.mark.parametrize("words", ["", "inside", "inside --json", "--json", "--shell", "inside --shell"])
def test_a_secret_anywhere_in_an_output_is_shown_on_request_only(project: Project, words: str) -> None:
    assert "[secret]" in project.run(f"stack output {words}").out
    assert "hush" not in project.run(f"stack output {words}").out
    assert "hush" in project.run(f"stack output {words} --show-secrets").out


@pytest.mark.parametrize("words", ["--shell", "plain --shell"])
def test_a_shell_takes_outputs_as_they_are(project: Project, words: str) -> None:
    script = project.run(f"stack output {words}").out + 'printf %s "$plain"'
    assert (
        subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
        == "it's $HOME"
    )


def test_two_forms_at_once_are_refused(project: Project) -> None:
    assert project.run("stack output --json --shell").code == 1
