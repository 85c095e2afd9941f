"""A node's files as one text, rendered from its plan and from what this run knows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pulumi

from mesh.plan import NodePlan
from mesh.program.access import Access
from mesh.program.directory import Directory
from mesh.program.unknowns import known, unknown_for_good
from mesh.render import UNKNOWN, KeyNames, Moving, Unknown, render_document

__all__ = ["RunFacts", "node_files"]


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What only a run can know for a node's files.

    `private` is the fingerprint of its private key, `preshared` one per peer's name, `management` the public
    SSH key of the mesh, `server` the cloud's id of its server.
    """

    directory: pulumi.Output[Directory]
    private: pulumi.Output[str]
    preshared: pulumi.Output[dict[str, str]]
    management: pulumi.Output[str]
    server: pulumi.Output[str]


def node_files(plan: NodePlan, access: Access, facts: RunFacts) -> pulumi.Output[str]:
    """Render a node's files; what a preview cannot know yet reads `<known after up>`."""

    def render(values: Any) -> Any:
        directory, private, preshared, management, server = values
        if isinstance(directory, pulumi.output.Unknown) or unknown_for_good(values):
            return pulumi.output.UNKNOWN
        wanted = known(management)
        return render_document(
            plan,
            directory.facts,
            KeyNames(private=known(private), preshared=_preshared(plan, known(preshared))),
            management_key=wanted,
            moving=_moving(plan, access, known(server), wanted),
        )

    preshared: pulumi.Output[Any] = facts.preshared.apply(_Names.of, run_with_unknowns=True)
    every: pulumi.Output[Any] = pulumi.Output.all(
        facts.directory, facts.private, preshared, facts.management, facts.server
    )
    return every.apply(render, run_with_unknowns=True)


@dataclass(frozen=True, kw_only=True)
class _Names:
    """The names of a node's pre-shared keys, a value that Pulumi does not look into.

    Of a plain dict it would make two outputs for each peer: work that grows with the number of pairs.
    """

    by_peer: Mapping[str, str | Unknown]

    @staticmethod
    def of(names: Any) -> Any:
        if isinstance(names, pulumi.output.Unknown) or unknown_for_good(names):
            return pulumi.output.UNKNOWN
        return _Names(by_peer={peer: known(name) for peer, name in names.items()})


def _preshared(plan: NodePlan, names: _Names | Unknown) -> dict[str, str | Unknown]:
    if isinstance(names, Unknown):
        return dict.fromkeys((peer.name for peer in plan.peers), UNKNOWN)
    return dict(names.by_peer)


def _moving(plan: NodePlan, access: Access, server: str | Unknown, management: str | Unknown) -> Moving:
    """Return what stays open on this server; a new one moves away from its peers and from its first port."""
    if access.of(server) is None:
        first = access.first_port
        return replace(access.moving, ssh_ports=() if first in {None, plan.access.ssh_port} else (first,))
    former = access.former_management_key(server, management)
    return replace(access.moving, management_keys=(former,) if former else ())
