"""--target, --exclude and --replace: which resources an operation may touch."""

import re
from collections.abc import Callable

from lab.engine.deploy.request import Options
from lab.engine.state.model import ResourceState

__all__ = ["Targets"]


def _pattern(text: str) -> re.Pattern[str]:
    """`*` is anything within one part of a URN, `**` anything at all."""
    parts = re.split(r"(\*\*|\*)", text)
    return re.compile("".join({"**": ".*", "*": "[^:]*"}.get(part, re.escape(part)) for part in parts))


class Targets:
    """Answers what is included. Without any of the options everything is."""

    def __init__(self, options: Options) -> None:
        self._targets = [_pattern(text) for text in options.targets]
        self._excludes = [_pattern(text) for text in options.excludes]
        self._replaces = [_pattern(text) for text in options.replaces]
        self._dependents = options.target_dependents

    def includes(self, state: ResourceState) -> bool:
        """Whether a resource may be created or changed."""
        if self._targets:
            return any(pattern.fullmatch(state.urn) for pattern in self._targets)
        return not any(pattern.fullmatch(state.urn) for pattern in self._excludes)

    def may_delete(self, state: ResourceState) -> bool:
        """Whether a resource that is no longer asked for may be deleted."""
        return self.includes(state)

    def replaces(self, urn: str) -> bool:
        """Whether a resource must be replaced though nothing changed."""
        return any(pattern.fullmatch(urn) for pattern in self._replaces)

    def refuse_dependents(self, gone: set[str], refuse: Callable[[str, str], None]) -> None:
        """Say which resources would go although nobody targeted them."""
        if not self._targets or self._dependents:
            return
        for urn in sorted(gone):
            if not any(pattern.fullmatch(urn) for pattern in self._targets):
                refuse(
                    f"Resource '{urn}' will be destroyed but was not specified in --target list. Either "
                    "include resource in --target list or pass --target-dependents to proceed.",
                    urn,
                )
