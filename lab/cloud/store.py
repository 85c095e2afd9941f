"""Everything the cloud knows, in memory and in one JSON file that is replaced after every change."""

import datetime as dt
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lab.cloud.errors import ApiError, CloudError

__all__ = ["Record", "Store", "now"]

Record = dict[str, Any]

_COLLECTIONS: Final = (
    "ssh_keys", "placement_groups", "primary_ips", "firewalls", "networks", "servers", "actions",
)  # fmt: skip
_FIRST_ID: Final = 1001
_MOST_ACTIONS: Final = 2000  # the oldest finished ones are forgotten beyond that


def now() -> str:
    """Return the time as the API writes it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


class Store:
    """Collections of records by number. Used from one event loop only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = _FIRST_ID
        self._records: dict[str, dict[int, Record]] = {name: {} for name in _COLLECTIONS}
        self._batches = 0
        for left in path.parent.glob(f"{path.stem}.*.new"):  # of a run that was killed while it wrote
            left.unlink()
        if path.exists():
            self._load()

    def _load(self) -> None:
        try:
            kept = json.loads(self._path.read_text())
        except ValueError as error:
            raise CloudError(
                f"{self._path} is not what this cloud wrote ({error}); remove it to start with nothing"
            ) from None
        self._next = kept["next"]
        for name in _COLLECTIONS:
            self._records[name] = {int(key): record for key, record in kept.get(name, {}).items()}

    def names(self) -> list[str]:
        """Return every resource as its kind and name: `primary ip lab-web-1`."""
        return [
            f"{collection.removesuffix('s').replace('_', ' ')} {record['name']}"
            for collection, records in self._records.items()
            for record in records.values()
            if "name" in record
        ]

    def save(self) -> None:
        """Write everything, whole or not at all."""
        if self._batches:
            return
        fresh = self._path.with_suffix(f".{os.getpid()}.new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"next": self._next, **self._records}, file)
        fresh.rename(self._path)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Write what changes within once, at the end: all of it is kept or nothing. No `await` within."""
        self._batches += 1
        try:
            yield
        finally:
            self._batches -= 1
            self.save()

    def add(self, collection: str, record: Record) -> Record:
        """Give a record its number and keep it."""
        record = {"id": self._next, **record}
        self._next += 1
        self._records[collection][record["id"]] = record
        if collection == "actions":
            self._forget_actions()
        self.save()
        return record

    def _forget_actions(self) -> None:
        actions = self._records["actions"]
        finished = [number for number, action in actions.items() if action["status"] != "running"]
        for number in finished[: max(0, len(actions) - _MOST_ACTIONS)]:
            del actions[number]

    def remove(self, collection: str, number: int) -> None:
        """Forget a record."""
        self._records[collection].pop(number, None)
        self.save()

    def all(self, collection: str) -> list[Record]:
        """Return a collection's records in the order of their numbers."""
        return [self._records[collection][key] for key in sorted(self._records[collection])]

    def find(self, collection: str, number: int | None) -> Record | None:
        """Return one record, if there is one."""
        return None if number is None else self._records[collection].get(number)

    def get(self, collection: str, number: int) -> Record:
        """Return one record. Raises `ApiError`."""
        record = self.find(collection, number)
        if record is None:
            singular = collection.removesuffix("s")
            raise ApiError("not_found", f"{singular} with ID '{number}' not found")
        return record

    def refuse_taken(self, collection: str, name: str, *, but: int | None = None) -> None:
        """Names are unique in their collection. Raises `ApiError`."""
        if any(
            record["name"] == name and record["id"] != but for record in self._records[collection].values()
        ):
            singular = collection.removesuffix("s")
            raise ApiError(
                "uniqueness_error", f"{singular} name is already used", {"fields": [{"name": "name"}]}
            )
