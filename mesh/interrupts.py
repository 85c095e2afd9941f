"""Ctrl-C while a command is still being loaded: it ends at once, without a traceback."""

import signal
import sys
from typing import Final

__all__ = ["end_at_once", "end_in_order"]

_COMMANDS: Final = {"mesh"}


def end_at_once() -> None:
    """Let Ctrl-C end this process as it ends any other, if it is about to become one of the commands."""
    # Python has this in the place of the name while it looks for a module to run
    as_module = sys.argv[:1] == ["-m"] and any(word in _COMMANDS for word in sys.orig_argv)
    as_script = "".join(sys.argv[:1]).rpartition("/")[2] in _COMMANDS
    if (as_module or as_script) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def end_in_order() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again: the command has begun, and ends what it has begun."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
