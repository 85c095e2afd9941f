"""Single values of the stack file: each function returns the value it was given, or refuses it in words."""

import base64
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

from pydantic_core import PydanticCustomError

from mesh.leaks import has_secret
from mesh.settings.meant import accepts, meant, plain
from mesh.settings.problems import nearest_of, refuse, show
from mesh.settings.values import text

__all__ = [
    "WORD",
    "authorized_key",
    "days",
    "generation",
    "integer",
    "keepalive",
    "mtu",
    "one_of",
    "port_number",
    "read_one_of",
    "read_word",
    "underlay_mtu",
    "word",
]


WORD: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""A name of the cloud's: of a location, a type, an image."""
_PORT_HIGHEST: Final = 65535
_MTU_LOWEST: Final = 1280  # IPv6's minimum link MTU, RFC 8200 section 5
_GENERATION_HIGHEST: Final = 999_999_999  # room for a date such as 20260131
_DAYS_HIGHEST: Final = 3650  # ten years
_DAYS: Final = re.compile(r"(0|[1-9][0-9]{0,8})d")
# What people write for days.
_SPAN: Final = re.compile(r"p?([0-9]{1,9}) ?(d|days?|w|weeks?)?", re.IGNORECASE)
_DAYS_OF_A_WEEK: Final = 7
_KEEPALIVE_HIGHEST: Final = 3600  # no NAT keeps a mapping of UDP that long (RFC 4787, 4.3: 2 to 5 minutes)
_MTU_HIGHEST: Final = 8920  # a 9000 byte jumbo frame less WireGuard's 80
_UNDERLAY_LOWEST: Final = 1280  # what every network with IPv6 carries, RFC 8200 section 5
_UNDERLAY_HIGHEST: Final = 9000  # the usual size of a jumbo frame
# What other firewalls and policies say for the two words of `expect`.
_OTHERWORDS: Final = {
    **dict.fromkeys(("yes", "true", "on", "accept", "permit", "pass", "open", "reachable"), "allow"),
    **dict.fromkeys(("no", "false", "off", "drop", "reject", "block", "closed", "unreachable"), "deny"),
    **dict.fromkeys(("host", "node"), "root"),
    **dict.fromkeys(("container", "pods", "docker", "everyone", "all"), "containers"),
}


def _whole(value: object) -> int | None:
    """Pulumi passes numbers as floats; a boolean is no number although Python thinks so."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def integer(value: object) -> int:
    """A whole number."""
    return _integer(integer, value)


def _integer(field: Callable[[object], object], value: object) -> int:
    number = _whole(value)
    if number is None:
        raise _no_number(field, value, f"{show(value)} is not a whole number", "give a number")
    return number


def _between(number: int, lowest: int, highest: int, remedy: str) -> int:
    if not lowest <= number <= highest:
        side = f"below {lowest}" if number < lowest else f"above {highest}"
        raise refuse(f"{number} is {side}; {remedy}")
    return number


def _no_number(
    field: Callable[[object], object], value: object, said: str, otherwise: str
) -> PydanticCustomError:
    """Say which number that `field` takes is in a value; `otherwise` is the remedy where there is none."""
    inner = value[0] if isinstance(value, list) and len(value) == 1 else value
    number = _whole(inner)
    if number is not None and accepts(field, number):
        return refuse(f"{said}; write {number}, without brackets", number)
    found = re.fullmatch(r"(?:(?:tcp|udp)[/:])?([0-9]{1,20})(?:/(?:tcp|udp))?", _lower(inner))
    if found is None or not accepts(field, int(found[1])):
        return refuse(f"{said}; {otherwise}")
    better = int(found[1])
    quotes = " without quotes" if isinstance(value, str) and plain(value) == str(better) else ""
    return refuse(f"{said}; write {better}{quotes}", better)


def _lower(value: object) -> str:
    return plain(value).lower() if isinstance(value, str) else ""


def port_number(value: object) -> int:
    """The number of a port."""
    number = _integer(port_number, value)
    return _between(number, 1, _PORT_HIGHEST, f"ports go from 1 to {_PORT_HIGHEST}")


def generation(value: object) -> int:
    """The number of a key: another, higher number is another key."""
    number = _integer(generation, value)
    return _between(number, 1, _GENERATION_HIGHEST, f"write 1 to {_GENERATION_HIGHEST}")


def days(value: object) -> int:
    """A number of whole days, written as `90d`."""
    number = _whole(value)
    given = text(value, "days such as 90d", days) if number is None else str(number)
    found = _DAYS.fullmatch(given) if number is None else None
    if found is None:
        raise _no_days(value, given)
    count = int(found[1])
    if not 1 <= count <= _DAYS_HIGHEST:
        side = "below 1d" if count < 1 else f"above {_DAYS_HIGHEST}d"
        raise refuse(f"{count}d is {side}; write 1d to {_DAYS_HIGHEST}d")
    return count


def _no_days(value: object, given: str) -> PydanticCustomError:
    """Say which number of days a value probably is."""
    said = f"{show(value)} is not a number of days such as 90d"
    found = _SPAN.fullmatch(plain(given))
    if found is not None:
        weeks = (found[2] or "").lower().startswith("w")
        better = f"{int(found[1]) * (_DAYS_OF_A_WEEK if weeks else 1)}d"
        if accepts(days, better):
            return refuse(f"{said}; write {better}", better)
    return refuse(f"{said}; write 1d to {_DAYS_HIGHEST}d")


def mtu(value: object) -> int | Literal["auto"]:
    """`auto`, or a number of bytes."""
    if value == "auto":
        return "auto"
    number = _whole(value)
    span = f"{_MTU_LOWEST} to {_MTU_HIGHEST}, or auto"
    if number is None:
        said = f"{show(value)} is neither auto nor a whole number"
        if _lower(value) in {"auto", "automatic", "default"}:
            raise refuse(f"{said}; write auto", "auto")
        raise _no_number(mtu, value, said, f"write {span}")
    if not _MTU_LOWEST <= number <= _MTU_HIGHEST:
        raise refuse(f"{number} is out of range; write {span}")
    return number


def keepalive(value: object) -> int:
    """A number of seconds; 0 is off."""
    number = _integer(keepalive, value)
    return _between(number, 0, _KEEPALIVE_HIGHEST, f"write 0 to {_KEEPALIVE_HIGHEST} seconds, 0 for none")


def underlay_mtu(value: object) -> int:
    """A number of bytes that a network carries."""
    number = _whole(value)
    span = f"{_UNDERLAY_LOWEST} to {_UNDERLAY_HIGHEST}"
    if number is None:
        raise _no_number(underlay_mtu, value, f"{show(value)} is not a whole number", f"write {span}")
    if not _UNDERLAY_LOWEST <= number <= _UNDERLAY_HIGHEST:
        raise refuse(f"{number} is out of range; write {span}")
    return number


def refuse_private_key(given: str, remedy: str) -> None:
    """Refuse a private SSH key, without showing it."""
    if "PRIVATE KEY" in given:
        raise refuse(
            f"this is a private key (not shown here): keep private keys out of a stack file; {remedy}"
        )


def authorized_key(value: object) -> str:
    """One line of authorized_keys."""
    given = text(value, "a line of authorized_keys such as `ssh-ed25519 AAAA... me`", authorized_key).strip()
    refuse_private_key(given, "make a new pair")
    words = given.split()
    if (
        not given.isprintable()
        or len(words) < 2
        or not re.fullmatch(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+", words[0])
    ):
        raise _no_key(given)
    if _key_type(words[1]) != words[0]:
        raise refuse(
            f"{show(given)}: the part after {words[0]} is cut or is no key of this type; give the whole "
            f"line of "
            f"the .pub file"
        )
    return given


def _no_key(given: str) -> PydanticCustomError:
    """Say what a text is that is no line of authorized_keys, and which line is in it."""
    example = "such as `ssh-ed25519 AAAA... me`"
    if _is_path(given):
        return refuse(f"{show(given)} names a file; give the line in this file, {example}")
    line = " ".join(given.split())
    begin = re.search(r"(?:^|\s)((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ AAAA\S+(?: .*)?)$", line)
    if begin is None or len(re.findall(r"\sAAAA", given)) > 1 or not accepts(authorized_key, begin[1]):
        return refuse(f"{show(given)} is not a public key; give one line {example}")
    return refuse(f"{show(given)} is not a public key alone; write `{_show_key(begin[1])}`", begin[1])


def _show_key(line: str) -> str:
    kind, _, rest = line.partition(" ")
    return f"{kind} {rest[:8]}..."


def _is_path(given: str) -> bool:
    return given.startswith(("~", "/", "./")) or given.endswith(".pub")


def _key_type(encoded: str) -> str | None:
    """Return the type of a public key; None when it is cut.

    A key is a row of length-prefixed fields, the first of which is the name of its type (RFC 4253, 6.6).
    """
    try:
        rest = base64.b64decode(encoded, validate=True)
    except ValueError:  # no base64, or letters that are not ASCII
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
    return partial(read_word, example)


def read_word(example: str, value: object) -> str:
    """Read a name of the cloud's; `example` is one."""
    given = text(value, f"a name such as {example}", partial(read_word, example))
    if not WORD.fullmatch(given) or has_secret(given):
        said = f"{show(given)} is not a name such as {example}"
        better = meant(given, partial(read_word, example), re.sub(r"[\s:]+", "-", plain(given)))
        if better is None:
            raise refuse(f"{said}; give a name of lower-case letters, digits, dots and hyphens")
        raise refuse(f"{said}; write {better}", better)
    return given


def one_of(*words: str) -> Callable[[object], str]:
    """One of a few words."""
    return partial(read_one_of, words)


def read_one_of(words: tuple[str, ...], value: object) -> str:
    """Read one of these words."""
    if isinstance(value, str) and value in words:
        return value
    said = f"{show(value)} is not one of {', '.join(words)}"
    other = _OTHERWORDS.get(str(value).strip().lower())
    if isinstance(value, bool) and other in words:
        raise refuse(f"{said}; YAML reads yes and on as true, no and off as false: write {other}", other)
    if other in words:
        raise refuse(f"{said}; write {other}", other)
    near = nearest_of(plain(str(value)), words)
    if near is None:
        raise refuse(f"{said}; write {' or '.join(words)}")
    raise refuse(f"{said}; did you mean {near}?", near)
