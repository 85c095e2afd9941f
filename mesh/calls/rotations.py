"""What nodes report of a rotation of keys: who waits for whom, and what one node can be told of another.

Pure. A peer is known by its name.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mesh.calls.reports import Report, ReportedRotation

__all__ = ["Wait", "evidence", "is_done", "settle_input", "under_way", "waits", "waits_in_words"]

_FORMAT: Final = 1
_NAMED: Final = 3


@dataclass(frozen=True, order=True)
class Wait:
    """A node waits for a peer, and why."""

    peer: str
    why: str
    node: str


def under_way(reports: Mapping[str, Report]) -> dict[str, ReportedRotation]:
    """Return the rotations that are not done, by node."""
    found = {name: report.rotation for name, report in reports.items()}
    return {name: each for name, each in found.items() if each is not None and each.under_way}


def waits(rotations: Mapping[str, ReportedRotation]) -> list[Wait]:
    """Return who waits for whom."""
    return sorted(
        Wait(peer=peer, why=pair.waits, node=name)
        for name, rotation in rotations.items()
        for peer, pair in rotation.pairs.items()
        if pair.waits
    )


def waits_in_words(found: Iterable[Wait]) -> str:
    """Return who waits for whom as text, such as `web-1 waits for db-1 (no word on port 51821)`."""
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in sorted(found):
        grouped[each.peer, each.why].append(each.node)
    return "; ".join(
        f"{_some(nodes)} {'waits' if len(nodes) == 1 else 'wait'} for {peer} ({why})"
        for (peer, why), nodes in grouped.items()
    )


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    if more > 0:
        return f"{', '.join(names[:_NAMED])} and {more} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def evidence(
    reports: Mapping[str, Report], documents: Mapping[str, str], keys: Mapping[str, str]
) -> dict[str, str]:
    """Return the nodes that can never send by a former key again, each with its WireGuard public key.

    `documents` has the SHA-256 (hex) of the files that each node should have, `keys` the public keys that go
    with them.
    """
    return {
        name: keys[name]
        for name, report in reports.items()
        if name in keys and name in documents and is_done(report, documents[name])
    }


def is_done(report: Report, document: str) -> bool:
    """Whether a node replaces no key, and is in all as these files say (their SHA-256, hex)."""
    under_way = report.rotation is not None and report.rotation.under_way
    return report.current == document and not (under_way or report.trial or report.differences)


def settle_input(settled: Mapping[str, str], gone: Iterable[str] = ()) -> str:
    """Return what the agent's `settle` reads.

    `settled` are peers that are done, with their public keys; `gone` are those that nobody waits for now.
    """
    return json.dumps({"format": _FORMAT, "settled": dict(settled), "gone": sorted(gone)})
