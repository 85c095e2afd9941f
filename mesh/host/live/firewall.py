"""The one nftables table that is ours: checked, read, replaced in one transaction."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from pathlib import Path

from ..answers import AgentError, Answer
from ..difference import Difference
from ..places import TABLE
from ..system.ruleset import change_number, tables
from ..system.run import attempt, find_tool, read_json, run, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Optional

    from ..places import Places

__all__ = [
    "check_firewall",
    "delete_table",
    "emptied_chains",
    "expected_of",
    "expected_table",
    "firewall_differences",
    "is_loaded",
    "keep_expected",
    "line_differences",
    "live_table",
    "live_text",
    "load_missing_table",
    "load_table",
    "normalised",
    "restore_text",
    "table_exists",
    "top_level_statements",
]

# The network namespace: its number.
_SPACE = Path("/proc/self/ns/net")
_SCRATCH = ["unshare", "--net", "--"]
_OPENING = [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{}}"]
_LIST = ["nft", "-j", "list", "table", "inet", TABLE]
_TEXT = ["nft", "-s", "list", "table", "inet", TABLE]


def top_level_statements(text: str) -> list[str]:
    """Return the statements of a ruleset file, comments gone and what is in braces left out. Pure.

    Raises `ValueError` for unbalanced braces or quotes, or an `include` anywhere.
    """
    bare = re.sub(r'"[^"\n]*"|#[^\n]*', lambda found: '""' if found[0][0] == '"' else "", text)
    if bare.count('"') != 2 * bare.count('""'):
        raise ValueError("a quote is not closed")
    if re.search(r"(?m)(^|[\s;{}])include\b", bare):
        raise ValueError("`include` is not allowed")
    statements, current, depth = [], "", 0
    for char in bare:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth < 0:
            raise ValueError("a brace is closed that was not opened")
        if depth == 0 and char in "\n;":
            statements.append(current)
            current = ""
        elif depth == 0 or (depth == 1 and char == "{"):
            current += char
    if depth:
        raise ValueError("a brace is not closed")
    return [" ".join(statement.split()) for statement in [*statements, current] if statement.strip()]


def check_firewall(text: str, *, where: str) -> None:
    """Refuse a file that does anything but replace our table, or that this kernel would not load.

    It is loaded for a try in a network namespace of its own. Raises `AgentError` (REFUSED).
    """
    try:
        statements = top_level_statements(text)
    except ValueError as error:
        raise AgentError(Answer.REFUSED, f"{where}: {error}") from None
    if statements != _OPENING:
        odd = next((found for found in statements if found not in _OPENING), "another order of statements")
        expected = "`, `".join(_OPENING)
        raise AgentError(Answer.REFUSED, f"{where}: only `{expected}` in this order, found {odd!r}")
    try:
        run(["nft", "-c", "-f", "-"], stdin=text)
        expected_table(text)
    except AgentError as error:
        raise AgentError(Answer.REFUSED, f"{where}: {error.reason}") from None


@functools.lru_cache(maxsize=8)
def expected_table(text: str) -> str:
    """Return what `live_table` says once this file is loaded, found out in a scratch namespace."""
    return normalised(_in_scratch(text, _LIST))


def _in_scratch(text: str, argv: Sequence[str]) -> str:
    script = 'nft -f - && exec "$@"'
    return run([*_SCRATCH, "sh", "-c", script, "sh", *argv], stdin=text)


def keep_expected(places: Places, text: str) -> None:
    """Keep what is expected of a file, until a reboot: that may bring another kernel."""
    kept = {"nft": _nft(), "text": text, "table": expected_table(text)}
    with contextlib.suppress(OSError):
        write_json(places.expected, kept)


def expected_of(places: Places, text: str) -> str:
    """Return what `live_table` says once this file is loaded: as it is kept of this file, or found out."""
    kept = read_json(places.expected) or {}
    table = kept.get("table")
    if isinstance(table, str) and (kept.get("nft"), kept.get("text")) == (_nft(), text):
        return table
    return expected_table(text)


def _nft() -> str:
    """Return what tells one installed version of nft from another, which may list a table otherwise."""
    path = find_tool("nft")
    if path is None:
        return ""
    status = Path(path).stat()
    return f"{path} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def is_loaded(places: Places, text: str) -> bool:
    """Tell whether our live table is what this file makes of it.

    Goes by what is kept of this very file where that says so; else finds out anew.
    """
    return _is_loaded(places, text, live_table(places))


def _is_loaded(places: Places, text: str, live: Optional[str]) -> bool:
    return live is not None and (live == expected_of(places, text) or live == expected_table(text))


def live_table(places: Places) -> Optional[str]:
    """Return our table as it is, in a form that can be compared; None when there is none.

    `nft` is asked again only after the ruleset has changed.
    """
    ruleset = _ruleset()
    kept = read_json(places.listed) or {}
    if ruleset is not None and kept.get("of") == ruleset and "table" in kept:
        table: Optional[str] = kept["table"]
        return table
    listed = attempt(_LIST)
    table = None if listed is None else normalised(listed)
    # Not where `nft` failed. If the ruleset changes meanwhile, its number differs and this is not used.
    if ruleset is not None and ruleset["there"] == (table is not None):
        with contextlib.suppress(OSError):
            write_json(places.listed, {"of": ruleset, "table": table})
    return table


def _ruleset() -> Optional[dict[str, Any]]:
    """Return what tells one state of the ruleset from another; None where the kernel does not tell.

    A table that belongs to a process goes with this process, which counts as no change.
    """
    try:
        number, there = change_number(), ("inet", TABLE) in tables()
        return {"after": number, "there": there, "space": _SPACE.stat().st_ino, "nft": _nft()}
    except (AgentError, OSError):
        return None


def emptied_chains(places: Places, text: str) -> list[str]:
    """Name the base chains that this file fills and that decide nothing in our live table.

    These are gone, hold no rule, or belong to a table that somebody made dormant. Other changes are no
    business of this function: a rule more or less is found by `firewall_differences`.
    """
    live = live_table(places)
    return sorted(_filled_chains(expected_of(places, text)) - _filled_chains(live or "[]"))


def _filled_chains(table: str) -> set[str]:
    """Name the base chains of a normalised listing that hold a rule; none of a dormant table. Pure."""
    entries = json.loads(table)
    if any(entry.get("table", {}).get("flags") for entry in entries):
        return set()
    rules = {entry["rule"]["chain"] for entry in entries if "rule" in entry}
    return {entry["chain"]["name"] for entry in entries if "hook" in entry.get("chain", {})} & rules


def firewall_differences(places: Places, text: str) -> list[Difference]:
    """Say how our live table differs from this file, rule by rule."""
    live = live_table(places)
    if live is None:
        return [Difference(f"firewall table inet {TABLE}", "absent", "present")]
    if _is_loaded(places, text, live):
        return []
    listed, wanted = run(_TEXT), _in_scratch(text, _TEXT)
    return line_differences(listed, wanted) or [
        Difference(f"firewall table inet {TABLE}", "another one", "ours")
    ]


def line_differences(live: str, wanted: str) -> list[Difference]:
    """Say which lines of a listing are too many or missing. Pure."""
    import difflib

    found = []
    for line in difflib.ndiff(live.splitlines(), wanted.splitlines()):
        rule = " ".join(line[2:].split())
        if line.startswith("- "):
            found.append(Difference("firewall", rule, "absent"))
        elif line.startswith("+ "):
            found.append(Difference("firewall", "absent", rule))
    return found


def normalised(listing: str) -> str:
    """Reduce nft's JSON to what the file decides: no handles, counters or dynamic elements. Pure."""
    entries = [_stable(entry) for entry in json.loads(listing)["nftables"] if "metainfo" not in entry]
    return json.dumps(entries, sort_keys=True)


def _stable(value: Any) -> Any:
    if isinstance(value, list):
        return [_stable(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _stable(item) for name, item in value.items() if name not in ("handle", "packets", "bytes")}
    if "elem" in kept and "type" in kept:
        if "dynamic" in kept.get("flags", []):
            del kept["elem"]
        elif isinstance(kept["elem"], list):
            kept["elem"] = sorted(kept["elem"], key=lambda item: json.dumps(item, sort_keys=True))
    return kept


def live_text() -> str:
    """Return our table as it is, as a file; empty when there is none."""
    return attempt(_TEXT) or ""


def restore_text() -> str:
    """Return a file that brings the table back to what it is now, also when there is none."""
    listed = attempt(_TEXT)
    return f"table inet {TABLE}\ndelete table inet {TABLE}\n{listed or ''}"


def load_table(text: str) -> None:
    """Load a file in one transaction. Raises `AgentError` (FAILED), with nothing changed."""
    run(["nft", "-f", "-"], stdin=text)


def table_exists() -> bool:
    """Tell whether there is a table of ours; the cheapest question there is."""
    try:
        return ("inet", TABLE) in tables()
    except AgentError:
        return False


def load_missing_table(text: str) -> bool:
    """Load a file unless there is a table of ours, decided by the kernel in one transaction.

    Returns whether it was loaded. Raises `AgentError` (FAILED), with nothing changed.
    """
    try:
        run(["nft", "-f", "-"], stdin=f"create table inet {TABLE}\n{text}")
    except AgentError:
        if table_exists():
            return False
        raise
    return True


def delete_table() -> None:
    """Remove our table; nothing happens when there is none."""
    run(["nft", "-f", "-"], stdin=f"table inet {TABLE}\ndelete table inet {TABLE}\n")
