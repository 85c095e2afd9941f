"""What a run has changed so far: a file beside the state, to which a line of JSON is added at each save.

    {"state": "<SHA-256 of the state's file>", "deployment": {...}}
    [["begin", 0, {...}, "creating"]]
    [["end", 0], ["add", 7, {...}]]

The first line says to which state the others belong, and what stands at the deployment's top. The others
are lists of changes, in order: what happened (`lab.engine.state.model.Change`), a number, and a record or
nothing. Records of the state are numbered from 0 in its order, and so are its pending operations; a new one
gets a number of its own. Secrets are encrypted as in the state. A run that ends writes the state whole and
removes the journal. A run that is killed leaves the journal, and whoever reads the state reads both.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from lab.engine.state.model import StateError

__all__ = ["JournalFile", "with_journal"]

Record = dict[str, Any]
_MODE: Final = 0o600
_DAMAGED: Final = "the journal beside the state is damaged; both files stay unchanged"


class JournalFile:
    """A run's journal, open for more lines."""

    def __init__(self, path: Path, state: bytes, deployment: Mapping[str, Any]) -> None:
        """Begin the journal of the state in a file with these bytes; raises `OSError`."""
        path.unlink(missing_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, _MODE)
        self._bytes = 0
        try:
            self.append(json.dumps({"state": _name(state), "deployment": deployment}))
            _sync_folder(path.parent)
        except OSError:
            self.close()
            raise

    def append(self, line: str) -> None:
        """Add a line of JSON, which is on the disk afterwards. Raises `OSError` and then has not added it."""
        data = line.encode() + b"\n"
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._bytes)
            raise
        self._bytes += len(data)

    def close(self) -> None:
        """Add nothing more."""
        os.close(self._file)


def _sync_folder(folder: Path) -> None:
    """Have the folder's new entry on the disk, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name(state: bytes) -> str:
    return hashlib.sha256(state).hexdigest()


def with_journal(deployment: Record, state: bytes, journal: bytes) -> Record:
    """Return the deployment of a state's file with the changes of a journal. Raises `StateError`.

    A journal of another state changes nothing: that state was written whole since. A last line that was not
    written to its end counts as not written, as nobody went on after it.
    """
    lines = journal.split(b"\n")[:-1]
    parsed = [_parsed(line, last=number == len(lines)) for number, line in enumerate(lines, start=1)]
    head, *changed = [line for line in parsed if line is not None] or [None]
    try:
        if head is None or head["state"] != _name(state):
            return deployment
        return _replayed({**deployment, **head["deployment"]}, (one for line in changed for one in line))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StateError(_DAMAGED) from error


def _parsed(line: bytes, *, last: bool) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        if last:
            return None
        raise StateError(_DAMAGED) from None


def _replayed(deployment: Record, changes: Iterable[list[Any]]) -> Record:
    """Return a deployment after changes; its records stand as the run would have written them."""
    base: dict[int, Record] = dict(enumerate(deployment.get("resources") or []))
    pending: dict[int, Record] = dict(enumerate(deployment.get("pending_operations") or []))
    news: dict[int, Record] = {}
    for kind, number, *rest in changes:
        match kind:
            case "same":
                news[number] = _taken(number, base, news)
            case "add":
                _taken(number, base, news)
                news[number] = rest[0]
            case "put":
                (news if number in news else base)[number] = rest[0]
            case "drop":
                _taken(number, base, news)
            case "begin":
                pending[number] = {"resource": rest[0], "type": rest[1]}
            case "end":
                del pending[number]
            case _:
                raise StateError(
                    f"the journal beside the state has {kind!r}, which this engine does not know"
                )
    found = {"resources": [*news.values(), *base.values()], "pending_operations": [*pending.values()]}
    kept = {name: value for name, value in deployment.items() if name not in found}
    return kept | {name: value for name, value in found.items() if value}


def _taken(number: int, *places: dict[int, Record]) -> Record:
    """Take a record out of where it is; empty where there is none yet."""
    return next((place.pop(number) for place in places if number in place), {})
