"""What Pulumi takes a plain YAML value for: the rules of the YAML reader that Pulumi is built with.

These are YAML 1.2 with a few of YAML 1.1, as in resolve.go of gopkg.in/yaml.v3: `yes` is text, `0777` is
octal, a date is text of another form. Read off `pulumi config --json`, which shows what a program gets.
"""

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

__all__ = ["octal", "plain_value"]

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_INFINITE: Final = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN: Final = re.compile(r"\.(nan|NaN|NAN)")
_INTEGER: Final = re.compile(r"[-+]?(0b[01]+|0o[0-7]+|0x[0-9a-f]+|0[0-7]+|0|[1-9][0-9]*)", re.IGNORECASE)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_OCTAL: Final = re.compile(r"[-+]?0[0-7]+")
_DATE: Final = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)"
    r"(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?[ \t]*(?:Z|([-+]\d\d?)(?::?(\d\d))?)?)?"
)
_BASES: Final = {"0b": 2, "0o": 8, "0x": 16}


def plain_value(text: str) -> object:
    """Return the value of a plain scalar: null, a boolean, a number or text."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    infinite = _INFINITE.fullmatch(text)
    if infinite is not None:
        return -math.inf if infinite[1] == "-" else math.inf
    if _NAN.fullmatch(text):
        return math.nan
    number = _number(text.replace("_", ""))
    if number is not None:
        return number
    date = _DATE.fullmatch(text)
    return text if date is None else _as_pulumi_says(text, date)


def octal(text: str) -> bool:
    """Whether a plain scalar is a number that its author may not know to be octal."""
    return _OCTAL.fullmatch(text) is not None and text.strip("+-0") != ""


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        digits = text.lstrip("+-").lower()
        if digits[:2] in _BASES:
            value = int(digits[2:], _BASES[digits[:2]])
        else:
            value = int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)
        return -value if text.startswith("-") else value
    if _FLOAT.fullmatch(text):
        number = float(text)
        whole = math.isfinite(number) and number == int(number)
        return int(number) if whole else number
    return None


def _as_pulumi_says(text: str, date: re.Match[str]) -> str:
    """Return a date as Pulumi passes it on: as text, in Go's form."""
    year, month, day, hour, minute, second = (int(part or 0) for part in date.groups()[:6])
    fraction, zone_hours, zone_minutes = date[7], date[8], date[9]
    zone = UTC
    if zone_hours is not None:
        sign = -1 if zone_hours.startswith("-") else 1
        zone = timezone(sign * timedelta(hours=abs(int(zone_hours)), minutes=int(zone_minutes or 0)))
    try:
        when = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return text
    parts = f".{fraction.rstrip('0')}" if fraction and fraction.strip("0") else ""
    offset = when.strftime("%z")
    return f"{when:%Y-%m-%d %H:%M:%S}{parts} {offset} {'UTC' if zone is UTC else offset}"
