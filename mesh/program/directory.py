"""The directory: what every node must know of all others, kept by one resource. Its shape is said here alone.

Kept is `{node: {address, public_key, endpoint}}`, all of it text, so that its preview reads as the change of
the mesh; with IPv6 in the mesh `address6`, too. The addresses are for that reader: those inside the mesh are
taken from the plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pulumi

from mesh.plan import NodePlan
from mesh.program.unknowns import known, unknown_for_good
from mesh.render import Endpoint, PeerFacts, RenderError, Unknown, parse_endpoint

__all__ = ["Directory", "Entry", "entry", "read_facts"]

Entry = dict[str, pulumi.Input[str]]
"""What the directory keeps of one node."""


def entry(
    plan: NodePlan, *, public_key: pulumi.Input[str], public_ip: pulumi.Output[str], port: int
) -> Entry:
    """Return a node's entry; `port` is where its peers find WireGuard, UDP."""
    return {
        "address": str(plan.overlay.first.ip),
        **({} if plan.overlay.address6 is None else {"address6": str(plan.overlay.address6)}),
        "public_key": public_key,
        "endpoint": public_ip.apply(lambda ip: str(Endpoint(address=ip_address(ip), port=port))),
    }


@dataclass(frozen=True, kw_only=True)
class Directory:
    """What a run knows of every node; a value that Pulumi does not look into.

    A plain dict would be searched for outputs once per node: work that grows with the number of pairs.
    """

    facts: Mapping[str, PeerFacts]

    @staticmethod
    def of(kept: pulumi.Output[Mapping[str, Any]]) -> "pulumi.Output[Directory]":
        """Read it from where it is kept."""

        def read(entries: Any) -> Any:
            if isinstance(entries, pulumi.output.Unknown) or unknown_for_good(entries):
                return pulumi.output.UNKNOWN
            return Directory(facts={name: read_facts(name, each) for name, each in entries.items()})

        return kept.apply(read, run_with_unknowns=True)


def read_facts(name: str, kept: Any) -> PeerFacts:
    """Read a node's entry, of which anything may be unknown. Raises `RenderError`."""
    if isinstance(kept, pulumi.output.Unknown):
        kept = {"public_key": kept, "endpoint": kept}
    missing = [key for key in ("public_key", "endpoint") if key not in kept]
    if missing:
        raise RenderError(_not_read(name, f"has no {' and no '.join(missing)}"))
    endpoint = known(kept["endpoint"])
    try:
        return PeerFacts(
            public_key=known(kept["public_key"]),
            endpoint=endpoint if isinstance(endpoint, Unknown) else parse_endpoint(endpoint),
        )
    except ValueError as error:
        raise RenderError(_not_read(name, str(error))) from None


def _not_read(name: str, why: str) -> str:
    return f"directory: {name}: {why}; `pulumi up` without --target writes the directory again"
