"""Single values of the stack file: each function returns the value it was given, or refuses it in words."""

import base64
import binascii
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

from mesh.settings.problems import nearest_of, refuse, show
from mesh.settings.values import text

__all__ = ["authorized_key", "integer", "items", "mtu", "one_of", "port_number", "word"]

_WORD: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PORT_HIGHEST: Final = 65535
_MTU_LOWEST: Final = 1280  # IPv6's minimum link MTU, RFC 8200 section 5
_MTU_HIGHEST: Final = 8920  # a 9000 byte jumbo frame less WireGuard's 80


def _whole(value: object) -> int | None:
    """Pulumi passes numbers as floats; a boolean is no number although Python thinks so."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def integer(value: object) -> int:
    """A whole number."""
    number = _whole(value)
    if number is None:
        digits = isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value)
        helps = f"; write {value} without quotes" if digits else "; give a number"
        raise refuse(f"{show(value)} is not a whole number{helps}")
    return number


def port_number(value: object) -> int:
    """The number of a port."""
    number = integer(value)
    if not 1 <= number <= _PORT_HIGHEST:
        side = "below 1" if number < 1 else f"above {_PORT_HIGHEST}"
        raise refuse(f"{number} is {side}; ports go from 1 to {_PORT_HIGHEST}")
    return number


def mtu(value: object) -> int | Literal["auto"]:
    """`auto`, or a number of bytes."""
    if value == "auto":
        return "auto"
    number = _whole(value)
    if number is None:
        raise refuse(
            f"{show(value)} is neither auto nor a whole number; {_MTU_LOWEST} to {_MTU_HIGHEST}, or auto"
        )
    if not _MTU_LOWEST <= number <= _MTU_HIGHEST:
        raise refuse(f"{number} is out of range; {_MTU_LOWEST} to {_MTU_HIGHEST}, or auto")
    return number


def authorized_key(value: object) -> str:
    """One line of authorized_keys."""
    given = text(value, "a line of authorized_keys such as `ssh-ed25519 AAAA... me`").strip()
    if "PRIVATE KEY" in given:
        raise refuse(
            "this is a private key (not shown here): keep private keys out of a stack file; make a new pair"
        )
    words = given.split()
    if (
        not given.isprintable()
        or len(words) < 2
        or not re.fullmatch(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+", words[0])
    ):
        what = (
            "names a file; give the line in this file,"
            if _is_path(given)
            else "is not a public key; give one line"
        )
        raise refuse(f"{show(given)} {what} such as `ssh-ed25519 AAAA... me`")
    if _key_type(words[1]) != words[0]:
        raise refuse(
            f"{show(given)}: the part after {words[0]} is cut or is no key of this type; give the whole "
            f"line of "
            f"the .pub file"
        )
    return given


def _is_path(given: str) -> bool:
    return given.startswith(("~", "/", "./")) or given.endswith(".pub")


def _key_type(encoded: str) -> str | None:
    """Return the type of a public key; None when it is cut.

    A key is a row of length-prefixed fields, the first of which is the name of its type (RFC 4253, 6.6).
    """
    try:
        rest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    parts: list[bytes] = []
    while rest:
        end = 4 + int.from_bytes(rest[:4], "big")
        if len(rest) < max(end, 5):
            return None
        parts.append(rest[4:end])
        rest = rest[end:]
    return parts[0].decode("ascii", "replace") if len(parts) > 1 else None


def word(example: str) -> Callable[[object], str]:
    """A name of the cloud's; `example` is one."""
    return partial(_word, example)


def _word(example: str, value: object) -> str:
    given = text(value, f"a name such as {example}")
    if not _WORD.fullmatch(given):
        better = given.strip().lower()
        helps = f"; write {better}" if _WORD.fullmatch(better) else ""
        raise refuse(f"{show(given)} is not a name such as {example}{helps}")
    return given


def one_of(*words: str) -> Callable[[object], str]:
    """One of a few words."""
    return partial(_one_of, words)


def _one_of(words: tuple[str, ...], value: object) -> str:
    if not isinstance(value, str) or value not in words:
        near = nearest_of(str(value), words)
        helps = "" if near is None else f"; did you mean {near}?"
        if isinstance(value, bool):
            helps = f"; YAML reads yes and on as true, no and off as false: write {words[0 if value else 1]}"
        raise refuse(f"{show(value)} is not one of {', '.join(words)}{helps}")
    return value


def items(value: object) -> tuple[object, ...]:
    """A list."""
    if not isinstance(value, list | tuple):
        raise refuse(f"{show(value)} is not a list; write [{value if isinstance(value, str) else '...'}]")
    return tuple(value)
