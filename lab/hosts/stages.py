"""Runs cloud-init's four stages on a host from one start of its modules, as cloud-init does since 24.3.

A file of the host image, not a module of the lab: the host's own Python runs it. Four starts are most of the
time of a boot. Each stage runs in a process of its own, which has the modules.
"""

import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

Main = Callable[[list[str]], object]
"""cloud-init's own command line; ends as a rule by `SystemExit`."""
PLACE = Path("/run/cloud-init/stages.sock")
STAGES = {
    "local": ["init", "--local"],
    "network": ["init"],
    "config": ["modules", "--mode=config"],
    "final": ["modules", "--mode=final"],
}
_SECONDS = 600


def begin() -> int:
    """Run the first stage; what runs the others stays behind. Returns the stage's exit code."""
    import yaml  # noqa: PLC0415

    # the same in C, before cloud-init takes it: to read YAML is half of what the stages do
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]
    from cloudinit.cmd.main import main  # type: ignore[import-not-found]  # noqa: PLC0415

    PLACE.parent.mkdir(exist_ok=True)
    PLACE.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(PLACE))
    listener.listen()
    if os.fork() == 0:
        os.setsid()
        _serve(listener, main)
        os._exit(0)
    return _run(main, "local")


def _serve(listener: socket.socket, main: Main) -> None:
    listener.settimeout(_SECONDS)
    stage = ""
    while stage != "final":
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            return
        with connection:
            stage = connection.recv(16).decode()
            connection.sendall(str(_run(main, stage)).encode())


def _run(main: Main, stage: str) -> int:
    """Run a stage in a process of its own; returns its exit code."""
    child = os.fork()
    if child == 0:
        sys.argv = ["/usr/bin/cloud-init", *STAGES[stage]]
        code: object = 1
        try:
            code = main(sys.argv)
        except SystemExit as end:
            code = end.code
        except Exception:  # noqa: BLE001 - told as by a process of its own
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 0 if code is None else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ask(stage: str) -> int:
    """Have a later stage run; returns its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(PLACE))
        connection.sendall(stage.encode())
        return int(connection.recv(16) or 1)


if __name__ == "__main__":
    sys.exit(begin() if sys.argv[1] == "local" else ask(sys.argv[1]))
