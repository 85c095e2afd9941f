"""Editing a state by hand: delete, protect, rename.

As in pulumi/pulumi, pkg/resource/edit and pkg/cmd/pulumi/state.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import replace

from lab.engine.state.model import ResourceState, Snapshot, urn_name

__all__ = ["EditError", "delete", "delete_all", "only_dependents", "protect", "protect_all", "rename"]

_LISTING = (
    "To list the resource URNs in the stack, run `pulumi stack --show-urns`; to inspect the full state, run "
    "`pulumi stack export`."
)
_SUGGESTIONS, _LIKENESS = 3, 0.9


class EditError(Exception):
    """A state cannot be edited as asked; it is as it was."""


def only_dependents(records: Sequence[ResourceState], root: ResourceState) -> list[ResourceState]:
    """Return what needs a record, directly or not, in the order of the state.

    What may mean another record of the same URN (one that is still to be deleted) does not count
    (dependency_graph.go, OnlyDependsOn).
    """
    place = next(index for index, record in enumerate(records) if record is root)
    others = {record.urn for record in records[:place]}
    ids: dict[str, list[object]] = {root.urn: [root.id]}
    found = []
    for record in records[place + 1 :]:
        if _depends(record, ids, others) and (record.urn, record.id) != (root.urn, root.id):
            found.append(record)
            ids.setdefault(record.urn, []).append(record.id)
        else:
            others.add(record.urn)
    return found


def _depends(record: ResourceState, ids: dict[str, list[object]], others: set[str]) -> bool:
    provider, _, identifier = record.provider.rpartition("::")
    if identifier in ids.get(provider, ()):
        return True
    if record.parent in ids and record.parent not in others:
        return True
    needs = record.needs() - {record.parent, provider}
    return any(len(ids.get(urn, ())) == 1 and urn not in others for urn in needs)


def delete(
    snapshot: Snapshot, urns: Sequence[str], *, force: bool, dependents: bool, warn: Callable[[str], None]
) -> int:
    """Take resources out of a state, with `dependents` also what needs them; returns how many were named.

    Protected ones only by `force`, and then `warn` is told. Raises `EditError`.
    """
    named = {id(record): record for record in (_located(snapshot, urn) for urn in urns)}
    for record in reversed([*snapshot.resources]):
        if id(record) in named:
            _delete(snapshot, record, force=force, dependents=dependents, warn=warn)
    return len(named)


def delete_all(snapshot: Snapshot, *, force: bool, warn: Callable[[str], None]) -> None:
    """Take every resource out of a state. Raises `EditError` where one is protected."""
    for record in reversed([*snapshot.resources]):
        _delete(snapshot, record, force=force, dependents=False, warn=warn)


def _delete(
    snapshot: Snapshot, root: ResourceState, *, force: bool, dependents: bool, warn: Callable[[str], None]
) -> None:
    _refuse_protected(root, force=force, warn=warn)
    needing = only_dependents(snapshot.resources, root)
    if needing and not dependents:
        lines = [f" * {_quoted(record.urn):<15} ({record.urn})\n" for record in needing]
        raise EditError(
            f"{root.urn} can't be safely deleted because the following resources depend on it:\n"
            f"{''.join(lines)}\nDelete those resources first or pass --target-dependents."
        )
    for record in needing:
        _refuse_protected(record, force=force, warn=warn)
    gone = {id(record) for record in (root, *needing)}
    snapshot.resources = [record for record in snapshot.resources if id(record) not in gone]


def _quoted(urn: str) -> str:
    return f'"{urn_name(urn)}"'


def _refuse_protected(record: ResourceState, *, force: bool, warn: Callable[[str], None]) -> None:
    if not record.protect:
        return
    if not force:
        raise EditError(
            f"{record.urn} can't be safely deleted because it is protected. Re-run this command with --force "
            "to force deletion"
        )
    warn(f"deleting protected resource {record.urn} due to presence of --force")


def protect(snapshot: Snapshot, urns: Sequence[str], *, protected: bool) -> int:
    """Protect resources or no longer; returns how many. Raises `EditError` and then does none."""
    there = [record.urn for record in snapshot.resources if not record.delete]
    missing = [_not_found(there, urn) for urn in urns if urn not in there]
    if missing:
        raise EditError("\n".join(missing))
    _set_protection(snapshot, set(urns), protected=protected)
    return len(urns)


def protect_all(snapshot: Snapshot, *, protected: bool) -> None:
    """Protect every resource or none."""
    _set_protection(snapshot, {record.urn for record in snapshot.resources}, protected=protected)


def _set_protection(snapshot: Snapshot, urns: set[str], *, protected: bool) -> None:
    snapshot.resources = [
        replace(record, protect=protected) if record.urn in urns and not record.delete else record
        for record in snapshot.resources
    ]


def rename(snapshot: Snapshot, urn: str, name: str) -> None:
    """Give a resource another name, wherever it is named. Raises `EditError`."""
    if not _is_urn(urn):
        raise EditError("The provided input URN is not valid")
    urns = [record.urn for record in snapshot.resources]
    if urn not in urns:
        raise EditError(_not_found(urns, urn))
    if urns.count(urn) > 1:
        raise EditError("The input URN ambiguously refers to multiple resources")
    renamed = "::".join((*urn.split("::", 3)[:3], name))
    if renamed != urn and renamed in urns:
        raise EditError("The chosen new urn for the state corresponds to an already existing resource")
    snapshot.resources = [_with_renamed(record, urn, renamed) for record in snapshot.resources]


def _with_renamed(record: ResourceState, old: str, new: str) -> ResourceState:
    def named(urn: str) -> str:
        return new if urn == old else urn

    provider = record.provider
    if record.provider_urn == old:
        provider = f"{new}::{provider.rpartition('::')[2]}"
    return replace(
        record,
        urn=named(record.urn),
        parent=named(record.parent),
        provider=provider,
        dependencies=[named(urn) for urn in record.dependencies],
        property_dependencies={
            key: [named(urn) for urn in urns] for key, urns in record.property_dependencies.items()
        },
        deleted_with=named(record.deleted_with),
        replace_with=[named(urn) for urn in record.replace_with],
    )


def _is_urn(text: str) -> bool:
    return text.startswith("urn:pulumi:") and text.count("::") >= 3


def _located(snapshot: Snapshot, urn: str) -> ResourceState:
    if not _is_urn(urn):
        raise EditError(f'"{urn}" is not a valid resource URN\n{_LISTING}')
    found = [record for record in snapshot.resources if record.urn == urn]
    if not found:
        raise EditError(_not_found([record.urn for record in snapshot.resources], urn))
    if len(found) > 1:
        ids = "".join(f"  {record.id}\n" for record in found)
        raise EditError(f"Resource URN ambiguously referred to multiple resources. Did you mean:\n{ids}")
    return found[0]


def _not_found(urns: Sequence[str], urn: str) -> str:
    near = difflib.get_close_matches(urn, [*dict.fromkeys(urns)], n=_SUGGESTIONS, cutoff=_LIKENESS)
    meant = "".join(("Did you mean:\n", *(f"  {one}\n" for one in near))) if near else ""
    return f'No such resource "{urn}" exists in the current state\n{meant}{_LISTING}'
