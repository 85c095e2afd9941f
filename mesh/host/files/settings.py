"""Pure: the file of kernel settings, parsed."""

from __future__ import annotations

import re

from ..answers import AgentError, Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional

__all__ = ["is_of_machine", "parse_sysctls"]

_LINE = re.compile(r"(-?)([a-z0-9][a-z0-9_./-]*) = (\S.*)")
# Settings of the whole machine, which a container may see but not set; all others are per network namespace.
_MACHINE = re.compile(r"(kernel|fs)\..*|net\.core\.bpf_jit_harden")


def is_of_machine(key: str) -> bool:
    """Tell whether a setting is the whole machine's, and not a network namespace's."""
    return bool(_MACHINE.fullmatch(key))


def parse_sysctls(text: str, *, where: str) -> dict[str, str]:
    """Parse `key = value` lines; raises `AgentError` (REFUSED) with the line.

    A key of the whole machine has `-` before it, which also tells systemd-sysctl to go on without it.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        problem = _problem(found, values)
        if problem or not found:
            raise AgentError(Answer.REFUSED, f"{where} line {number}: {problem}")
        values[found[2]] = " ".join(found[3].split())
    return values


def _problem(found: Optional["re.Match[str]"], values: Mapping[str, str]) -> Optional[str]:
    if not found or ".." in found[2]:
        return "must read `key = value`"
    if found[2] in values:
        return "given twice"
    if bool(found[1]) != is_of_machine(found[2]):
        return "`-` stands before the keys of the whole machine (kernel, fs), and before no other"
    return None
