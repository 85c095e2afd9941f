"""`mesh scan-host-key`: the line for the stack file, and what must be compared."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncssh
import pytest
from typer.testing import CliRunner

from mesh.__main__ import app
from mesh.cli.engine import CliError
from mesh.cli.scan import scan
from mesh.settings.static import public_host_key


@contextmanager
def _sshd(keys: Sequence[asyncssh.SSHKey]) -> Iterator[int]:
    """An SSH server with these host keys on loopback; yields its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen("127.0.0.1", 0, server_host_keys=list(keys))

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    try:
        yield server.get_port()
    finally:
        server.close()
        asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_the_line_can_go_into_the_stack_file_and_the_fingerprint_is_to_be_compared() -> None:
    keys = [asyncssh.generate_private_key(kind) for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256")]
    with _sshd(keys) as port:
        run = CliRunner().invoke(app, ["scan-host-key", "127.0.0.1", "--port", str(port)])
    assert run.exit_code == 0, run.output
    assert run.stdout.startswith("hostKey: ecdsa-sha2-nistp256 AAAA")
    line = run.stdout.removeprefix("hostKey: ").strip()
    assert public_host_key(line) == line
    assert keys[1].get_fingerprint("sha256") in run.stderr
    assert "To be compared before you use this line" in run.stderr
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ecdsa_key.pub" in run.stderr


def test_a_server_with_one_kind_of_key_shows_this_one() -> None:
    with _sshd([asyncssh.generate_private_key("ssh-ed25519")]) as port:
        assert scan("127.0.0.1", port).kind == "ed25519"


def test_a_server_that_is_not_there_is_named_with_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(CliError, match=rf"127\.0\.0\.1, port {port}: .*--port"):
        scan("127.0.0.1", port)
