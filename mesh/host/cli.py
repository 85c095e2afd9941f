"""The agent's command line; docs/protocol.md describes commands, answers and exit codes.

Imports are most of what a start costs. So each command imports what it needs when it is called.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from .answers import AgentError, Answer
from .commands.installed import check_archive
from .places import Places
from .system.run import io_error, log
from .trial.record import is_overdue
from .tunnel import WG0, Tunnel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

__all__ = ["main"]

_USAGE = """\
usage: wgmesh.pyz COMMAND
  install          put this file in place; standard input: its SHA-256
  own-key          make the node's own WireGuard key, tell its public half; standard input: JSON
  keys [SHA256]    store keys; standard input: JSON. SHA256 names the agent, which installs itself first
  apply [--local]  try and commit the node's files; standard input: the document
  status           print the state as JSON, with the differences from the node's own files
  check            the same, with the differences from a document; standard input: the document
  settle           take in which peers have new keys for sure; standard input: JSON
  leave            remove everything and restore the former state
  boot, guard, table-up, link-up, link-down, link-reload, next-up, next-down, rotate, run-trial TXN,
  expire TXN: called by systemd\
"""


def main() -> NoReturn:
    """Run one command and end with its exit code; the last line of its output is the answer.

    Nothing is left to be done then: Python's own way to end would take everything apart first.
    """
    os.umask(0o077)
    argv = sys.argv[1:]
    try:
        answer, detail = _run(Places(), WG0, argv)
    except AgentError as error:
        answer, detail = error.answer, error.reason
    except OSError as error:
        failed = io_error(error)
        answer, detail = failed.answer, failed.reason
    except Exception as error:  # noqa: BLE001 - its text could hold anything, a key as well
        answer, detail = Answer.FAILED, f"unexpected {type(error).__name__} at {_place(error)}"
    if answer.code:
        log(f"{' '.join(argv[:1])}: {answer.word} {detail}")
    _say(answer, detail)
    os._exit(answer.code)


def _place(error: Exception) -> str:
    """Return where an exception was raised, as file and line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "an unknown place"
    )


def _run(places: Places, tunnel: Tunnel, argv: list[str]) -> tuple[Answer, str]:
    command, rest = (argv[0], argv[1:]) if argv else ("", [])
    if command in _COMMANDS and not rest:
        _undo_overdue(places, tunnel)
        return _COMMANDS[command](places, tunnel)
    if command == "apply" and rest == ["--local"]:
        _undo_overdue(places, tunnel)
        return _apply(places, tunnel, local=True)
    if command == "keys" and len(rest) == 1:
        _undo_overdue(places, tunnel)
        return _keys_by(places, tunnel, rest[0])
    if command in _UNIT_COMMANDS and not rest:
        _UNIT_COMMANDS[command](places, tunnel)
        return Answer.DONE, ""
    if command in _TRIAL_COMMANDS and len(rest) == 1:
        _TRIAL_COMMANDS[command](places, tunnel, rest[0])
        return Answer.DONE, ""
    raise AgentError(Answer.USAGE, _USAGE)


def _undo_overdue(places: Places, tunnel: Tunnel) -> None:
    if is_overdue(places):
        from .trial.expiry import undo_overdue

        undo_overdue(places, tunnel)


def _read() -> bytes:
    from .files.document import MAX_BYTES

    return sys.stdin.buffer.read(MAX_BYTES + 1)


def _read_secret() -> bytes:
    """Read JSON; a line before it is for another shell, which a start file may have started."""
    raw = _read()
    return raw.partition(b"\n")[2] if raw.startswith(b"exit ") else raw


def _install(places: Places, tunnel: Tunnel) -> tuple[Answer, str]:
    from .commands.install import install

    return install(places, tunnel, _read())


def _own_key(places: Places, _tunnel: Tunnel) -> tuple[Answer, str]:
    from .commands.own_key import own_key

    return own_key(places, _read_secret())


def _keys(places: Places, _tunnel: Tunnel) -> tuple[Answer, str]:
    from .commands.keys import keys

    return keys(places, _read_secret())


def _keys_by(places: Places, tunnel: Tunnel, agent: str) -> tuple[Answer, str]:
    from .commands.keys import keys_by

    return keys_by(places, tunnel, _read_secret(), agent=agent)


def _apply(places: Places, tunnel: Tunnel, *, local: bool) -> tuple[Answer, str]:
    from .commands.apply import apply, remarks_on

    check_archive(places)
    answer, detail = apply(places, tunnel, _read(), local=local)
    for remark in remarks_on(places, detail):
        print(f"REMARK {remark}")
    return answer, detail


def _status(places: Places, tunnel: Tunnel) -> tuple[Answer, str]:
    from .commands.status import status

    return Answer.DONE, status(places, tunnel)


def _check(places: Places, tunnel: Tunnel) -> tuple[Answer, str]:
    from .commands.status import check

    return Answer.DONE, check(places, tunnel, _read())


def _settle(places: Places, _tunnel: Tunnel) -> tuple[Answer, str]:
    from .commands.settle import settle

    return settle(places, _read())


def _leave(places: Places, tunnel: Tunnel) -> tuple[Answer, str]:
    from .commands.leave import leave

    return leave(places, tunnel)


def _boot(places: Places, tunnel: Tunnel) -> None:
    from .commands.boot import boot

    boot(places, tunnel)


def _link_up(places: Places, tunnel: Tunnel) -> None:
    from .commands.boot import link_up

    link_up(places, tunnel)


def _link_down(places: Places, tunnel: Tunnel) -> None:
    from .commands.boot import link_down

    link_down(places, tunnel)


def _link_reload(places: Places, tunnel: Tunnel) -> None:
    from .commands.boot import link_reload

    link_reload(places, tunnel)


def _next_up(places: Places, tunnel: Tunnel) -> None:
    from .rotation.second import next_up

    next_up(places, tunnel)


def _next_down(places: Places, tunnel: Tunnel) -> None:
    from .rotation.second import next_down

    next_down(places, tunnel)


def _rotate(places: Places, tunnel: Tunnel) -> None:
    from .commands.rotate import rotate

    gc.enable()  # this process and the guard stay
    rotate(places, tunnel)


def _guard(places: Places, _tunnel: Tunnel) -> None:
    from .commands.guard import guard

    gc.enable()
    guard(places)


def _table_up(places: Places, _tunnel: Tunnel) -> None:
    from .commands.guard import table_up

    table_up(places)


def _run_trial(places: Places, tunnel: Tunnel, txn: str) -> None:
    from .trial.machine import run_trial

    run_trial(places, tunnel, txn)


def _expire(places: Places, tunnel: Tunnel, txn: str) -> None:
    from .trial.expiry import expire

    expire(places, tunnel, txn)


_COMMANDS: dict[str, Callable[[Places, Tunnel], tuple[Answer, str]]] = {
    "install": _install,
    "own-key": _own_key,
    "keys": _keys,
    "apply": lambda places, tunnel: _apply(places, tunnel, local=False),
    "status": _status,
    "check": _check,
    "settle": _settle,
    "leave": _leave,
}
_UNIT_COMMANDS: dict[str, Callable[[Places, Tunnel], None]] = {
    "boot": _boot,
    "link-up": _link_up,
    "link-down": _link_down,
    "link-reload": _link_reload,
    "next-up": _next_up,
    "next-down": _next_down,
    "rotate": _rotate,
    "guard": _guard,
    "table-up": _table_up,
}
_TRIAL_COMMANDS: dict[str, Callable[[Places, Tunnel, str], None]] = {
    "expire": _expire,
    "run-trial": _run_trial,
}


def _say(answer: Answer, detail: str) -> None:
    """Print the answer; whoever asked may be gone, which changes nothing any more."""
    text = detail if answer is Answer.DONE else f"{answer.word} {' '.join(detail.split())}"
    if answer is Answer.USAGE:
        text = f"{detail}\nUSAGE"
    try:
        if text:
            print(text)
        sys.stdout.flush()
    except OSError:
        return
