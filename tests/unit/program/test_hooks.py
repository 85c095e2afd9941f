import time
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from mesh.program.hooks import (
    canary_answer,
    command_answer,
    command_failed,
    command_ran,
    wants_reconnect,
)
from mesh.program.machines.hetzner.errors import REMEDIES
from mesh.program.remedies import remedy
from tests.unit.program.failures import failed

RECONNECT = (
    'error: Process exited with status 75: running " exec python3 x apply":\nstaged\nRECONNECT 3f2a9c\n'
)
LOST = "wait: remote command exited without exit status or exit signal"


def test_the_agents_word_makes_the_engine_dial_again() -> None:
    assert wants_reconnect(failed(RECONNECT))


@pytest.mark.parametrize(
    "error",
    [
        RECONNECT.replace("status 75", "status 70"),
        RECONNECT + "ROLLED-BACK the self-check failed\n",
        RECONNECT.replace("RECONNECT", "please RECONNECT"),
        "Process exited with status 75: a program of its own, without the word",
        "Process exited with status 1",
        "dial tcp 192.0.2.1:22: connect: connection refused",
    ],
)
def test_nothing_else_does(error: str) -> None:
    assert not wants_reconnect(failed(error))


def test_a_node_that_never_settles_is_given_up() -> None:
    assert wants_reconnect(failed(*[RECONNECT] * 12))
    assert not wants_reconnect(failed(*[RECONNECT] * 13))


@pytest.mark.parametrize("error", [LOST, "read tcp: connection reset by peer", "EOF", "Connection lost"])
def test_a_lost_connection_is_tried_three_times(error: str) -> None:
    assert wants_reconnect(failed(error, error, error))
    assert not wants_reconnect(failed(error, error, error, error))


def test_a_flood_is_looked_at_in_no_time() -> None:
    flood = "exited with status 75\nRECONNECT a\n" * 15_000
    began = time.process_time()
    assert wants_reconnect(failed(f"Process exited with status 75: running x:\n{flood}"))
    assert not wants_reconnect(failed(f"Process exited with status 75: running x:\n{flood}x"))
    remedy(failed("EO" * 250_000 + flood))
    assert time.process_time() - began < 10  # of CPU; a quadratic search took 20 for each


def test_what_a_node_prints_is_no_lost_connection() -> None:
    text = f'Process exited with status 65: running "x":\n{"-" * 3_000}\nEOF, connection lost\nREFUSED x'
    assert not wants_reconnect(failed(text))


def test_only_the_newest_error_decides() -> None:
    assert not wants_reconnect(failed("Process exited with status 70: ROLLED-BACK late", RECONNECT))
    assert wants_reconnect(failed(RECONNECT, LOST))


def test_a_canary_is_dialled_again_like_any_node(said: list[str]) -> None:
    assert canary_answer("web-1")(failed(RECONNECT))
    assert said == []


@pytest.mark.parametrize(
    "error",
    [
        'Process exited with status 70: running "x":\nROLLED-BACK silence',
        "dial tcp 192.0.2.1:22: connect: no route to host",
    ],
)
def test_a_canary_that_fails_says_that_the_others_are_spared_and_how_to_go_on(
    said: list[str], error: str
) -> None:
    assert not canary_answer("web-1")(failed(error))
    assert said[0].startswith("web-1: ")
    for words in (
        "web-1 is the canary (mesh.rollout.canary) and web-1-apply failed",
        "the files of all other nodes stay as they are",
        "run up again",
        "`enabled: false`",
    ):
        assert words in said[1]


_PARENT = "urn:pulumi:prod::wireguard-mesh::wireguard-mesh:index:Mesh$wireguard-mesh:index:Node"
_URN = f"{_PARENT}$command:remote:Command"
_SERVER: Any = SimpleNamespace(
    resource=SimpleNamespace(
        pulumi_resource_type="hcloud:index/server:Server", pulumi_resource_name="db-1-server"
    ),
    remedies=REMEDIES,
)
_ALONE: Any = SimpleNamespace(resource=None, remedies={"host key mismatch": "look at {server} yourself"})


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("dial tcp 192.0.2.1:2222: connect: connection refused", "nothing listens for SSH on port 2222"),
        ("dial tcp 192.0.2.1:2222: i/o timeout", "no answer on its SSH port 2222"),
        (
            "ssh: handshake failed: ssh: no common algorithm for host key; client offered: [x]",
            "HostKeyAlgorithms",
        ),
        ("Process exited with status 97: running x", "replaces the shell"),
        (
            "Process exited with status 1: running x:\nbootstrap: AllowUsers is in the way",
            "db-1: AllowUsers is",
        ),
        (
            "ssh: handshake failed: ssh: host key mismatch",
            f"`pulumi up --replace '{_PARENT}$hcloud:index/server:Server::db-1-server'`",
        ),
        (
            "ssh: handshake failed: ssh: unable to authenticate",
            "does not let root in with this stack's SSH key",
        ),
        (
            'Process exited with status 66: running "x":\nKEYS-MISSING key:ab is not there',
            f"`pulumi up --replace '{_URN}::db-1-keys'`",
        ),
        (
            "python3: can't open file '/usr/local/lib/wgmesh/wgmesh.pyz': [Errno 2] No such file",
            f"`pulumi up --replace '{_PARENT}$hcloud:index/server:Server::db-1-server'`",
        ),
        (
            "Process exited with status 65: running x:\nREFUSED a has the digest b: copy the file again",
            f"$command:remote:CopyToRemote::db-1-agent-file' --replace '{_URN}::db-1-keys'`",
        ),
        ('Process exited with status 64: running "x":\nusage: x\nUSAGE\n', "`--target`, name '"),
        ("Process exited with status 137 from signal KILL: running", "was killed on the node"),
        ('Process exited with status 70: running "x":\nROLLED-BACK wg failed', "the node is as before"),
        ("failed to copy to x: Max packet size exceeded", "prints something, and this breaks"),
        ("error receiving version packet from server: packet too long", "prints something, and this breaks"),
        ("dial unix /tmp/ssh-x/agent.1: connect: no such file or directory", "`unset SSH_AUTH_SOCK`"),
    ],
)
def test_a_command_that_fails_for_good_names_its_node_and_the_remedy(
    said: list[str], error: str, words: str
) -> None:
    args = failed(error, name="db-1-apply", under=_URN)
    assert not command_failed(args, machines={"db-1": _SERVER})
    assert len(said) == 1
    assert said[0].startswith("db-1: ")
    assert words in said[0]


def test_a_provider_says_better_what_its_errors_mean(said: list[str]) -> None:
    args = failed("dial tcp 192.0.2.1:22: i/o timeout", name="db-1-apply", under=_URN)
    command_failed(args)
    command_failed(args, machines={"db-1": _SERVER})
    assert ["the next `up` starts it" in words for words in said] == [False, True]


def test_a_server_that_cannot_leave_is_told_with_the_command_that_goes_on_without_it(said: list[str]) -> None:
    args = failed("dial tcp 192.0.2.1:22: i/o timeout", name="db-1-leave", under=_URN)
    assert not command_failed(args)
    assert len(said) == 1
    assert said[0].startswith("db-1: the server still has what the mesh put there")
    assert f"`pulumi state delete '{_URN}::db-1-leave'`" in said[0]


def test_a_machine_that_outlives_its_node_is_done_anew_by_first_contact(
    said: list[str],
) -> None:
    args = failed("ssh: handshake failed: ssh: host key mismatch", name="db-1-apply", under=_URN)
    command_failed(args, machines={"db-1": _ALONE})
    assert said == [f"db-1: look at {_URN}::db-1-bootstrap yourself"]


def test_a_refusal_that_says_all_gets_no_remedy(said: list[str]) -> None:
    assert not command_failed(failed('Process exited with status 65: running "x":\nREFUSED bad line 3'))
    assert said == []


def test_silence_from_a_node_that_limits_who_may_come_in_names_them(said: list[str]) -> None:
    args = failed(
        "after 10 failed attempts: dial tcp 192.0.2.1:22: i/o timeout", name="db-1-apply", under=_URN
    )
    command_answer({"db-1": "198.51.100.7/32"})(args)
    assert "allow SSH only from 198.51.100.7/32 (mesh.ssh.from)" in said[0]
    command_answer({"web-1": "198.51.100.7/32"})(args)
    assert "ssh.from" not in said[1]


def test_a_login_that_fails_is_explained_by_every_harmless_cause_before_the_disk_is_lost(
    said: list[str],
) -> None:
    args = failed("ssh: handshake failed: ssh: unable to authenticate", name="db-1-apply", under=_URN)
    command_failed(args)
    (text,) = said
    causes = ["console", "PermitRootLogin", "AllowUsers", "AuthorizedKeysFile", "/root/.ssh/authorized_keys"]
    places = [text.index(word) for word in [*causes, "replacing the server erases its disk", "--replace"]]
    assert places == sorted(places), text


@pytest.mark.parametrize(
    "error",
    [
        "failed to copy to /usr/local/lib/wgmesh/incoming.pyz: Max packet size exceeded",
        "packet too long",
        "sftp: unexpected packet: want SSH_FXP_VERSION, got 87",
        "error receiving version packet from server: EOF",
    ],
)
def test_a_copy_that_start_files_break_says_so(said: list[str], error: str) -> None:
    args = failed(*[error] * 4, name="db-1-agent-file", under=_URN)
    assert not command_failed(args)
    assert "/root/.bashrc" in said[0]


def _ran(step: str, stdout: Any) -> None:
    command_ran(
        pulumi.ResourceHookArgs(
            urn=f"{_URN}::db-1-{step}",
            id="1",
            name=f"db-1-{step}",
            type="command:remote:Command",
            new_outputs={"stdout": stdout},
        )
    )


@pytest.mark.parametrize(
    ("step", "stdout"),
    [
        ("bootstrap", "ready"),
        ("keys", "Welcome\nSTORED 3 keys"),
        ("agent-file", ""),
    ],
)
def test_a_command_that_was_run_has_said_so(step: str, stdout: str) -> None:
    _ran(step, stdout)


@pytest.mark.parametrize(("step", "stdout"), [("bootstrap", ""), ("keys", "Welcome"), ("keys", "ready")])
def test_a_command_that_a_start_file_swallowed_is_no_success(step: str, stdout: str) -> None:
    with pytest.raises(pulumi.RunError, match=f"the {step} command did not run.*/root/.bashrc.*--replace"):
        _ran(step, stdout)
