"""Project and stack files, secrets, targets, what depends on what, and the journal of an operation."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.automation.events import OpType

from lab.engine.deploy.aliases import make_urn
from lab.engine.deploy.graph import Graph
from lab.engine.deploy.journal import Journal
from lab.engine.deploy.request import Options
from lab.engine.deploy.steps import Op
from lab.engine.deploy.targets import Targets
from lab.engine.project import Config, Project, ProjectError
from lab.engine.state import secrets
from lab.engine.state.kept_keys import KEPT_KEYS
from lab.engine.state.model import Change, ResourceState, Snapshot, StateError
from lab.engine.state.secrets import Crypter
from tests.lab.engine.harness import PASSPHRASE, STACK_FILE

SALT = STACK_FILE.split(": ", 1)[1].strip()


@pytest.fixture(scope="module")
def crypter() -> Crypter:
    return Crypter.open(PASSPHRASE, SALT)


# ------------------------------------------------------------------ secrets


@given(st.text())
def test_a_secret_is_opened_with_the_passphrase_it_was_sealed_with(crypter: Crypter, text: str) -> None:
    sealed = crypter.encrypt(text)
    assert re.fullmatch(r"v1:[A-Za-z0-9+/]{16}:[A-Za-z0-9+/]+=*", sealed)
    assert crypter.encrypt(text) != sealed, "each has its own nonce"
    assert crypter.decrypt(sealed) == text


@pytest.mark.parametrize(
    "sealed", ["", "v1:x", "v2:AAAA:AAAA", "v1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAA", "v1:!:!"]
)
def test_what_is_no_secret_of_this_stack_is_refused(crypter: Crypter, sealed: str) -> None:
    with pytest.raises(StateError, match="cannot be decrypted"):
        crypter.decrypt(sealed)


def test_a_kept_key_opens_what_it_sealed_and_only_its_owner_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    monkeypatch.setenv(KEPT_KEYS, str(keys))
    made = Crypter.create("known")
    sealed = made.encrypt("x")
    (kept,) = keys.iterdir()
    assert [each.stat().st_mode & 0o777 for each in (keys, kept)] == [0o700, 0o600]
    secrets._derive.cache_clear()
    monkeypatch.setattr(secrets, "_ITERATIONS", 1)  # who derives again gets another key
    assert Crypter.open("known", made.salt).decrypt(sealed) == "x"
    with pytest.raises(StateError, match="incorrect passphrase"):
        Crypter.open("another", made.salt)
    secrets._derive.cache_clear()


def test_a_key_that_was_cut_short_or_cannot_be_kept_is_derived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEPT_KEYS, str(tmp_path))
    made = Crypter.create("known")
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"cut short")
    secrets._derive.cache_clear()
    Crypter.open("known", made.salt)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [32]
    monkeypatch.setenv(KEPT_KEYS, str(kept))  # no folder
    secrets._derive.cache_clear()
    Crypter.open("known", made.salt)


@pytest.mark.parametrize("salt", ["", "v0:AAAA:x", "v1:nonsense"])
def test_what_is_no_salt_is_refused(salt: str) -> None:
    with pytest.raises(StateError, match="encryptionsalt"):
        Crypter.open(PASSPHRASE, salt)


# ------------------------------------------------------------------ project and stack file


def project(folder: Path, text: str = "name: box\nruntime: python\n", stack: str = "") -> Project:
    (folder / "Pulumi.yaml").write_text(text)
    (folder / "Pulumi.dev.yaml").write_text(stack or STACK_FILE)
    return Project.find(folder)


def test_a_project_is_found_from_a_folder_inside_it(tmp_path: Path) -> None:
    project(tmp_path)
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    assert Project.find(inside).folder == tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("runtime: python", "name is missing"),
        ("name: box\nruntime: go", "runtime is 'go'"),
        ("- a", "not a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_bad_project_file_is_refused_by_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProjectError, match=said) as refused:
        project(tmp_path, text)
    assert "Pulumi.yaml" in str(refused.value)


def test_settings_are_opened_and_completed_from_the_projects_defaults(
    tmp_path: Path, crypter: Crypter
) -> None:
    text = (
        "name: box\nruntime: python\nconfig:\n  size: {type: integer, default: 3}\n  other:key: {value: x}\n"
    )
    word = crypter.encrypt("hush")
    stack = f"{STACK_FILE}config:\n  box:word: {{secure: '{word}'}}\n  box:list: [1, {{a: b}}]\n"
    found = project(tmp_path, text, stack)
    config = Config.read(found, found.stack_file("dev"), crypter)
    assert dict(config.values) == {
        "box:word": "hush", "box:list": '[1, {"a": "b"}]', "box:size": "3", "other:key": "x",
    }  # fmt: skip
    assert config.secret_keys == {"box:word"}


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        ("config:\n  box:size: many\n", "must be of type 'integer'"),
        ("config: {}\n", "missing configuration value"),
    ],
)
def test_settings_are_checked_against_the_project(
    tmp_path: Path, crypter: Crypter, stack: str, said: str
) -> None:
    text = "name: box\nruntime: python\nconfig:\n  size: {type: integer}\n"
    found = project(tmp_path, text, STACK_FILE + stack)
    with pytest.raises(ProjectError, match=said):
        Config.read(found, found.stack_file("dev"), crypter)


def test_a_salt_is_added_above_what_the_stack_file_has(tmp_path: Path) -> None:
    found = project(tmp_path, stack="# mine\nconfig: {}\n").stack_file("dev")
    found.set_salt("v1:a:b")
    assert found.path.read_text() == "encryptionsalt: v1:a:b\n# mine\nconfig: {}\n"


# ------------------------------------------------------------------ targets and dependencies


def record(name: str, *needs: str, parent: str = "", custom: bool = True) -> ResourceState:
    return ResourceState(
        urn=urn(name), type="t:m:T", custom=custom, id=name, dependencies=[urn(one) for one in needs],
        parent=urn(parent) if parent else "",
    )  # fmt: skip


def urn(name: str) -> str:
    return make_urn("urn:pulumi:dev::box", "", "t:m:T", name)


def test_stars_stand_for_one_part_of_a_urn_and_for_any() -> None:
    one = Targets(Options(targets=("urn:pulumi:dev::box::t:m:T::w*",)))
    assert [name for name in ("web", "db") if one.includes(record(name))] == ["web"]
    assert Targets(Options(targets=("**::db",))).includes(record("db"))
    assert not Targets(Options(targets=("*::db",))).includes(record("db"))


def test_dependents_follow_their_targets_in_order() -> None:
    targets = Targets(Options(targets=(urn("a"),), target_dependents=True))
    chain = [record("a"), record("b", "a"), record("c", "b"), record("other")]
    assert [one.name for one in chain if targets.includes(one)] == ["a", "b", "c"]
    excludes = Targets(Options(excludes=(urn("a"),), exclude_dependents=True))
    assert [one.name for one in chain if excludes.includes(one)] == ["other"]
    assert targets.unknown([urn("b")]) == [urn("a")]


def test_dependents_and_dependencies_are_found_through_any_number_of_steps() -> None:
    records = [
        record("box", custom=False), record("inside", parent="box"), record("a", "box"), record("b", "a"),
        record("x"),
    ]  # fmt: skip
    graph = Graph(records)
    assert [one.name for one in graph.dependents(urn("box"), children=False)] == ["a", "b"]
    assert [one.name for one in graph.dependents(urn("box"), children=True)] == ["inside", "a", "b"]
    assert graph.dependents(urn("box"), children=False, ignored=[urn("a")]) == []
    assert graph.dependencies(2) == {0, 1}, "who needs a component needs what is inside"
    assert graph.closure_of_dependencies([urn("b")], dependents=False) == {
        urn(n) for n in ("b", "a", "box", "inside")
    }
    assert graph.closure_of_dependents([urn("a")]) == {urn("a"), urn("b")}


# ------------------------------------------------------------------ journal


class Kept:
    """Remembers the names in what it is told to keep."""

    def __init__(self) -> None:
        self.appended: list[list[str]] = []
        self.wholes: list[list[str]] = []
        self.full = False

    def append(self, changes: Sequence[Change]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.appended.append([change.record.name for change in changes if change.record is not None])

    def whole(self, snapshot: Snapshot) -> None:
        self.wholes.append([one.name for one in snapshot.resources])


def test_steps_that_wait_together_share_a_write_and_each_sees_its_own() -> None:
    kept = Kept()
    journal = Journal(Snapshot(), kept)

    async def step(name: str) -> None:
        journal.add(record(name))
        await journal.save()
        assert name in kept.appended[-1]

    async def all_at_once() -> None:
        await asyncio.gather(*(step(str(number)) for number in range(50)))

    asyncio.run(all_at_once())
    assert len(kept.appended) < 5
    assert sorted(name for names in kept.appended for name in names) == sorted(map(str, range(50)))


def test_what_fails_to_be_kept_is_kept_with_what_comes_after() -> None:
    kept = Kept()
    journal = Journal(Snapshot(), kept)

    async def twice() -> None:
        kept.full = True
        journal.add(record("a"))
        with pytest.raises(OSError, match="No space"):
            await journal.save()
        kept.full = False
        journal.add(record("b"))
        await journal.save()

    asyncio.run(twice())
    assert kept.appended == [["a", "b"]]


def test_an_operation_that_had_nothing_to_keep_leaves_the_state_alone() -> None:
    kept = Kept()
    Journal(Snapshot(resources=[record("a")]), kept).finish()
    assert kept.wholes == []


def test_what_comes_after_the_end_is_kept_whole() -> None:
    kept = Kept()
    journal = Journal(Snapshot(resources=[record("a")]), kept)

    async def to_the_end_and_beyond() -> None:
        journal.add(record("b"))
        await journal.save()
        journal.finish()
        journal.add(record("c"))
        await journal.save()

    asyncio.run(to_the_end_and_beyond())
    assert (kept.appended, kept.wholes) == ([["b"]], [["b", "a"], ["b", "c", "a"]])


def test_a_state_with_new_names_is_kept_whole() -> None:
    """Others name the resource by the name it had."""
    kept = Kept()
    old = record("old")
    journal = Journal(Snapshot(resources=[old, record("child", "old")]), kept)
    journal.add(record("new"), old)
    asyncio.run(journal.save())
    assert (kept.wholes, kept.appended) == ([["new", "child"]], [])


def test_what_has_gone_is_forgotten_where_it_was_named_and_its_children_have_no_parent() -> None:
    top = record("top", custom=False)
    middle = replace(record("middle", custom=False), parent=top.urn)
    child = replace(record("child", "gone"), parent=middle.urn, property_dependencies={"a": [urn("gone")]})
    journal = Journal(Snapshot(resources=[top, middle, record("gone"), child]), None)
    for one in journal.base()[1:3]:
        journal.remove(one)
    journal.mend()
    found = journal.base()[-1]
    assert (found.parent, found.dependencies, found.property_dependencies) == ("", [], {})


def test_the_journal_follows_each_record_of_the_state_before_under_the_urn_it_had() -> None:
    kept, gone, renamed, changed = (record(name) for name in ("kept", "gone", "renamed", "changed"))
    condemned = replace(record("kept"), delete=True)
    journal = Journal(Snapshot(resources=[kept, gone, renamed, changed, condemned]), None)
    journal.add(kept, kept)
    journal.remove(gone)
    journal.remove(condemned)
    other = record("other")
    journal.add(other, renamed)
    waiting = replace(changed, pending_replacement=True)
    journal.update(changed, waiting)
    made = record("made")
    journal.add(made)
    assert journal.by_urn() == {urn("kept"): kept, urn("renamed"): other, urn("changed"): waiting}
    assert journal.by_urn()[urn("kept")] is kept
    assert journal.base() == [waiting]
    assert journal.news() == [kept, other, made]
    later = replace(other, outputs={"a": 1})
    journal.update(other, later)
    assert journal.by_urn()[urn("renamed")] is later


def test_decisions_start_from_the_state_as_a_refresh_has_left_it() -> None:
    journal = Journal(Snapshot(resources=[record("a"), record("b")]), None)
    journal.remove(journal.base()[0])
    assert [one.name for one in journal.found()] == ["a", "b"]
    journal.mend()
    assert [one.name for one in journal.found()] == ["b"]


def test_operations_have_pulumis_names() -> None:
    ours = {value for name, value in vars(Op).items() if name.isupper()}
    assert ours <= {one.value for one in OpType}
