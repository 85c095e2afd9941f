"""Kernel settings: parsed, read, and written one by one with a look at the result."""

import re
from collections.abc import Mapping
from pathlib import Path

from .answers import AgentError, Answer

__all__ = ["check_sysctls", "originals_after", "parse_sysctls", "read_sysctls", "set_sysctls", "side_effects"]

_LINE = re.compile(r"([a-z0-9][a-z0-9_./-]*) = (\S.*)")
_FORWARDING = re.compile(r"net\.ipv[46]\.(ip_forward|conf\..*\.forwarding)")
# Switching forwarding rewrites these (Linux, net/ipv4/devinet.c, inet_forward_change).
_REWRITTEN = ("net.ipv4.conf.all.accept_redirects",)


def parse_sysctls(text: str, *, where: str) -> dict[str, str]:
    """Parse `key = value` lines; raises `AgentError` (REFUSED) with the line."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if not found or found[1] in values or ".." in found[1]:
            problem = "given twice" if found and found[1] in values else "must read `key = value`"
            raise AgentError(Answer.REFUSED, f"{where} line {number}: {problem}")
        values[found[1]] = " ".join(found[2].split())
    return values


def _path(root: Path, key: str) -> Path:
    """A dot separates, a slash stands for a dot within a name (sysctl.d(5))."""
    return root.joinpath(*(part.replace("/", ".") for part in key.split(".")))


def _absent_family(root: Path, key: str) -> bool:
    return key.startswith("net.ipv6.") and not (root / "net/ipv6").exists()


def check_sysctls(root: Path, wanted: Mapping[str, str], *, where: str) -> None:
    """Refuse a key this kernel does not have; IPv6 keys are fine on a kernel without IPv6."""
    for key in wanted:
        if not _path(root, key).is_file() and not _absent_family(root, key):
            raise AgentError(Answer.REFUSED, f"{where}: this kernel has no {key}")


def read_sysctls(root: Path, keys: Mapping[str, str]) -> dict[str, str]:
    """Return the live values of `keys`, as far as they exist."""
    live = {}
    for key in keys:
        path = _path(root, key)
        if path.is_file():
            live[key] = " ".join(path.read_text().split())
    return live


def side_effects(keys: Mapping[str, str]) -> dict[str, str]:
    """Return the keys that change along with `keys`."""
    if any(_FORWARDING.fullmatch(key) for key in keys):
        return dict.fromkeys(_REWRITTEN, "")
    return {}


def set_sysctls(root: Path, wanted: Mapping[str, str]) -> int:
    """Write what differs, forwarding first because it rewrites others; returns how many were written.

    Raises `AgentError` (FAILED) when the kernel refuses a value or keeps another one.
    """
    written = 0
    forwarding = {key: value for key, value in wanted.items() if _FORWARDING.fullmatch(key)}
    for group in (forwarding, dict(wanted)):
        live = read_sysctls(root, group)
        for key, value in group.items():
            if key in live and live[key] != value:
                _write(root, key, value)
                written += 1
    live = read_sysctls(root, wanted)
    for key, value in live.items():
        if value != wanted[key]:
            raise AgentError(Answer.FAILED, f"{key} stays {value} instead of {wanted[key]}")
    return written


def _write(root: Path, key: str, value: str) -> None:
    try:
        _path(root, key).write_text(f"{value}\n")
    except OSError as error:
        raise AgentError(Answer.FAILED, f"{key} = {value}: {error.strerror}") from None


def originals_after(
    originals: Mapping[str, str], live: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, str]:
    """Return the values to go back to when a key leaves: the first ones seen before we set them. Pure."""
    return {key: originals.get(key, live[key]) for key in wanted if key in originals or key in live}
