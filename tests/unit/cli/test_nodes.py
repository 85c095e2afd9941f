"""The SSH client against a real SSH server on the loopback."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from mesh.calls.nodes import AgentClient, NodeError
from mesh.cli.state import parse_state
from mesh.outputs import MeshOutputs, NodeOutputs
from tests.unit.cli.stack import COMMAND, COPY, KEY, OUTPUTS, SERVER, URN, exported, node_resources

REPORT: dict[str, Any] = {
    "agent": "ab",
    "current": None,
    "differences": [],
    "peers": {},
    "state": "idle",
    "trial": None,
}


@dataclass(frozen=True)
class _Says:
    """How the server answers any command."""

    out: str = ""
    code: int = 0
    hangs: bool = False

    async def __call__(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        if self.hangs:
            await asyncio.sleep(60)
        process.stdout.write(self.out)
        process.exit(self.code)


async def _call(
    says: _Says, ask: Callable[[AgentClient, NodeOutputs], Awaitable[Any]], host_key: asyncssh.SSHKey
) -> Any:
    """Ask a node that shows `host_key`; the stack knows `KEY`."""
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(KEY.export_public_key().decode()),
        process_factory=says,
    )
    node = NodeOutputs(
        name="web-1",
        address="10.10.0.2",
        public_ip="127.0.0.1",
        public_key="pub",
        host_key=KEY.export_public_key().decode(),
        enabled=True,
        ssh_port=server.get_port(),
    )
    mesh = MeshOutputs(nodes={"web-1": node}, unmade={}, ssh_private_key=OUTPUTS["ssh_private_key"])
    state = parse_state(exported(*node_resources("web-1")), ["web-1"])
    async with server:
        return await ask(AgentClient(mesh, lambda: state), node)


def _report(says: _Says, host_key: asyncssh.SSHKey = KEY) -> Any:
    return asyncio.run(_call(says, lambda agents, node: agents.report(node, "status"), host_key))


def test_a_report_is_read() -> None:
    assert _report(_Says(json.dumps(REPORT))).model_dump(exclude_unset=True) == REPORT
    assert _report(_Says(json.dumps(REPORT))).rotation is None, "an older agent"
    pairs = {"db-1": {"route": "next", "waits": "no word on port 51821"}}
    rotating = {**REPORT, "rotation": {"phase": "both", "since": 1764259200, "pairs": pairs}}
    assert _report(_Says(json.dumps(rotating))).model_dump(exclude_unset=True) == rotating


def test_another_host_key_is_refused_with_the_command_that_helps() -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(NodeError) as caught:
        _report(_Says(json.dumps(REPORT)), other)
    said = str(caught.value)
    assert f"127.0.0.1 shows the host key {other.get_fingerprint()}" in said
    assert f"the stack knows {KEY.get_fingerprint()}" in said
    assert f"`pulumi up --replace '{URN}${SERVER}::web-1-server'`" in said


@pytest.mark.parametrize(
    ("says", "found"),
    [
        (_Says("python3: not found\n", 127), "exit code 127: python3: not found"),
        (_Says(json.dumps(REPORT), 1), "exit code 1: "),
        (_Says("[]"), "exit code 0: []"),
        (_Says('{"state": "idle"}'), 'exit code 0: {"state": "idle"}'),
        (_Says(), "exit code 0: it said nothing"),
    ],
)
def test_what_is_no_report_is_shown(says: _Says, found: str) -> None:
    with pytest.raises(NodeError) as caught:
        _report(says)
    assert f"its agent gave no report ({found}" in str(caught.value)
    assert "journalctl -t wgmesh" in str(caught.value)


def test_an_agent_that_is_gone_is_named_with_the_commands_that_help() -> None:
    with pytest.raises(NodeError, match="the agent is gone from the node") as caught:
        _report(_Says("python3: can't open file '/usr/local/lib/wgmesh/wgmesh.pyz': [Errno 2] No such", 2))
    urns = f"--replace '{URN}${COPY}::web-1-agent-file' --replace '{URN}${COMMAND}::web-1-keys'"
    assert f"`pulumi up {urns}`" in str(caught.value)
    assert f"`pulumi up --replace '{URN}${SERVER}::web-1-server'`" in str(caught.value)


def test_a_node_that_hangs_is_given_up() -> None:
    def ask(agents: AgentClient, node: NodeOutputs) -> Awaitable[Any]:
        return agents.run(node, "ping", seconds=1)

    with pytest.raises(NodeError, match=r"^127\.0\.0\.1 does not answer$"):
        asyncio.run(_call(_Says(hangs=True), ask, KEY))


def test_the_users_own_ssh_setup_plays_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host *\n    ProxyCommand false\n    User nobody\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no-agent"))
    assert _report(_Says(json.dumps(REPORT))).model_dump(exclude_unset=True) == REPORT
