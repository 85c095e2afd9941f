"""`state ...`: what a state is after it has been edited by hand, and what is refused."""

from pathlib import Path

import pytest

from lab.engine.state.edit import only_dependents
from lab.engine.state.model import ResourceState, urn_name
from tests.lab.engine.harness import Project

PROGRAM = """\
class Group(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("box:m:Group", name)
        self.inner = Stash(f"{name}-inner", input=1, opts=ResourceOptions(parent=self, protect=True))


a = local.Command("a", create="true", delete="echo deleted >> log", dir=str(Path.cwd()))
group = Group("group")
b = Stash("b", input=group.inner.output, opts=ResourceOptions(depends_on=[a]))
c = Stash("c", input=1)
"""
PREFIX = "urn:pulumi:dev::box::"
GROUP, B, C = (
    f"{PREFIX}box:m:Group::group",
    f"{PREFIX}pulumi:index:Stash::b",
    f"{PREFIX}pulumi:index:Stash::c",
)
A = f"{PREFIX}command:local:Command::a"
INNER = f"{PREFIX}box:m:Group$pulumi:index:Stash::group-inner"
ALL = ["box-dev", "a", "b", "c", "group", "group-inner"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "box")
    project.write(PROGRAM)
    assert project.run("up --yes --skip-preview").code == 0
    project.log()
    return project


def names(project: Project) -> list[str]:
    """What is in the state: the stack, then the others by name."""
    found = [urn_name(record["urn"]) for record in project.records()]
    return [*(name for name in found if name == "box-dev"), *sorted(n for n in found if n != "box-dev")]


def protected(project: Project) -> set[str]:
    return {urn_name(r["urn"]) for r in project.export()["resources"] if r.get("protect")}


@pytest.mark.parametrize("word", ["delete", "remove", "rm"])
def test_a_deleted_resource_is_forgotten_and_left_alone(project: Project, word: str) -> None:
    ran = project.run(["state", word, C, "--yes"])
    assert (ran.code, ran.out) == (0, "Resource deleted\n")
    assert names(project) == [name for name in ALL if name != "c"]
    again = project.run("up --yes --skip-preview")
    assert (again.code, again.steps()) == (0, ["create c"])


def test_what_others_need_is_deleted_only_with_them(project: Project) -> None:
    ran = project.run(["state", "delete", A, "--yes"])
    assert ran.code == 1
    assert ran.out == (
        f"error: {A} can't be safely deleted because the following resources depend on it:\n"
        f' * "b"             ({B})\n'
        "\nDelete those resources first or pass --target-dependents.\n"
    )
    assert names(project) == ALL
    assert project.run(["state", "delete", A, "--target-dependents", "--yes"]).code == 0
    assert names(project) == ["box-dev", "c", "group", "group-inner"]
    assert project.log() == []


def test_what_is_protected_is_deleted_by_force_only(project: Project) -> None:
    ran = project.run(["state", "delete", GROUP, "--target-dependents", "--yes"])
    assert ran.code == 1
    assert f"{INNER} can't be safely deleted because it is protected" in ran.out
    assert names(project) == ALL
    forced = project.run(["state", "delete", GROUP, "--target-dependents", "--force", "--yes"])
    assert forced.code == 0
    assert f"warning: deleting protected resource {INNER} due to presence of --force" in forced.out
    assert names(project) == ["box-dev", "a", "c"]


def test_several_are_deleted_in_an_order_that_works_or_none(project: Project) -> None:
    assert project.run(["state", "delete", A, GROUP, "--yes"]).code == 1
    assert names(project) == ALL
    ran = project.run(["state", "delete", A, B, C, "--yes"])
    assert (ran.code, ran.out) == (0, "3 resources deleted\n")
    assert names(project) == ["box-dev", "group", "group-inner"]


def test_all_are_deleted_but_for_protected_ones_without_force(project: Project) -> None:
    assert project.run("state delete --all --yes").code == 1
    assert names(project) == ALL
    ran = project.run("state delete --all --force --yes")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "Resources deleted")
    assert project.export().get("resources") is None


def test_protection_is_set_and_taken_away(project: Project) -> None:
    assert protected(project) == {"group-inner"}
    ran = project.run(["state", "protect", A, B, "--yes"])
    assert (ran.code, ran.out) == (0, "2 resources protected\n")
    assert protected(project) == {"a", "b", "group-inner"}
    assert project.run("destroy --yes --skip-preview").code == 1
    assert project.run(["state", "unprotect", B, "--yes"]).out == "1 resources unprotected\n"
    assert protected(project) == {"a", "group-inner"}
    assert project.run("state unprotect --all --yes").out == "All resources unprotected\n"
    assert protected(project) == set()
    assert project.run("destroy --yes --skip-preview").code == 0


def test_everything_is_protected_at_once(project: Project) -> None:
    assert project.run("state protect --all --yes").out == "All resources protected\n"
    assert protected(project) == {urn_name(r["urn"]) for r in project.export()["resources"]}


def test_a_renamed_resource_is_the_same_one_everywhere(project: Project) -> None:
    assert project.run(["state", "rename", GROUP, "team", "--yes"]).out == "Resource renamed\n"
    assert project.run(["state", "rename", A, "first", "--yes"]).code == 0
    renamed = {'"a"': '"first"', 'Group("group")': 'Group("team")', 'f"{name}-inner"': '"group-inner"'}
    program = PROGRAM
    for before, after in renamed.items():
        program = program.replace(before, after)
    project.write(program)
    ran = project.run("up --yes --skip-preview --expect-no-changes")
    assert (ran.code, ran.steps()) == (0, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["delete"], "Must supply <resource URN>"),
        (["delete", "b"], '"b" is not a valid resource URN'),
        (["delete", C[:-1] + "d"], f"Did you mean:\n  {C}\n"),
        (["delete", C, "--all"], "cannot specify a resource URN when deleting all resources"),
        (["protect", C, C + "d"], f'No such resource "{C}d" exists in the current state'),
        (["unprotect"], "Must supply <resource URN>"),
        (["rename", C], "Must supply <resource URN> and <new name>"),
        (["rename", "c", "d"], "The provided input URN is not valid"),
        (["rename", f"{C}d", "d"], f'No such resource "{C}d" exists in the current state'),
        (["rename", C, "b"], "The chosen new urn for the state corresponds to an already existing resource"),
    ],
)
def test_what_cannot_be_edited_is_refused_and_changes_nothing(
    project: Project, words: list[str], said: str
) -> None:
    before = project.export()
    ran = project.run(["state", *words, "--yes"])
    assert ran.code == 1
    assert said in ran.out
    assert project.export() == before


def test_a_state_is_not_edited_while_an_operation_holds_it(project: Project) -> None:
    lock = project.state / ".pulumi" / "locks" / "organization" / "box" / "dev" / "other.json"
    lock.write_text("{}")
    assert project.run(["state", "delete", C, "--yes"]).code == 1
    assert names(project) == ALL
    assert project.run("cancel --yes").code == 0
    assert project.run(["state", "delete", C, "--yes"]).code == 0


def test_what_may_need_another_record_of_the_same_urn_does_not_count() -> None:
    def record(name: str, identifier: str, *needs: str, delete: bool = False) -> ResourceState:
        return ResourceState(
            urn=f"u::p::t::{name}", type="t", custom=True, id=identifier, delete=delete,
            dependencies=[f"u::p::t::{need}" for need in needs],
        )  # fmt: skip

    new, old = record("a", "2"), record("a", "1", delete=True)
    user, other = record("b", "1", "a"), record("c", "1")
    records = [new, user, old, other]
    assert only_dependents(records, new) == [user]
    assert only_dependents(records, old) == []
