"""The directory: what every node must know of all others, kept by one resource. Its shape is said here alone.

Kept is `{node: {address, public_key, endpoint}}`, all of it text, so that its preview reads as the change of
the mesh; with IPv6 in the mesh `address6`, too. The addresses are for that reader: those inside the mesh are
taken from the plan. A node that has further paths has `endpoint_ipv6` and `endpoint_private`, too. A client's
endpoint is `none`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

import pulumi

from mesh.plan import ClientPlan, NodePlan
from mesh.program.unknowns import known, unknown_for_good
from mesh.render import Endpoint, PeerFacts, RenderError, Unknown, parse_endpoint

__all__ = [
    "Directory",
    "Entry",
    "FoundAt",
    "caller_entry",
    "callers_in",
    "entry",
    "private_addresses",
    "public_addresses",
    "read_facts",
]

_FURTHER: Final = ("endpoint_ipv6", "endpoint_private")
_NO_ENDPOINT: Final = "none"

Entry = dict[str, pulumi.Input[str]]
"""What the directory keeps of one node."""


@dataclass(frozen=True, kw_only=True)
class FoundAt:
    """The addresses of a node: the public one, an IPv6 one beside it, the one in its private network."""

    public: pulumi.Output[str]
    ipv6: pulumi.Output[str] | None = None
    private: pulumi.Output[str] | None = None


def entry(plan: NodePlan, *, public_key: pulumi.Input[str], found_at: FoundAt, port: int) -> Entry:
    """Return a node's entry; `port` is where its peers find WireGuard, UDP."""

    def endpoint(address: pulumi.Output[str]) -> pulumi.Output[str]:
        return address.apply(lambda ip: str(Endpoint(address=ip_address(ip), port=port)))

    kept: Entry = {
        "address": str(plan.overlay.first.ip),
        **({} if plan.overlay.address6 is None else {"address6": str(plan.overlay.address6)}),
        "public_key": public_key,
        "endpoint": endpoint(found_at.public),
    }
    if found_at.ipv6 is not None:
        kept["endpoint_ipv6"] = endpoint(found_at.ipv6)
    if found_at.private is not None:
        kept["endpoint_private"] = endpoint(found_at.private)
    return kept


def public_addresses(kept: Mapping[str, Any]) -> frozenset[str]:
    """Return the public addresses that an entry of a run before says a node is found at."""
    return _addresses(kept, "endpoint", "endpoint_ipv6")


def private_addresses(kept: Mapping[str, Any]) -> frozenset[str]:
    """Return the addresses in private networks that an entry of a run before has."""
    return _addresses(kept, "endpoint_private")


def _addresses(kept: Mapping[str, Any], *keys: str) -> frozenset[str]:
    found = (kept.get(key) for key in keys)
    return frozenset(str(parse_endpoint(each).address) for each in found if isinstance(each, str))


def caller_entry(plan: ClientPlan, *, public_key: pulumi.Input[str]) -> Entry:
    """Return a client's entry."""
    return {"address": str(plan.addresses[0]), "public_key": public_key, "endpoint": _NO_ENDPOINT}


def callers_in(kept: object) -> set[str]:
    """Return the names in a directory, as the state has it, that only ever call."""
    entries = kept if isinstance(kept, Mapping) else {}
    return {
        str(name)
        for name, each in entries.items()
        if isinstance(each, Mapping) and each.get("endpoint") == _NO_ENDPOINT
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
        kept = dict.fromkeys(("public_key", "endpoint", *_FURTHER), kept)
    missing = [key for key in ("public_key", "endpoint") if key not in kept]
    if missing:
        raise RenderError(_not_read(name, f"has no {' and no '.join(missing)}"))
    try:
        return PeerFacts(
            public_key=known(kept["public_key"]),
            endpoint=_endpoint(kept["endpoint"]),
            ipv6=_endpoint(kept["endpoint_ipv6"]) if "endpoint_ipv6" in kept else None,
            private=_endpoint(kept["endpoint_private"]) if "endpoint_private" in kept else None,
        )
    except ValueError as error:
        raise RenderError(_not_read(name, str(error))) from None


def _endpoint(kept: Any) -> Endpoint | Unknown | None:
    value = known(kept)
    if value == _NO_ENDPOINT:
        return None
    return value if isinstance(value, Unknown) else parse_endpoint(value)


def _not_read(name: str, why: str) -> str:
    return f"directory: {name}: {why}; `pulumi up` without --target writes the directory again"
