"""Parses what `apply` reads: one text with all files of the node, every byte accounted for."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import re

from ..answers import AgentError, Answer
from ..records import dataclass
from .managed import AUTHORIZED_KEYS, FIREWALL, HOSTS, MANAGED, SYSCTL, WG_CONF
from .wgconf import WgFile, parse_wg_file

__all__ = [
    "AUTHORIZED_KEYS",
    "FILES",
    "FIREWALL",
    "HOSTS",
    "MAX_BYTES",
    "SYSCTL",
    "WG_CONF",
    "Document",
    "parse_document",
]

MAX_BYTES = 4 * 1024 * 1024
"""A mesh of 300 nodes makes 100 KB; whatever is larger than this is a mistake."""

FILES = tuple(row.path for row in MANAGED if row.in_document)
"""All files of a document, in their order."""

_FIRST_LINE = "wgmesh-files 1"
_HEADER = re.compile(r"==> (\S+) <==")
# Also what some programs take for the end of a line, so that no comment can hide a setting.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Document:
    """A document: its bytes, its SHA-256 in hex, its files by path, and the interface's file parsed."""

    raw: bytes
    digest: str
    files: dict[str, str]
    wg: WgFile


@functools.lru_cache(maxsize=2)
def parse_document(raw: bytes) -> Document:
    """Parse a document; raises `AgentError` (REFUSED) with the line and what would be right.

    That of a call and the committed one are read several times, of which once is enough.
    """
    files = _split(_text(raw))
    wg = parse_wg_file(files[WG_CONF], where=WG_CONF)
    _check_hosts(files[HOSTS])
    _check_authorized_keys(files[AUTHORIZED_KEYS])
    return Document(raw=raw, digest=hashlib.sha256(raw).hexdigest(), files=files, wg=wg)


def _refuse(reason: str) -> AgentError:
    return AgentError(Answer.REFUSED, reason)


def _text(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _refuse(f"the document is larger than {MAX_BYTES} bytes")
    if not raw:
        raise _refuse("the document on standard input is empty")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refuse(f"the document is not UTF-8: byte {error.start}") from None
    found = _CONTROL.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise _refuse(f"line {line}: control character {ord(found[0]):#04x}")
    if not text.endswith("\n"):
        raise _refuse("the document is cut off: its last line has no end")
    return text


def _split(text: str) -> dict[str, str]:
    lines = text[:-1].split("\n")
    if lines[0] != _FIRST_LINE:
        raise _refuse(
            f"line 1: the document must begin with {_FIRST_LINE!r}; do program and agent "
            "have the same version?"
        )
    parts: list[tuple[str, list[str]]] = []
    for number, line in enumerate(lines[1:], start=2):
        if parts and parts[-1][0] == "end":
            raise _refuse(f"line {number}: nothing may follow `==> end <==`")
        if line.startswith("==> "):
            parts.append((_header(line, number, len(parts)), []))
        elif not parts:
            raise _refuse(f"line {number}: a line `==> {FILES[0]} <==` must come here")
        else:
            parts[-1][1].append(line)
    if not parts or parts[-1][0] != "end":
        raise _refuse("the document is cut off: its last line must be `==> end <==`")
    return {path: "".join(f"{line}\n" for line in content) for path, content in parts[:-1]}


def _header(line: str, number: int, index: int) -> str:
    found = _HEADER.fullmatch(line)
    expected = FILES[index] if index < len(FILES) else "end"
    if not found or found[1] != expected:
        raise _refuse(f"line {number}: a line `==> {expected} <==` must come here")
    return expected


def _check_hosts(text: str) -> None:
    for number, line in enumerate(text.splitlines(), start=1):
        address, *names = line.split() or [""]
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise _refuse(f"{HOSTS} line {number}: {address!r} is not an IP address") from None
        if not names or not all(_HOST_NAME.fullmatch(name) for name in names):
            raise _refuse(f"{HOSTS} line {number}: an address is followed by host names")


def _check_authorized_keys(text: str) -> None:
    if not text.strip():
        raise _refuse(f"{AUTHORIZED_KEYS}: has no key, so nobody could log in to manage this node")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            raise _refuse(f"{AUTHORIZED_KEYS} line {number}: every line is a key")
