"""The end of a process that has loaded much, for the engine and for the programs that it runs.

Imports the standard library alone: a program may run in another virtual environment.
"""

import atexit
import contextlib
import os
import sys
import threading
from typing import NoReturn

__all__ = ["end"]


def end(code: int) -> NoReturn:
    """End this process as Python does, in its order, but leave all modules whole.

    To take apart the classes of Pulumi's SDK takes 0.25 s, those of the engine 0.06 s.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for all threads
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(code)
