"""What every resource has: a name, which is unique in its collection, and labels."""

from lab.cloud.requests import Rename, RenameServer
from lab.cloud.store import Record, Store

__all__ = ["rename"]


def rename(store: Store, collection: str, record: Record, request: Rename | RenameServer) -> None:
    """Change a resource's name and labels, where the request gives them. Raises `ApiError`."""
    if request.name is not None:
        store.refuse_taken(collection, request.name, but=record["id"])
        record["name"] = request.name
    if request.labels is not None:
        record["labels"] = request.labels
    store.save()
