import base64
import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.host.answers import AgentError, Answer
from mesh.host.system.run import _without_keys, io_error, replace_link, run, write_file
from tests.unit.host.documents import KEYS


def test_what_a_tool_says_is_passed_on_without_anything_like_a_key() -> None:
    with pytest.raises(AgentError) as caught:
        run(["sh", "-c", f"echo bad value {KEYS[0]} >&2; exit 3"])
    assert "failed (3): bad value ..." in caught.value.reason
    assert KEYS[0][:20] not in caught.value.reason


@pytest.mark.parametrize(
    "said",
    [
        "Failed to start wg-quick@wg0.service: Unit file /etc/systemd/system/wg-quick@wg0.service is masked.",
        "/usr/local/lib/systemd/system/multi-user.target.wants/x: Permission denied",
        "cannot open '/proc/sys/net/ipv4/conf/all/forwarding'",
    ],
)
def test_a_path_is_no_key(said: str) -> None:
    with pytest.raises(AgentError) as caught:
        run(["sh", "-c", 'echo "$1" >&2; exit 3', "sh", said])
    assert caught.value.reason.endswith(f"failed (3): {said}")


@given(
    st.binary(min_size=32, max_size=32),
    st.sampled_from(["{}", "/etc/x:{}", "/run/{}", "'{}'", "k={} /etc/y"]),
)
def test_no_key_is_passed_on_as_a_path(raw: bytes, where: str) -> None:
    key = base64.b64encode(raw).decode()
    shown = _without_keys(where.format(key))
    assert not any(key[start : start + 20] in shown for start in range(24))


def test_wg_is_not_quoted_at_all() -> None:
    with pytest.raises(AgentError) as caught:
        run(["wg", "set", "nowhere", "private-key", "/dev/null", "peer", KEYS[0][:15]])
    assert "Key is not" not in caught.value.reason


def test_a_missing_tool_and_one_that_hangs_are_named() -> None:
    with pytest.raises(AgentError, match="no-such-tool is not installed"):
        run(["no-such-tool"])
    with pytest.raises(AgentError, match="did not end within"):
        run(["sleep", "9"], timeout=0.1)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"one", 0o600)
    write_file(path, b"two", 0o644)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(OSError):
        write_file(tmp_path, b"a folder is in the way", 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_link_is_replaced_in_one_step(tmp_path: Path) -> None:
    link = tmp_path / "current"
    for target in ("a", "b"):
        replace_link(link, target)
        assert str(link.readlink()) == target
    assert [entry.name for entry in tmp_path.iterdir()] == ["current"]


@pytest.mark.parametrize(("number", "word"), [(errno.ENOSPC, "NO-SPACE"), (errno.EROFS, "IO-ERROR")])
def test_errors_of_the_disk_have_their_word(number: int, word: str) -> None:
    answer = io_error(OSError(number, "why", "/var/lib/wgmesh/x"))
    assert (answer.answer.word, answer.answer.code) == (word, 74)
    assert answer.reason == "/var/lib/wgmesh/x: why"


def test_words_are_unique_and_codes_are_what_the_program_knows() -> None:
    assert len({answer.word for answer in Answer}) == len(Answer)
    codes = {answer.word: answer.code for answer in Answer}
    assert (codes["RECONNECT"], codes["ROLLED-BACK"], codes["REFUSED"], codes["KEYS-MISSING"]) == (
        75,
        70,
        65,
        66,
    )
