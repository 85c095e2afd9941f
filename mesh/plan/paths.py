"""Which way two nodes reach each other: a private network that both are in, or the internet."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from mesh.plan.links import Links
from mesh.settings import Problem, Settings, SettingsError
from mesh.settings.endpoints import Family, families_of

__all__ = ["PUBLIC", "Path", "check_paths", "path_between"]

_NAMES: Final = {"ipv4": "IPv4", "ipv6": "IPv6"}


@dataclass(frozen=True, kw_only=True)
class Path:
    """One way between two nodes, the same from both ends: over the internet, or a private `network`."""

    family: Family = "ipv4"
    network: str | None = None

    @property
    def note(self) -> str:
        """What a reader of the files is told; nothing of the usual way."""
        if self.network is not None:
            return f"over {self.network}"
        return "" if self == PUBLIC else f"over {_NAMES[self.family]}"


PUBLIC: Final = Path()
"""The usual way: IPv4 over the internet."""


def path_between(settings: Settings, one: str, other: str) -> Path | None:
    """Return the best path that two nodes have, whichever is named first; None where they have none."""
    first, second = settings.nodes[one], settings.nodes[other]
    if first.network is not None and first.network == second.network:
        return Path(network=first.network)
    both = [family for family in families_of(first) if family in families_of(second)]
    if not both:
        return None
    return Path(family=settings.prefer if settings.prefer in both else both[0])


def check_paths(settings: Settings, links: Links) -> None:
    """Refuse pairs of nodes that take part and are linked, and have no path.

    Raises `SettingsError` that names both nodes of each pair, and what helps.
    """
    members = [name for name, node in settings.nodes.items() if node.enabled]
    pairs = (pair for pair in combinations(members, 2) if links.between(*pair) and links.relay(*pair) is None)
    problems = tuple(_problems(settings, pairs))
    if problems:
        raise SettingsError(problems)


def _problems(settings: Settings, pairs: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    for one, other in pairs:
        if path_between(settings, one, other) is None:
            message = (
                f"has no path to {other}: {one} has public {_has(settings, one)} only, {other} public "
                f"{_has(settings, other)} only, and they share no private network. Give one of them both "
                f"families (publicIpv4, publicIpv6; with provider: static, hostIpv6), or put both into one "
                f"of `networks`"
            )
            yield Problem(path=f"mesh.nodes.{one}", message=message, place=("nodes", one))


def _has(settings: Settings, name: str) -> str:
    return " and ".join(_NAMES[family] for family in families_of(settings.nodes[name])) or "addresses"
