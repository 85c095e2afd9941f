"""Where states are kept: Pulumi's file backend (`file://<folder>`), one JSON file per stack.

<folder>/.pulumi/meta.yaml
<folder>/.pulumi/stacks/<project>/<stack>.json        and .json.bak, the one before
<folder>/.pulumi/stacks/<project>/<stack>.journal     while a run changes it (journal_file.py)
<folder>/.pulumi/locks/organization/<project>/<stack>/<id>.json
"""

import datetime as dt
import getpass
import json
import os
import platform
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from lab.engine.state.format import refusal, stamp_of_text
from lab.engine.state.journal_file import JournalFile, with_journal
from lab.engine.state.model import StateError
from lab.processes import start_time

__all__ = ["STARTED", "Backend", "LockedError"]

STARTED: Final = "started"
"""In a lock of this engine, beside what Pulumi's have: `lab.processes.start_time` of its process."""
_SCHEME: Final = "file://"
_META: Final = "version: 1\n"


class LockedError(StateError):
    """Another run works on the stack, or one was killed while it did."""


class Backend:
    """One folder of states; `url` is `file://` and a folder. Raises `StateError` for anything else."""

    def __init__(self, url: str) -> None:
        if not url.startswith(_SCHEME):
            raise StateError(
                f"backend {url!r}: this engine keeps states only in folders, such as {_SCHEME}/some/folder"
            )
        path = url.removeprefix(_SCHEME)
        self.url = url
        self._root = Path(path).expanduser() / ".pulumi"

    def _prepare(self) -> None:
        meta = self._root / "meta.yaml"
        if not meta.exists():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            meta.write_text(_META)

    def _file(self, project: str, stack: str) -> Path:
        return self._root / "stacks" / project / f"{stack}.json"

    def _journal(self, project: str, stack: str) -> Path:
        return self._file(project, stack).with_suffix(".journal")

    def exists(self, project: str, stack: str) -> bool:
        """Whether there is such a stack."""
        return self._file(project, stack).exists()

    def stacks(self, project: str) -> list[str]:
        """Return the names of a project's stacks."""
        return sorted(path.stem for path in (self._root / "stacks" / project).glob("*.json"))

    def remove(self, project: str, stack: str) -> None:
        """Forget a stack."""
        self._file(project, stack).unlink()
        self._file(project, stack).with_suffix(".json.bak").unlink(missing_ok=True)
        self._journal(project, stack).unlink(missing_ok=True)

    def read(self, project: str, stack: str) -> dict[str, Any]:
        """Return a stack's deployment; empty for a new one. Raises `StateError`; never changes a file.

        What a run has added to its journal counts, also that of a run that was killed.
        """
        document, deployment = self._load(project, stack)
        refused = refusal(document)
        if refused:
            raise StateError(f"{self._file(project, stack)} {refused}; the file stays unchanged")
        return deployment

    def glance(self, project: str, stack: str) -> dict[str, Any]:
        """Return the same, also where this engine would not know what all of it means."""
        return self._load(project, stack)[1]

    def _load(self, project: str, stack: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a state's file holds, and the deployment with what a journal adds to it."""
        path = self._file(project, stack)
        journal = self._journal_bytes(project, stack)  # first: a run removes it when it writes the state
        try:
            state = path.read_bytes()
            document = json.loads(state)
            document["version"]
            deployment: dict[str, Any] = document["checkpoint"].get("latest") or {}
        except FileNotFoundError:
            raise StateError(f"no stack named '{stack}' found") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StateError(
                f"{path} is not a readable state and stays unchanged; {path.name}.bak has the state before"
            ) from None
        return document, with_journal(deployment, state, journal) if journal else deployment

    def _journal_bytes(self, project: str, stack: str) -> bytes:
        try:
            return self._journal(project, stack).read_bytes()
        except FileNotFoundError:
            return b""

    def has_journal(self, project: str, stack: str) -> bool:
        """Whether a run has left changes beside the state, or is at work on it."""
        return self._journal(project, stack).exists()

    def journal(self, project: str, stack: str, deployment: Mapping[str, Any]) -> JournalFile:
        """Begin a journal of the state as its file has it now; `deployment` is what changes at the top.

        The caller holds the stack.
        """
        state = self._file(project, stack).read_bytes()
        return JournalFile(self._journal(project, stack), state, deployment)

    def write(self, project: str, stack: str, deployment: str) -> None:
        """Replace a stack's state (JSON text), whole or not at all; the one before stays as a backup.

        A journal is over then: the state has all that it had.
        """
        self._prepare()
        path = self._file(project, stack)
        path.parent.mkdir(parents=True, exist_ok=True)
        name = json.dumps(f"organization/{project}/{stack}")
        fresh = path.with_suffix(f".{os.getpid()}.new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            beside = json.dumps(stamp_of_text(deployment))[1:-1]
            file.write(f'{{{beside},"checkpoint":{{"stack":{name},"latest":{deployment}}}}}')
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            backup = path.with_suffix(".json.bak")
            backup.unlink(missing_ok=True)
            backup.hardlink_to(path)
        fresh.rename(path)
        self._journal(project, stack).unlink(missing_ok=True)

    def _locks(self, project: str, stack: str) -> Path:
        return self._root / "locks" / "organization" / project / stack

    @contextmanager
    def locked(self, project: str, stack: str) -> Iterator[None]:
        """Hold the stack for one run. Raises `LockedError`; a killed run leaves its lock until `cancel`."""
        self._prepare()
        folder = self._locks(project, stack)
        folder.mkdir(parents=True, exist_ok=True)
        mine = folder / f"{uuid.uuid4()}.json"
        details = {
            "pid": os.getpid(),
            "username": getpass.getuser(),
            "hostname": platform.node(),
            "timestamp": dt.datetime.now(dt.UTC).isoformat(),
            STARTED: start_time(os.getpid()),
        }
        fresh = self._root / mine.name  # not beside the locks, where Pulumi would take it for one
        fresh.write_text(json.dumps(details))
        fresh.rename(mine)
        try:
            others = [path for path in sorted(folder.glob("*.json")) if path != mine]
            if others:
                raise LockedError(self._refusal(others))
            yield
        finally:
            mine.unlink(missing_ok=True)

    def _refusal(self, locks: list[Path]) -> str:
        head = (
            f"the stack is currently locked by {len(locks)} lock(s). Either wait for the other "
            "process(es) to end or delete the lock file with `pulumi cancel`."
        )
        lines = [head]
        for lock in map(_lock, locks):
            with suppress(KeyError):
                lines.append(
                    f"  {lock['username']}@{lock['hostname']} (pid {lock['pid']}) at {lock['timestamp']}"
                )
        return "\n".join(lines)

    def locks(self, project: str, stack: str) -> list[Mapping[str, Any]]:
        """Return what the locks of a stack say; of one that is damaged, as by a full disk, nothing."""
        return [_lock(path) for path in sorted(self._locks(project, stack).glob("*.json"))]

    def cancel(self, project: str, stack: str) -> int:
        """Delete the locks of a stack; returns how many there were."""
        locks = list(self._locks(project, stack).glob("*.json"))
        for path in locks:
            path.unlink(missing_ok=True)
        return len(locks)


def _lock(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
