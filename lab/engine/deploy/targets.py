"""--target, --exclude and --replace: which resources an operation may touch."""

import re
from collections.abc import Iterable

from lab.engine.deploy.request import Options
from lab.engine.state.model import ResourceState

__all__ = ["Targets"]


def _pattern(text: str) -> re.Pattern[str]:
    """`*` is anything within one part of a URN, `**` anything at all."""
    parts = re.split(r"(\*\*|\*)", text)
    return re.compile("".join({"**": ".*", "*": "[^:]*"}.get(part, re.escape(part)) for part in parts))


class _Set:
    """URNs and patterns of URNs."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.literals = {text for text in texts if "*" not in text}
        self._patterns = [_pattern(text) for text in texts if "*" in text]
        self._added: set[str] = set()
        self.given = bool(self.literals or self._patterns)

    def named(self, urn: str) -> bool:
        """Whether the user named it."""
        return urn in self.literals or any(pattern.fullmatch(urn) for pattern in self._patterns)

    def touches(self, state: ResourceState) -> bool:
        """Whether it needs one that was named or added."""
        return any(urn in self._added or self.named(urn) for urn in state.needs())

    def add(self, urn: str) -> None:
        self._added.add(urn)


class Targets:
    """Answers what is included. Without any of the options everything is.

    Resources are asked about in the order of their dependencies, so that dependents of what was included
    (or excluded) can follow.
    """

    def __init__(self, options: Options) -> None:
        self._targets = _Set(options.targets)
        self._excludes = _Set(options.excludes)
        self._replaces = _Set(options.replaces)
        self._with_dependents = options.target_dependents
        self._without_dependents = options.exclude_dependents

    @property
    def by_targets(self) -> bool:
        """Whether --target was given."""
        return self._targets.given

    @property
    def by_excludes(self) -> bool:
        """Whether --exclude was given."""
        return self._excludes.given and not self._targets.given

    @property
    def constrained(self) -> bool:
        """Whether what is made must not need what is left out: with --target or --replace."""
        return self._targets.given or self._replaces.given

    @property
    def exclude_dependents(self) -> bool:
        """Whether what needs an excluded resource is excluded, too."""
        return self._without_dependents

    def includes(self, state: ResourceState) -> bool:
        """Whether a resource may be created, changed or read."""
        if self._targets.given:
            included = self._targets.named(state.urn)
            included = included or (self._with_dependents and self._targets.touches(state))
            if included:
                self._targets.add(state.urn)
            return included
        if self._excludes.given:
            excluded = self._excludes.named(state.urn)
            excluded = excluded or (self._without_dependents and self._excludes.touches(state))
            if excluded:
                self._excludes.add(state.urn)
            return not excluded
        return True

    def targeted(self, urns: Iterable[str]) -> list[str]:
        """Return those of the URNs that --target names."""
        return [urn for urn in urns if self._targets.named(urn)]

    def excluded(self, urns: Iterable[str]) -> list[str]:
        """Return those of the URNs that --exclude names."""
        return [urn for urn in urns if self._excludes.named(urn)]

    def may_go(self, urn: str) -> bool:
        """Whether a resource may be deleted without having been named."""
        return not self._targets.given or self._with_dependents or self._targets.named(urn)

    def replaces(self, urn: str, old: ResourceState | None) -> bool:
        """Whether a resource must be replaced though nothing changed: by --replace, or as it is tainted."""
        return self._replaces.named(urn) or (old is not None and old.taint)

    def unknown(self, urns: Iterable[str], *, replaces: bool = False) -> list[str]:
        """Return the targets (or the URNs of --replace) that are not among the URNs there are."""
        literals = self._replaces.literals if replaces else self._targets.literals
        return sorted(literals - set(urns))

    def unknown_in_state(self, urns: Iterable[str]) -> list[str]:
        """Return the targets and excludes that are not among the URNs of a state."""
        return sorted((self._targets.literals | self._excludes.literals) - set(urns))
