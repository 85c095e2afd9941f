import os
import time
from pathlib import Path

import pytest

from mesh.host.system.tool import Tool, call

SH = "/bin/sh"


def _ran(script: str, *, seconds: float = 20, **given: object) -> tuple[int, str, str]:
    return Tool(SH, ["sh", "-c", script], environment={"PATH": "/usr/bin:/bin"}, **given).finish(seconds)  # type: ignore[arg-type]


def _open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_a_tool_reads_and_says_more_than_a_pipe_holds() -> None:
    text = "".join(f"{number}\n" for number in range(100_000))
    assert _ran("tee /dev/stderr", stdin=text) == (0, text, text)


def test_a_tool_without_input_finds_its_end() -> None:
    assert _ran("cat; echo done") == (0, "done\n", "")


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", -9), ("true", 0)])
def test_the_exit_code_is_told(script: str, code: int) -> None:
    assert _ran(script)[0] == code


def test_a_tool_dies_of_a_closed_pipe_as_it_would_in_a_shell() -> None:
    """By SIGPIPE, which Python ignores."""
    assert _ran("sh -c 'yes 2>&1; echo $? >&2' | true")[2] == "141\n"


def test_only_what_is_given_is_inherited(tmp_path: Path) -> None:
    secret = os.memfd_create("secret")
    os.write(secret, b"hidden")
    with (tmp_path / "lock").open("w") as lock:
        shown = _ran(f"cat /proc/self/fd/{secret}; ls /proc/self/fd", fds=[secret])[1]
        assert shown.startswith("hidden")
        assert str(lock.fileno()) not in shown.removeprefix("hidden").split()
        assert _ran(f"test ! -e /proc/self/fd/{secret}")[0] == 0
    os.close(secret)


@pytest.mark.parametrize("script", ["sleep 9", "sleep 9 & exit 0", "exec >/dev/null 2>&1; sleep 9"])
def test_a_tool_that_hangs_is_killed(script: str) -> None:
    """Also where only what it started still holds its output, and where it has closed that itself."""
    began, files = time.monotonic(), _open_files()
    tool = Tool(SH, ["sh", "-c", script], environment={"PATH": "/usr/bin:/bin"})
    with pytest.raises(TimeoutError):
        tool.finish(0.2)
    assert time.monotonic() - began < 3
    assert _open_files() == files
    with pytest.raises(ChildProcessError):  # nobody is left to be waited for
        os.waitpid(tool._pid, os.WNOHANG)


def test_what_cannot_be_run_leaves_no_file_open(tmp_path: Path) -> None:
    files = _open_files()
    with pytest.raises(FileNotFoundError):
        Tool(str(tmp_path / "none"), ["none"], environment={}, stdin="text")
    assert _open_files() == files


def test_a_daemon_is_left_and_not_waited_for() -> None:
    began = time.monotonic()
    assert call(SH, ["sh", "-c", "sleep 5 & exit 4"], seconds=20) == 4
    assert time.monotonic() - began < 3
    with pytest.raises(TimeoutError):
        call(SH, ["sh", "-c", "sleep 9"], seconds=0.2)
