"""What a stack file may say and rarely means: told, and not refused."""

from collections.abc import Iterator

from mesh.settings.addresses import KNOWN_NETWORKS
from mesh.settings.models import Settings
from mesh.settings.problems import Problem
from mesh.settings.topology import unlinked_by_rule

__all__ = ["warnings_of"]


def warnings_of(settings: Settings, *, where: str = "mesh") -> tuple[Problem, ...]:
    """Return what the author of a stack file should know, each with its path."""
    found = (
        *_sources(settings),
        *_network(settings),
        *_nobody(settings),
        *_unlinked(settings),
        *_no_egress(settings),
    )
    return tuple(
        Problem(path=f"{where}.{path}", message=message, place=tuple(path.split(".")))
        for path, message in found
    )


def _sources(settings: Settings) -> Iterator[tuple[str, str]]:
    inside = [network for network in (settings.cidr, settings.cidr6) if network is not None]
    outside = [
        one
        for one in settings.ssh.from_
        if not any(one.version == network.version and one.overlaps(network) for network in inside)
    ]
    if len(outside) == 1 and outside[0].num_addresses == 1:
        address = outside[0].network_address
        message = (
            f"{address} is the only address that may log in: when your address changes, nobody can log in, "
            f"and `up` cannot reach the nodes; add a second address, or the network of this address"
        )
        yield "ssh.from", message


def _network(settings: Settings) -> Iterator[tuple[str, str]]:
    for known in KNOWN_NETWORKS:
        if settings.cidr.overlaps(known.network):
            message = (
                f"{settings.cidr} overlaps {known.network}, which {known.owner}: a node cannot "
                f"use both networks; take another network, such as 10.10.0.0/24"
            )
            yield "cidr", message


def _nobody(settings: Settings) -> Iterator[tuple[str, str]]:
    if not any(node.enabled for node in settings.nodes.values()):
        yield "nodes", "all have enabled: false, so no node has a peer"


def _no_egress(settings: Settings) -> Iterator[tuple[str, str]]:
    for name, node in settings.nodes.items():
        if node.enabled and node.egress is not None and not settings.nodes[node.egress].enabled:
            message = (
                f"{node.egress} is not enabled, so {name} does not reach the IPv4 internet; name a node that "
                f"is enabled, or enable {node.egress}"
            )
            yield f"nodes.{name}.egress", message


def _unlinked(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.links is None:
        return
    groups = {name: node.groups for name, node in settings.nodes.items()}
    for index, rule in enumerate(settings.policy or ()):
        pairs = unlinked_by_rule(settings.links, groups, rule.from_, rule.to)
        if pairs:
            source, target = pairs[0]
            more = len(pairs) - 1
            others = f" and {more} more pair{'s' * (more > 1)}" if more else ""
            message = (
                f"policy[{index}] lets {source} reach {target}{others}, but links has no link between them: "
                f"nothing passes; add [{source}, {target}] to links, or name fewer nodes in the rule"
            )
            yield "policy", message
