"""Kernel settings: parsed, read, and written one by one with a look at the result."""

from __future__ import annotations

import contextlib
import os
import re

from ..answers import AgentError, Answer
from ..difference import Difference
from ..files.effective import base_key, forwarding_keys, keys_begun_with, original_of
from ..files.settings import is_of_machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = [
    "check_sysctls",
    "forwarding_first",
    "originals_after",
    "read_sysctls",
    "set_sysctls",
    "side_effects",
    "sysctl_differences",
    "sysctl_path",
]

# Differences that are listed one by one: a host of containers has a thousand interfaces.
_SHOWN = 20

# Values that the kernel keeps until it starts anew, and that are stricter than any other
# (Documentation/admin-guide/sysctl/kernel.rst; Documentation/admin-guide/LSM/Yama.rst).
_LOCKED = {"kernel.unprivileged_bpf_disabled": "1", "kernel.yama.ptrace_scope": "3"}
_FORWARDING = re.compile(r"net\.ipv[46]\.(ip_forward|conf\..*\.forwarding)")
# Switching forwarding rewrites these (Linux, net/ipv4/devinet.c, inet_forward_change).
_REWRITTEN = ("net.ipv4.conf.all.accept_redirects",)


def sysctl_path(root: Path, key: str) -> Path:
    """Return a setting's file: a dot separates, a slash stands for a dot within a name (sysctl.d(5))."""
    return root.joinpath(*(part.replace("/", ".") for part in key.split(".")))


def _absent_family(root: Path, key: str) -> bool:
    return key.startswith("net.ipv6.") and not (root / "net/ipv6").exists()


def check_sysctls(root: Path, wanted: Mapping[str, str], *, where: str) -> None:
    """Refuse a key this kernel does not have.

    IPv6 keys are fine on a kernel without IPv6, and keys of the whole machine anywhere.
    """
    for key in wanted:
        if not is_of_machine(key) and not sysctl_path(root, key).is_file() and not _absent_family(root, key):
            raise AgentError(Answer.REFUSED, f"{where}: this kernel has no {key}")


def read_sysctls(root: Path, keys: Mapping[str, str]) -> dict[str, str]:
    """Return the live values of `keys`, as far as they exist and are this system's to set."""
    live = {}
    for key in keys:
        path = sysctl_path(root, key)
        if path.is_file() and (os.access(path, os.W_OK) or not is_of_machine(key)):
            with contextlib.suppress(FileNotFoundError):  # an interface that went away just now
                value = " ".join(path.read_text().split())
                if _LOCKED.get(key) != value:
                    live[key] = value
    return live


def side_effects(root: Path, keys: Iterable[str]) -> dict[str, str]:
    """Return the keys that change along with `keys`: at once, or, by `default`, when the host starts anew."""
    changed: list[str] = []
    for key in keys:
        if _FORWARDING.fullmatch(key):
            changed += [*_REWRITTEN, *forwarding_keys(root, "ipv6" if "ipv6" in key else "ipv4")]
        changed += keys_begun_with(root, key)
    return dict.fromkeys(changed, "")


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


def forwarding_first(keys: Iterable[str]) -> list[str]:
    """Return keys in the order to set them one by one: switching forwarding changes others. Pure."""
    return sorted(keys, key=lambda key: (not _FORWARDING.fullmatch(key), base_key(key) != key, key))


def sysctl_differences(root: Path, wanted: Mapping[str, str]) -> list[Difference]:
    """Say which settings are not in effect; of many interfaces, the first ones by name."""
    live = read_sysctls(root, wanted)
    found = [key for key, value in wanted.items() if live.get(key, value) != value]
    shown = [Difference(f"sysctl {key}", live[key], wanted[key]) for key in found[:_SHOWN]]
    if len(found) > _SHOWN:
        shown.append(Difference("sysctl", f"{len(found) - _SHOWN} more, like these", "as the files say"))
    return shown


def _write(root: Path, key: str, value: str) -> None:
    try:
        sysctl_path(root, key).write_text(f"{value}\n")
    except FileNotFoundError:
        return  # an interface that went away just now
    except OSError as error:
        raise AgentError(Answer.FAILED, f"{key} = {value}: {error.strerror}") from None


def originals_after(
    originals: Mapping[str, str], live: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, str]:
    """Return the values to go back to when a key leaves: the first ones seen before we set them. Pure.

    What an interface has belongs to the key of `all`. One that came after that was set began with our value
    of `default`, and goes back to what `default` was before.
    """
    kept = {}
    for key in {**live, **originals}:
        base = base_key(key)
        if key not in wanted and base not in wanted:
            continue
        came_later = key not in originals and base in originals and live[key] == wanted.get(base)
        before = original_of(key, originals) if came_later else None
        kept[key] = originals.get(key, before or live.get(key, ""))
    return kept
