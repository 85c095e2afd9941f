"""The agent's command line; docs/protocol.md describes commands, answers and exit codes."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional

from .answers import AgentError, Answer
from .commands.apply import apply, remarks_on
from .commands.boot import boot, link_down, link_reload, link_up
from .commands.guard import guard, table_up
from .commands.install import check_archive, install
from .commands.leave import leave
from .commands.status import check, status
from .files.document import MAX_BYTES
from .files.generation import key_names_in_use
from .files.keystore import collect_keys, parse_keys, store_keys
from .files.rendered import collect_leftovers
from .live.hostkey import parse_host_key, take_host_key
from .places import Places
from .system.run import io_error, log
from .trial.expiry import expire, undo_overdue
from .trial.lock import COMMAND_WAIT, lock
from .trial.machine import run_trial
from .trial.record import load_trial
from .tunnel import WG0, Tunnel

__all__ = ["main"]

_UNIT_COMMANDS: dict[str, Callable[[Places, Tunnel], None]] = {
    "boot": boot,
    "link-up": link_up,
    "link-down": link_down,
    "link-reload": link_reload,
    "guard": lambda places, _tunnel: guard(places),
    "table-up": lambda places, _tunnel: table_up(places),
}
_TRIAL_COMMANDS: dict[str, Callable[[Places, Tunnel, str], None]] = {"expire": expire, "run-trial": run_trial}
_USAGE = """\
usage: wgmesh.pyz COMMAND
  install          put this file in place; standard input: its SHA-256
  keys             store keys; standard input: JSON
  apply [--local]  try and commit the node's files; standard input: the document
  status           print the state as JSON, and how this node differs from its own files
  check            the same, but how it differs from a document; standard input: the document
  leave            take everything away again and put back what was there before
  boot, guard, table-up, link-up, link-down, link-reload, run-trial TXN, expire TXN: called by systemd\
"""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command and return its exit code; the last line of its output is the answer."""
    os.umask(0o077)
    argv = sys.argv[1:] if arguments is None else list(arguments)
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
    return answer.code


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
        undo_overdue(places, tunnel)
        return _COMMANDS[command](places, tunnel)
    if command == "apply" and rest == ["--local"]:
        undo_overdue(places, tunnel)
        return _apply(places, tunnel, local=True)
    if command in _UNIT_COMMANDS and not rest:
        _UNIT_COMMANDS[command](places, tunnel)
        return Answer.DONE, ""
    if command in _TRIAL_COMMANDS and len(rest) == 1:
        _TRIAL_COMMANDS[command](places, tunnel, rest[0])
        return Answer.DONE, ""
    raise AgentError(Answer.USAGE, _USAGE)


def _apply(places: Places, tunnel: Tunnel, *, local: bool) -> tuple[Answer, str]:
    check_archive(places)
    answer, detail = apply(places, tunnel, _read(), local=local)
    for remark in remarks_on(places, detail):
        print(f"REMARK {remark}")
    return answer, detail


def _read() -> bytes:
    return sys.stdin.buffer.read(MAX_BYTES + 1)


def _keys(places: Places, _tunnel: Tunnel) -> tuple[Answer, str]:
    check_archive(places)
    raw = _read()
    keys, host_key = parse_keys(raw), parse_host_key(raw)
    with lock(places, wait=COMMAND_WAIT):
        store_keys(places.keys, keys)
        collect_leftovers(places)
        if load_trial(places) is None:  # else the way back may need keys that nothing names but its record
            collect_keys(places.keys, {*keys, *key_names_in_use(places)})
        if host_key is not None:
            take_host_key(places, host_key)
    return Answer.STORED, f"{len(keys)} keys"


_COMMANDS: dict[str, Callable[[Places, Tunnel], tuple[Answer, str]]] = {
    "install": lambda places, tunnel: install(places, tunnel, _read()),
    "keys": _keys,
    "apply": lambda places, tunnel: _apply(places, tunnel, local=False),
    "status": lambda places, tunnel: (Answer.DONE, status(places, tunnel)),
    "check": lambda places, tunnel: (Answer.DONE, check(places, tunnel, _read())),
    "leave": leave,
}


def _say(answer: Answer, detail: str) -> None:
    """Print the answer; whoever asked may be gone, which changes nothing any more."""
    text = detail if answer is Answer.DONE else f"{answer.word} {' '.join(detail.split())}"
    if answer is Answer.USAGE:
        text = f"{detail}\nUSAGE"
    try:
        if text:
            print(text, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - so that Python's exit flushes in peace
