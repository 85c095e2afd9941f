"""Commands and copies over SSH, against a real server on loopback."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from lab.engine.provider import UNKNOWN, Archive, Asset, Provider, ProviderError, Resource
from lab.engine.providers import PROVIDERS
from lab.engine.providers.command.dial import _retry
from lab.engine.values import Secret
from tests.lab.engine.providers.sshd import PASSWORD, Sshd, sshd

COMMAND = "command:remote:Command"
COPY = "command:remote:CopyToRemote"
URN = "urn:pulumi:s::p::command:remote:Command::greeter"

Scenario = Callable[[Sshd, Provider], Awaitable[Any]]


@pytest.fixture(autouse=True)
def _no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def play(root: Path, scenario: Scenario, **options: Any) -> Any:
    async def run() -> Any:
        async with asyncio.timeout(60), sshd(str(root), **options) as server:
            return await scenario(server, PROVIDERS["command"]())

    return asyncio.run(run())


async def create(provider: Provider, connection: dict[str, Any], command: str, **more: Any) -> dict[str, Any]:
    inputs = {"connection": connection, "create": command, **more}
    return dict((await provider.create(URN, COMMAND, inputs, preview=False))[1])


def refusal(root: Path, command: str = "true", **changes: Any) -> str:
    """Create with a connection changed so; return the error's text."""

    async def scenario(server: Sshd, provider: Provider) -> str:
        with pytest.raises(ProviderError) as caught:
            await create(provider, {**server.connection, **changes}, command)
        return str(caught.value)

    return str(play(root, scenario))


def test_outputs_and_stdin(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> None:
        outputs = await create(provider, server.connection, "cat; echo warned >&2", stdin="one\ntwo\n")
        assert (outputs["stdout"], outputs["stderr"]) == ("one\ntwo", "warned")
        assert outputs["stdin"] == "one\ntwo\n"

    play(tmp_path, scenario)


def test_a_command_without_stdin_sees_its_end(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> None:
        assert (await create(provider, server.connection, "cat; echo end"))["stdout"] == "end"

    play(tmp_path, scenario)


def test_large_input_and_output(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> None:
        text = "".join(f"line {number}\n" for number in range(200_000))
        outputs = await create(provider, server.connection, "cat", stdin=text)
        assert outputs["stdout"] == text.removesuffix("\n")

    play(tmp_path, scenario)


def test_failure_tells_status_command_and_output_in_order(tmp_path: Path) -> None:
    text = refusal(tmp_path, "echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three; exit 75")
    assert text == (
        'Process exited with status 75: running "echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three; '
        'exit 75":\none\ntwo\nthree\n'
    )


def test_killed_command_tells_the_signal(tmp_path: Path) -> None:
    text = refusal(tmp_path, "kill -9 $$")
    assert text == 'Process exited with status 137 from signal KILL: running "kill -9 $$":\n'


def test_a_lost_connection_is_told_in_the_words_that_are_retried(tmp_path: Path) -> None:
    text = refusal(tmp_path, "hang up")
    assert text.startswith("wait: remote command exited without exit status or exit signal: running")


def test_no_connection_stays_open(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> None:
        await create(provider, server.connection, "true")
        with pytest.raises(ProviderError):
            await create(provider, server.connection, "false")
        while server.open:  # noqa: ASYNC110 - the server notices a moment later
            await asyncio.sleep(0.01)

    play(tmp_path, scenario)


def test_another_host_key_is_refused(tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    text = refusal(tmp_path, hostKey=other)
    assert text == "after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch"


def test_a_pinned_algorithm_the_host_lacks_is_refused(tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    assert "ssh: handshake failed" in refusal(tmp_path, hostKey=other)


def test_without_a_host_key_any_host_is_believed(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> None:
        connection = {name: value for name, value in server.connection.items() if name != "hostKey"}
        assert (await create(provider, connection, "echo yes"))["stdout"] == "yes"

    play(tmp_path, scenario)


def test_a_wrong_key_is_refused_and_the_users_own_are_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    assert "unable to authenticate" in refusal(tmp_path, privateKey=other)

    async def scenario(server: Sshd, provider: Provider) -> None:
        home = tmp_path / "home"
        (home / ".ssh").mkdir(parents=True)
        server.user_key.write_private_key(str(home / ".ssh" / "id_ed25519"))
        monkeypatch.setenv("HOME", str(home))
        connection = {name: value for name, value in server.connection.items() if name != "privateKey"}
        with pytest.raises(ProviderError, match="unable to authenticate"):
            await create(provider, connection, "true")

    play(tmp_path, scenario)


def test_passwords_of_users_and_of_keys(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> None:
        plain = {name: value for name, value in server.connection.items() if name != "privateKey"}
        assert (await create(provider, {**plain, "password": PASSWORD}, "echo in"))["stdout"] == "in"
        locked = server.user_key.export_private_key("pkcs8-pem", "hush").decode()
        keyed = {**plain, "privateKey": locked, "privateKeyPassword": "hush"}
        assert (await create(provider, keyed, "echo in"))["stdout"] == "in"
        with pytest.raises(ProviderError, match="privateKeyPassword") as caught:
            await create(provider, {**keyed, "privateKeyPassword": "wrong"}, "true")
        assert "wrong" not in str(caught.value)

    play(tmp_path, scenario)


def test_a_bad_private_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    text = refusal(tmp_path, privateKey="-----BEGIN SECRET STUFF-----")
    assert "privateKey" in text
    assert "STUFF" not in text


def test_an_agent_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    text = refusal(tmp_path, agentSocketPath=str(tmp_path / "none"))
    assert text == f"dial unix {tmp_path}/none: connect: no such file or directory"


def test_logins_are_tried_again(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> int:
        patient = {**server.connection, "dialErrorLimit": 5.0}
        assert (await create(provider, patient, "echo in"))["stdout"] == "in"
        return server.logins

    assert play(tmp_path, scenario, refusals=2) == 3


def test_a_refused_port_is_given_up_after_the_limit(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        text = refusal(tmp_path, port=float(port), dialErrorLimit=2.0)
    assert text == f"after 2 failed attempts: dial tcp 127.0.0.1:{port}: connect: connection refused"


def test_a_silent_peer_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        text = refusal(tmp_path, port=float(silent.getsockname()[1]), perDialTimeout=1.0)
    assert text.startswith("after 0 failed attempts: ")


def test_cancelling_ends_the_dialling(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> None:
        connection = {**server.connection, "dialErrorLimit": -1.0}
        task = asyncio.create_task(create(provider, connection, "true"))
        while server.logins < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task}, timeout=20)
        assert task.cancelled()

    play(tmp_path, scenario, refusals=1000)


def test_cancelling_in_the_moment_of_a_refusal_ends_the_dialling() -> None:
    async def refused() -> asyncssh.SSHClientConnection:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            raise ConnectionRefusedError from None
        raise AssertionError

    async def scenario() -> bool:
        task = asyncio.create_task(_retry(refused, -1, str))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=20)
        return task.cancelled()

    assert asyncio.run(scenario())


def test_through_a_proxy(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> None:
        proxied = {**server.connection, "proxy": server.connection}
        assert (await create(provider, proxied, "echo far"))["stdout"] == "far"
        shut = {**server.connection, "port": 1.0}
        with pytest.raises(ProviderError, match=r"^proxy: after 0 failed attempts: dial tcp 127.0.0.1:1"):
            await create(provider, {**server.connection, "proxy": shut}, "true")

    play(tmp_path, scenario)


def test_environment_the_host_takes_and_does_not_take(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> None:
        taken = await create(provider, server.connection, "echo $GREETING", environment={"GREETING": "hi"})
        assert taken["stdout"] == "hi"
        with pytest.raises(ProviderError, match='could not set environment variable "TOKEN"') as caught:
            await create(provider, server.connection, "touch ran", environment={"TOKEN": "hush"})
        assert "hush" not in str(caught.value)
        assert not (tmp_path / "ran").exists()

    play(tmp_path, scenario)


def test_update_and_delete_use_what_the_state_knows(tmp_path: Path) -> None:
    async def scenario(server: Sshd, provider: Provider) -> None:
        inputs = {
            "connection": server.connection,
            "create": "echo one",
            "delete": "echo bye > $PULUMI_COMMAND_STDOUT",
        }
        old = Resource(
            urn=URN, type=COMMAND, id="x", inputs=inputs, outputs={**inputs, "stdout": "one", "stderr": ""}
        )
        news = {**inputs, "create": "echo two; echo $PULUMI_COMMAND_STDOUT"}
        assert (await provider.update(old, news, preview=False))["stdout"] == "two\none"
        await provider.delete(old)
        assert (tmp_path / "one").read_text() == "bye\n"

    play(tmp_path, scenario)


def test_check_fills_in_a_connection_and_refuses_what_is_missing_or_misspelt() -> None:
    provider = PROVIDERS["command"]()
    news = {"connection": {"host": "h", "proxy": {"host": "p"}}}
    checked = asyncio.run(provider.check(URN, COMMAND, None, news))
    defaults = {"port": 22, "user": "root", "dialErrorLimit": 10, "perDialTimeout": 15}
    assert checked.inputs == {
        "connection": {**defaults, "host": "h", "proxy": {**defaults, "host": "p"}}
    }  # fmt: skip
    missing = asyncio.run(provider.check(URN, COPY, None, {"connection": UNKNOWN}))
    assert [failure.property for failure in missing.failures] == ["remotePath", "source"]
    with pytest.raises(ProviderError, match="privatKey") as caught:
        asyncio.run(provider.check(URN, COMMAND, None, {"connection": {"host": "h", "privatKey": "hush"}}))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("source", [Asset(sha256="0", uri="http://x/y"), Archive(sha256="0")])
def test_check_refuses_sources_it_cannot_copy(source: Asset | Archive) -> None:
    news = {"connection": {"host": "h"}, "remotePath": "/x", "source": source}
    assert asyncio.run(PROVIDERS["command"]().check(URN, COPY, None, news)).failures


def copied(root: Path, target: str, source: Asset | Archive) -> str | None:
    """Copy; return the error's text, if any."""

    async def scenario(server: Sshd, provider: Provider) -> str | None:
        inputs = {"connection": server.connection, "remotePath": target, "source": source}
        try:
            identifier, outputs = await provider.create(URN, COPY, inputs, preview=False)
        except ProviderError as error:
            return str(error)
        assert len(identifier) == 8
        assert outputs == inputs
        return None

    result: str | None = play(root, scenario)
    return result


def tree(root: Path) -> dict[str, str]:
    return {str(one.relative_to(root)): one.read_text() for one in sorted(root.rglob("*")) if one.is_file()}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A folder to copy, and an empty remote side with the folder /there and the file /taken."""
    source, remote = tmp_path / "src", tmp_path / "remote"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_text("A")
    (source / "sub" / "b").write_text("B")
    (remote / "there").mkdir(parents=True)
    (remote / "taken").write_text("old")
    return source, remote


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        ("file", "/there", {"there/a": "A"}),
        ("file", "/new/deep/name", {"new/deep/name": "A"}),
        ("file", "/taken", {"taken": "A"}),
        ("text", "/new/name", {"new/name": "T"}),
        ("text", "/taken", {"taken": "T"}),
        ("folder", "/there", {"there/src/a": "A", "there/src/sub/b": "B"}),
        ("folder", "/new", {"new/src/a": "A", "new/src/sub/b": "B"}),
        ("folder/", "/there", {"there/a": "A", "there/sub/b": "B"}),
        ("folder/", "/new", {"new/a": "A", "new/sub/b": "B"}),
    ],
)
def test_what_is_copied_where(
    files: tuple[Path, Path], kind: str, target: str, expected: dict[str, str]
) -> None:
    source, remote = files
    sources: dict[str, Asset | Archive] = {
        "file": Asset(sha256="1", path=str(source / "a")),
        "text": Asset(sha256="1", text="T"),
        "folder": Archive(sha256="1", path=str(source)),
        "folder/": Archive(sha256="1", path=f"{source}/"),
    }
    assert copied(remote, target, sources[kind]) is None
    assert tree(remote) == {"taken": "old", **expected}


def test_copies_that_cannot_be(files: tuple[Path, Path]) -> None:
    source, remote = files
    text = copied(remote, "/there", Asset(sha256="1", text="T"))
    assert text is not None
    assert "when using a text asset, remotePath must be a file path" in text
    text = copied(remote, "/taken", Archive(sha256="1", path=str(source)))
    assert text == "remote path /taken exists but is not a directory"
    text = copied(remote, "/taken/below/it", Asset(sha256="1", path=str(source / "a")))
    assert text == "failed to copy to /taken/below/it: mkdir /taken: not a directory"
    text = copied(remote, "/new", Asset(sha256="1", path=str(source / "none")))
    assert text is not None
    assert "failed to copy to /new" in text


def test_a_copy_is_repeated_for_new_content_or_place_only(files: tuple[Path, Path]) -> None:
    source, remote = files
    asset = Asset(sha256="1", path=str(source / "a"))

    async def scenario(server: Sshd, provider: Provider) -> None:
        inputs = {"connection": server.connection, "remotePath": "/one", "source": asset}
        old = Resource(urn=URN, type=COPY, id="x", inputs=inputs, outputs=inputs)
        await provider.update(old, {**inputs, "connection": {**server.connection, "port": 1}}, preview=False)
        assert not (remote / "one").exists()
        await provider.update(old, {**inputs, "remotePath": "/two"}, preview=True)
        assert not (remote / "two").exists()
        await provider.update(old, {**inputs, "remotePath": "/two"}, preview=False)
        assert (remote / "two").read_text() == "A"
        await provider.update(
            old, {**inputs, "source": Asset(sha256="2", path=str(source / "a"))}, preview=False
        )
        assert (remote / "one").read_text() == "A"
        await provider.delete(old)
        assert (remote / "one").exists()

    play(remote, scenario)


def test_a_folders_digest_follows_names_and_contents(files: tuple[Path, Path]) -> None:
    source, _ = files
    first = Archive.of(sha256="", path=str(source))
    assert first == Archive.of(sha256="", path=str(source))
    (source / "sub" / "b").rename(source / "sub" / "c")
    second = Archive.of(sha256="", path=str(source))
    (source / "a").write_text("changed")
    third = Archive.of(sha256="", path=str(source))
    assert len({first.sha256, second.sha256, third.sha256, ""}) == 4


def test_credentials_are_secrets_of_their_own() -> None:
    """As in the real provider's state, which would otherwise see a change of every connection."""
    proxy = {"host": "b", "password": "p"}
    given = {"host": "a", "privateKey": "k", "proxy": proxy}
    checked = asyncio.run(PROVIDERS["command"]().check(URN, COMMAND, None, {"connection": given}))
    connection = checked.inputs["connection"]
    assert (connection["host"], connection["privateKey"]) == ("a", Secret("k"))
    assert connection["proxy"]["password"] == Secret("p")


def test_a_way_that_swallows_everything_ends_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.engine.providers.command.dial._KEEPALIVE", 0.3)
    swallowed = asyncio.Event()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            if not swallowed.is_set():
                writer.write(chunk)

    async def scenario(server: Sshd, provider: Provider) -> str:
        async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner = await asyncio.open_connection("127.0.0.1", server.connection["port"])
            await asyncio.gather(forward(reader, inner[1]), forward(inner[0], writer))

        proxy = await asyncio.start_server(between, "127.0.0.1", 0)
        connection = {**server.connection, "port": proxy.sockets[0].getsockname()[1]}
        running = asyncio.create_task(create(provider, connection, f"touch {tmp_path}/began; exec sleep 8"))
        for _ in range(200):
            if (tmp_path / "began").exists():
                break
            await asyncio.sleep(0.05)
        swallowed.set()
        with pytest.raises(ProviderError) as caught:
            await running
        proxy.close()
        return str(caught.value)

    assert "without exit status" in str(play(tmp_path, scenario))
