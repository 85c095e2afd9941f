"""The state: Pulumi's format in and out, secrets, refusals that touch nothing, locks."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.engine.state.backend import Backend
from lab.engine.state.secrets import Crypter
from lab.engine.values import SECRET_SIGNATURE, SIGNATURE
from tests.lab.engine.harness import PASSPHRASE, Project, plain

EXPORTED = Path(__file__).parent / "states" / "pulumi-export.json"  # by Pulumi 3.260 from SAME_PROGRAM
FOREIGN = {"urn": "urn:pulumi:b::c::d:e:F::g", "type": "d:e:F", "custom": True}
SAME_PROGRAM = """
keys = Stash("keys", input={"private": pulumi.Output.secret("c2VjcmV0IGtleQ=="), "port": 51820, "ratio": 0.5,
    "on": True, "none": None}, opts=ResourceOptions(protect=True))
Stash("peer", input=["a", "b"], opts=ResourceOptions(depends_on=[keys], ignore_changes=["input[0]"],
    custom_timeouts=pulumi.CustomTimeouts(create="90s")))
pulumi.export("address", "10.8.0.1/24")
pulumi.export("key", pulumi.Output.secret("c2VjcmV0IGtleQ=="))
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "box")
    made.write(SAME_PROGRAM)
    return made


def state_file(project: Project) -> Path:
    return project.state / ".pulumi" / "stacks" / "box" / "dev.json"


def load(project: Project) -> None:
    assert project.run(["stack", "import", "--file", str(EXPORTED)]).code == 0


def exported(project: Project) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(project.run("stack export").out)
    return document


def test_a_state_of_pulumi_goes_in_and_out_as_it_is(project: Project) -> None:
    load(project)
    before, after = json.loads(EXPORTED.read_text()), exported(project)
    assert after["version"] == 3
    assert after["deployment"]["resources"] == before["deployment"]["resources"]
    assert after["deployment"]["secrets_providers"] == before["deployment"]["secrets_providers"]
    assert after["deployment"]["manifest"].keys() == before["deployment"]["manifest"].keys()


def test_a_state_of_pulumi_goes_on_here_without_a_change(project: Project) -> None:
    load(project)
    assert project.run("preview --expect-no-changes").code == 0
    ran = project.run("up --yes --skip-preview --expect-no-changes")
    assert (ran.code, ran.counts()) == (0, {"same": 3})
    kept = exported(project)["deployment"]["resources"]
    ciphertexts = [r["inputs"] for r in kept if r["urn"].endswith("::keys")]
    assert ciphertexts == [
        r["inputs"]
        for r in json.loads(EXPORTED.read_text())["deployment"]["resources"]
        if r["urn"].endswith("::keys")
    ]


def test_secrets_are_encrypted_at_rest_and_shown_on_request_only(project: Project) -> None:
    load(project)
    project.run("config set --secret word hush")
    assert "c2VjcmV0IGtleQ" not in state_file(project).read_text() + project.run("stack output").out
    assert "hush" not in (project.folder / "Pulumi.dev.yaml").read_text()
    assert "secure: v1:" in (project.folder / "Pulumi.dev.yaml").read_text()
    assert project.run("config get word").out == "hush\n"
    assert "[secret]" in project.run("stack output").out
    assert "c2VjcmV0IGtleQ" in project.run("stack output --show-secrets").out
    found = {r["urn"].rpartition("::")[2]: plain(r) for r in project.records()}
    assert found["keys"]["inputs"]["input"]["private"] == {"secret": "c2VjcmV0IGtleQ=="}


def test_a_state_under_another_salt_and_the_same_passphrase_is_taken_over(project: Project) -> None:
    load(project)
    text = project.run("stack export").out
    other = project.folder / "Pulumi.dev.yaml"
    other.write_text(f"encryptionsalt: {Crypter.create(PASSPHRASE).salt}\n")
    (project.folder / "exported.json").write_text(text)
    assert project.run("stack import --file exported.json").code == 0
    assert project.run("up --yes --skip-preview --expect-no-changes").code == 0


@pytest.mark.parametrize("words", ["up --yes --skip-preview", "preview", "stack export --show-secrets"])
def test_a_wrong_passphrase_is_refused_and_changes_nothing(project: Project, words: str) -> None:
    load(project)
    before = state_file(project).read_bytes(), (project.folder / "Pulumi.dev.yaml").read_bytes()
    ran = project.run(words, PULUMI_CONFIG_PASSPHRASE="another")
    assert ran.code != 0
    assert "passphrase" in ran.out
    assert "Traceback" not in ran.out
    assert (state_file(project).read_bytes(), (project.folder / "Pulumi.dev.yaml").read_bytes()) == before


def damaged(document: dict[str, Any], how: str) -> str:
    match how:
        case "cut":
            return json.dumps(document)[:-40]
        case "newer":
            return json.dumps({**document, "version": 5})
        case "empty":
            return ""
        case "no urn":
            del document["checkpoint"]["latest"]["resources"][2]["urn"]
        case "other kind":
            document["checkpoint"]["latest"]["resources"] = {"a": 1}
        case "unknown key":
            document["checkpoint"]["latest"]["resources"][2]["novelty"] = True
        case "ciphertext":
            secret = document["checkpoint"]["latest"]["resources"][0]["outputs"]["key"]
            secret["ciphertext"] = secret["ciphertext"][:-6] + "AAAA=="
    return json.dumps(document)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut", "is not a readable state"),
        ("empty", "is not a readable state"),
        ("newer", "has version 5, but this engine reads only versions 3 and 4"),
        ("no urn", "the state is damaged"),
        ("other kind", "the state is damaged"),
        ("unknown key", "does not know novelty"),
        ("ciphertext", "cannot be decrypted"),
    ],
)
def test_a_damaged_or_newer_state_is_refused_and_left_as_it_is(project: Project, how: str, said: str) -> None:
    load(project)
    path = state_file(project)
    path.write_text(damaged(json.loads(path.read_text()), how))
    before = path.read_bytes()
    for words in ("up --yes --skip-preview", "preview", "refresh --yes --skip-preview"):
        ran = project.run(words)
        assert ran.code == 1
        assert ran.out.startswith("error: ")
        assert said in ran.out
        assert len(ran.out.splitlines()) == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "no exported state"),
        ("no json", "no exported state"),
        ('{"version": 9, "deployment": {}}', "version 9"),
        ('{"version": 3, "deployment": {"resources": [{"urn": "urn:pulumi:b::c::d:e:F::g"}]}}', "damaged"),
        (json.dumps({"version": 3, "deployment": {"resources": [FOREIGN]}}), "belongs to another stack"),
    ],
)
def test_what_is_no_state_of_this_stack_is_not_imported(project: Project, text: str, said: str) -> None:
    load(project)
    before = state_file(project).read_bytes()
    (project.folder / "other.json").write_text(text)
    ran = project.run("stack import --file other.json")
    assert (ran.code, said in ran.out) == (1, True), ran.out
    assert state_file(project).read_bytes() == before


def test_the_state_before_is_kept_once_and_history_stays_small(project: Project) -> None:
    for _ in range(3):
        assert project.run("up --yes --skip-preview").code == 0
    folder = state_file(project).parent
    assert sorted(path.name for path in folder.iterdir()) == ["dev.json", "dev.json.bak"]
    json.loads((folder / "dev.json.bak").read_text())
    assert not list((project.state / ".pulumi" / "locks").rglob("*.json"))


def test_a_second_run_is_refused_while_one_works_until_its_lock_is_cancelled(project: Project) -> None:
    backend = Backend(f"file://{project.state}")
    with backend.locked("box", "dev"):
        ran = project.run("up --yes --skip-preview")
        assert ran.code == 1
        assert "error: the stack is currently locked by 1 lock(s)" in ran.out
        assert project.run("preview").code == 0
        assert project.run("cancel --yes").code == 0
        assert project.run("up --yes --skip-preview").code == 0


def test_a_state_is_written_whole_or_not_at_all(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    load(project)
    before = state_file(project).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Backend(f"file://{project.state}").write("box", "dev", "{}")
    assert state_file(project).read_bytes() == before


def test_a_line_of_the_journal_is_added_whole_or_not_at_all(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Backend(f"file://{project.state}").journal("box", "dev", {})
    journal.append("[]")
    path = state_file(project).with_suffix(".journal")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            journal.append('[["drop", 0]]')
    assert path.read_bytes() == before
    journal.append("[]")
    assert path.read_bytes() == before + b"[]\n"
    journal.close()


def test_settings_in_the_stack_file_reach_the_program_with_their_secrets_opened(project: Project) -> None:
    project.run("config set --secret --path nodes[0].token hush")
    project.run("config set --path nodes[0].port 51820")
    project.write(
        """
nodes = pulumi.Config().require_secret_object("nodes")
pulumi.export("nodes", nodes)
"""
    )
    assert project.run("up --yes --skip-preview").code == 0
    assert json.loads(project.run("stack output nodes --show-secrets --json").out) == [
        {"token": "hush", "port": 51820}
    ]
    assert "hush" not in (project.folder / "Pulumi.dev.yaml").read_text() + state_file(project).read_text()


def test_outputs_need_nothing_of_the_state_but_the_stacks_own_record(project: Project) -> None:
    load(project)
    path = state_file(project)
    document = json.loads(path.read_text())
    kept = document["checkpoint"]["latest"]["resources"]
    others = [record for record in kept if record["type"] != "pulumi:pulumi:Stack"]
    assert others
    for record in others:
        record["outputs"] = {"damaged": {SIGNATURE: SECRET_SIGNATURE, "ciphertext": "v1:AAAA:AAAA"}}
    path.write_text(json.dumps(document))
    assert project.run("stack export --show-secrets").code != 0
    ran = project.run("stack output --show-secrets")
    assert ran.code == 0, ran.out
    assert "c2VjcmV0IGtleQ" in ran.out


@pytest.mark.parametrize("resources", [{"a": 1}, ["a"], [{"outputs": {}}]])
def test_outputs_of_what_is_no_state_are_refused(project: Project, resources: object) -> None:
    load(project)
    path = state_file(project)
    document = json.loads(path.read_text())
    document["checkpoint"]["latest"]["resources"] = resources
    path.write_text(json.dumps(document))
    ran = project.run("stack output --show-secrets")
    assert ran.code == 1
    assert ran.out.startswith("error: ")
    assert "Traceback" not in ran.out
