"""Commands on this machine: what the real provider does, by running them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lab.engine.provider import UNKNOWN, DiffKind, ProviderError, Resource
from lab.engine.providers import PROVIDERS
from lab.engine.providers.command.output import quoted
from lab.testing import wait

TYPE = "command:local:Command"
URN = "urn:pulumi:s::p::command:local:Command::greeter"


def create(**inputs: Any) -> tuple[str, dict[str, Any]]:
    identifier, outputs = asyncio.run(PROVIDERS["command"]().create(URN, TYPE, inputs, preview=False))
    return identifier, dict(outputs)


def made(inputs: dict[str, Any], **outputs: Any) -> Resource:
    return Resource(urn=URN, type=TYPE, id="greeter12345678", inputs=inputs, outputs={**inputs, **outputs})


def update(old: Resource, *, preview: bool = False, **news: Any) -> dict[str, Any]:
    return dict(asyncio.run(PROVIDERS["command"]().update(old, news, preview=preview)))


def test_outputs_are_the_inputs_and_what_was_printed_less_one_newline() -> None:
    identifier, outputs = create(create="printf 'one\\n\\n'; echo two >&2")
    assert outputs == {"create": "printf 'one\\n\\n'; echo two >&2", "stdout": "one\n", "stderr": "two"}
    assert identifier.startswith("greeter")
    assert len(identifier) == len("greeter") + 8


def test_without_a_command_nothing_runs() -> None:
    assert create(delete="false")[1] == {"delete": "false", "stdout": "", "stderr": ""}


def test_stdin_environment_folder_and_interpreter(tmp_path: Any) -> None:
    _, outputs = create(
        create="import os, sys; print(sys.stdin.read(), os.environ['WHO'], os.getcwd())",
        interpreter=["python3", "-c"],
        stdin="hello",
        environment={"WHO": "world"},
        dir=str(tmp_path),
    )
    assert outputs["stdout"] == f"hello world {tmp_path}"


def test_a_command_that_does_not_read_its_stdin_is_fine() -> None:
    assert create(create="exec 0<&-; sleep 0.1; echo done", stdin="x" * 1_000_000)[1]["stdout"] == "done"


def test_a_command_without_stdin_sees_its_end() -> None:
    assert create(create="cat; echo end")[1]["stdout"] == "end"


def test_failure_tells_status_command_and_output_in_order() -> None:
    with pytest.raises(ProviderError) as caught:
        create(create='echo "one"\nsleep 0.1; echo two >&2; exit 3')
    assert str(caught.value) == (
        'exit status 3: running "echo \\"one\\"\\nsleep 0.1; echo two >&2; exit 3":\none\ntwo\n'
    )


def test_killed_command_tells_the_signal() -> None:
    with pytest.raises(ProviderError, match=r"^signal: killed: running"):
        create(create="kill -9 $$")


def test_missing_interpreter_is_a_readable_failure() -> None:
    with pytest.raises(ProviderError, match="no-such-shell"):
        create(create="true", interpreter=["no-such-shell"])


def test_update_runs_update_or_else_create_again() -> None:
    old = made({"create": "echo one"}, stdout="one", stderr="")
    assert update(old, create="echo two")["stdout"] == "two"
    assert update(old, create="echo two", update="echo three")["stdout"] == "three"
    assert update(old, delete="true")["stdout"] == "one"


def test_a_run_sees_what_the_run_before_printed_unless_told_not_to() -> None:
    old = made({"create": "echo one"}, stdout="one", stderr="oops")
    command = 'echo "${PULUMI_COMMAND_STDOUT-none} ${PULUMI_COMMAND_STDERR-none}"'
    assert update(old, update=command)["stdout"] == "one oops"
    assert update(old, update=command, addPreviousOutputInEnv=False)["stdout"] == "none none"


def test_delete_is_the_one_in_the_state(tmp_path: Any) -> None:
    inputs = {"create": "true", "delete": f"touch {tmp_path}/$PULUMI_COMMAND_STDOUT"}
    asyncio.run(PROVIDERS["command"]().delete(made(inputs, stdout="gone", stderr="")))
    assert (tmp_path / "gone").exists()


def test_preview_runs_nothing(tmp_path: Any) -> None:
    inputs = {"create": f"touch {tmp_path}/ran"}
    identifier, outputs = asyncio.run(PROVIDERS["command"]().create(URN, TYPE, inputs, preview=True))
    assert identifier.startswith("greeter")
    assert outputs == {**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}
    changed = update(made({"create": "true"}, stdout="", stderr=""), preview=True, **inputs)
    assert changed["stdout"] is UNKNOWN
    assert not list(tmp_path.iterdir())


def test_a_preview_knows_the_output_unless_a_former_input_changes_or_one_is_unknown() -> None:
    old = made({"create": "echo one"}, stdout="one", stderr="")
    assert update(old, preview=True, create="echo one", stdin="x")["stdout"] == "one"
    assert update(old, preview=True, create="echo one", stdin=UNKNOWN)["stdout"] is UNKNOWN
    assert update(old, preview=True, create="echo two")["stdout"] is UNKNOWN


def test_only_triggers_replace() -> None:
    provider = PROVIDERS["command"]()
    old = made({"create": "true", "stdin": "a", "triggers": ["1"]})
    news = {"create": "true", "stdin": "b", "triggers": ["2"], "update": "true"}
    found = asyncio.run(provider.diff(old, news, ()))
    assert found.changes
    assert not found.delete_before_replace
    kinds = {path: change.kind for path, change in (found.detailed or {}).items()}
    assert kinds == {
        "stdin": DiffKind.UPDATE, "triggers[0]": DiffKind.UPDATE_REPLACE, "update": DiffKind.ADD
    }  # fmt: skip


def test_cancelling_ends_the_command_and_its_children(tmp_path: Any) -> None:
    async def scenario() -> None:
        command = f"sleep 600 & echo $! > {tmp_path}/pid; wait"
        task = asyncio.create_task(
            PROVIDERS["command"]().create(URN, TYPE, {"create": command}, preview=False)
        )
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    stat = f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat"
    wait(lambda: not _runs(stat), seconds=10)


def _runs(stat: str) -> bool:
    """Whether a process is still there, and no zombie."""
    try:
        return not Path(stat).read_text().split(") ")[1].startswith("Z")
    except OSError:
        return False


def test_run_answers_at_once() -> None:
    answer = asyncio.run(PROVIDERS["command"]().invoke("command:local:run", {"command": "echo now"}))
    assert answer == {"command": "echo now", "stdout": "now", "stderr": ""}


@pytest.mark.parametrize(
    ("token", "args"), [("command:local:run", {}), ("command:local:guess", {"command": "true"})]
)
def test_bad_calls_are_refused_by_name(token: str, args: dict[str, Any]) -> None:
    with pytest.raises(ProviderError, match=token.rsplit(":", 1)[1]):
        asyncio.run(PROVIDERS["command"]().invoke(token, args))


def test_an_unknown_resource_is_refused_by_name() -> None:
    with pytest.raises(ProviderError, match="command:remote:CopyFile"):
        asyncio.run(PROVIDERS["command"]().check(URN, "command:remote:CopyFile", None, {}))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", '"a b"'),
        ('"\\', '"\\"\\\\"'),
        ("\t\n\r", '"\\t\\n\\r"'),
        ("\0\x7f", '"\\x00\\x7f"'),
        ("é", '"é"'),
    ],
)
def test_commands_are_quoted_as_go_quotes(text: str, shown: str) -> None:
    assert quoted(text) == shown
