"""One run of a program, as `subprocess` has it, which takes 3 ms of CPU to load."""

from __future__ import annotations

import contextlib
import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Tool", "call"]

# Python ignores these, and whoever it starts would (signal(7): SIGPIPE, SIGXFSZ).
_IGNORED = (13, 25)
_SIGKILL = 9
_CHUNK = 1 << 16
# Seconds between looks whether a program that has closed its ends is gone.
_POLL = 0.0005
_SLOWEST = 0.05
# Seconds a program that was killed has to go; one that the kernel holds back is left alone.
_GONE = 1.0


class Tool:
    """A program that was started, and what it says.

    It reads `stdin` from memory, and inherits only the open files `fds`. Whoever starts one calls `finish`.
    Raises `OSError` where it cannot be run.
    """

    def __init__(
        self,
        path: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdin: str = "",
        fds: Iterable[int] = (),
    ) -> None:
        with contextlib.ExitStack() as stack:
            given = os.memfd_create("stdin")
            stack.callback(os.close, given)
            if stdin:
                with os.fdopen(os.dup(given), "wb") as file:
                    file.write(stdin.encode())
                os.lseek(given, 0, os.SEEK_SET)
            out, out_end = os.pipe()
            stack.callback(os.close, out_end)
            err, err_end = os.pipe()
            stack.callback(os.close, err_end)
            self._said = {out: bytearray(), err: bytearray()}
            with contextlib.ExitStack() as failed:
                failed.callback(self._close)
                self._pid = _spawn(path, argv, environment, (given, out_end, err_end), fds)
                failed.pop_all()

    def finish(self, seconds: float) -> tuple[int, str, str]:
        """Wait until it has ended; returns its exit code, less than 0 for a signal, and what it said.

        Raises `TimeoutError` after so many seconds; it is killed then.
        """
        end = time.monotonic() + seconds
        try:
            with _killed_when_late(self._pid):
                self._listen(end)
                code = _wait(self._pid, end)
        finally:
            self._close()
        out, err = (bytes(said).decode(errors="replace") for said in self._said.values())
        return code, out, err

    def _listen(self, end: float) -> None:
        """Read all that it says, until it and all that it started have closed their ends."""
        poll = select.poll()
        open_ends = set(self._said)
        for handle in open_ends:
            poll.register(handle, select.POLLIN)
        while open_ends:
            for handle, _event in poll.poll(1000 * _left(end)):
                raw = os.read(handle, _CHUNK)
                self._said[handle] += raw
                if not raw:
                    poll.unregister(handle)
                    open_ends.remove(handle)

    def _close(self) -> None:
        for handle in self._said:
            os.close(handle)


def call(path: str, argv: Sequence[str], *, seconds: float) -> int:
    """Run a program that says nothing to us, such as one that leaves a daemon; returns its exit code.

    It has our environment. Raises `OSError`, and `TimeoutError` after so many seconds; it is killed then.
    """
    null = os.open(os.devnull, os.O_RDWR)
    try:
        pid = _spawn(path, argv, os.environ, (null, null, null), ())
    finally:
        os.close(null)
    with _killed_when_late(pid):
        return _wait(pid, time.monotonic() + seconds)


@contextlib.contextmanager
def _killed_when_late(pid: int) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        os.kill(pid, _SIGKILL)
        with contextlib.suppress(TimeoutError):
            _wait(pid, time.monotonic() + _GONE)
        raise


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _spawn(
    path: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    streams: tuple[int, int, int],
    fds: Iterable[int],
) -> int:
    # A descriptor that takes its own place is inherited: posix_spawn_file_actions_adddup2(3).
    places = [*zip(streams, range(3)), *((handle, handle) for handle in fds)]
    actions = [(os.POSIX_SPAWN_DUP2, handle, place) for handle, place in places]
    return os.posix_spawn(path, [*argv], environment, file_actions=actions, setsigdef=_IGNORED)


def _wait(pid: int, end: float) -> int:
    """Return the exit code of a child. Raises `TimeoutError`."""
    pause = _POLL
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(min(pause, _left(end)))
        pause = min(2 * pause, _SLOWEST)
