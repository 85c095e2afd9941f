"""The end of a process that has loaded much, for the engine and for the programs that it runs.

Imports the standard library alone: a program may run in another virtual environment.
"""

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, TextIO

__all__ = ["end", "end_with"]

_STREAMS: Final = 3  # standard input, output and error
_UNWRITTEN: Final = 120  # Python's exit code where standard output cannot be written at the end


def end_with(main: Callable[[], int]) -> NoReturn:
    """Run a command line, and end this process with its exit code, or that of a parser's `SystemExit`."""
    try:
        code = main()
    except SystemExit as over:
        code = int(over.code or 0)
    end(code)


def end(code: int) -> NoReturn:
    """End this process as Python does, in its order, but leave all modules whole.

    To take apart the classes of Pulumi's SDK takes 0.25 s, those of the engine 0.06 s. With files that were
    left open, Python does that after all, and so writes what they hold. Raises `SystemExit` then.
    """
    if _left_open():
        sys.exit(code)
    with contextlib.suppress(KeyboardInterrupt):
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for all threads
    atexit._run_exitfuncs()  # noqa: SLF001
    if not _written(sys.stdout):
        code = code or _UNWRITTEN
    _written(sys.stderr)
    os._exit(code)


def _left_open() -> bool:
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder itself, open while it was listed
            opened = str(each.readlink())
            a_file = opened.startswith("/") and not opened.startswith(("/dev/", "/proc/"))
            if a_file and int(each.name) >= _STREAMS:
                return True
    return False


def _written(stream: TextIO | None) -> bool:
    """Write what a stream holds; returns whether that worked. A closed one holds nothing."""
    if stream is None or stream.closed:
        return True
    try:
        stream.flush()
    except OSError as error:
        if stream is not sys.stderr and not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError, ValueError):
                print(f"error: cannot write to standard output: {error.strerror}", file=sys.stderr)
        return False
    return True
