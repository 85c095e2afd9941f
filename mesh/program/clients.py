"""The clients of a mesh: a generated key for each that has none of its own, and what its device must know."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi

from mesh.names import STASH, MeshNames
from mesh.outputs import called_record, client_record
from mesh.plan import ClientPlan
from mesh.program import keys
from mesh.program.directory import Entry, caller_entry, callers_in
from mesh.program.previous import Previous

__all__ = ["Client", "callers_of", "declare_clients", "gone", "key_name"]

_PREFIX: Final = "client_"


def key_name(client: str) -> str:
    """Return the name of the stash with a client's key: no node has an underscore in its name."""
    return f"{_PREFIX}{client}"


@dataclass(frozen=True, kw_only=True)
class Client:
    """One device: its public key, and the private one (secret) where the program has made it."""

    plan: ClientPlan
    public_key: pulumi.Input[str]
    private_key: pulumi.Output[str] | None

    def entry(self) -> Entry:
        """Return what the nodes must know of this client: its entry in the directory."""
        return caller_entry(self.plan, public_key=self.public_key)

    def record(self, called: Mapping[str, Entry], root: pulumi.Output[str]) -> dict[str, Any]:
        """Return its entry in the outputs; `called` has the directory's entries of nodes."""
        shared = keys.preshared_keys(root, node=self.plan.oldest_name, peers=self.plan.peers)
        return client_record(
            address=", ".join(str(address) for address in self.plan.addresses),
            enabled=self.plan.enabled,
            mtu=self.plan.mtu,
            public_key=self.public_key,
            private_key=self.private_key,
            peers=[
                called_record(
                    name=peer.name,
                    public_key=called[peer.name]["public_key"],
                    preshared_key=_one(shared, peer.name),
                    endpoint=called[peer.name]["endpoint"],
                    allowed_ips=", ".join(str(network) for network in peer.allowed_ips),
                    keepalive=peer.keepalive,
                )
                for peer in self.plan.peers
            ],
        )


def _one(shared: pulumi.Output[dict[str, str]], name: str) -> pulumi.Output[str]:
    return pulumi.Output.secret(shared.apply(lambda found: found[name]))


def declare_clients(
    plans: Mapping[str, ClientPlan], names: MeshNames, parent: pulumi.Resource
) -> dict[str, Client]:
    """Declare the keys of all clients that have no key of their own."""
    return {name: _declare(plan, names, parent) for name, plan in plans.items()}


def _declare(plan: ClientPlan, names: MeshNames, parent: pulumi.Resource) -> Client:
    if plan.public_key is not None:
        return Client(plan=plan, public_key=plan.public_key, private_key=None)
    identity = keys.stored(names.of(key_name(plan.name)), keys.node_identity, parent=parent)
    return Client(plan=plan, public_key=keys.wireguard_public_key(identity), private_key=identity)


def callers_of(plans: Mapping[str, ClientPlan], node: str) -> list[str]:
    """Return the clients that call a node."""
    return [name for name, plan in plans.items() if any(peer.name == node for peer in plan.peers)]


def gone(plans: Mapping[str, ClientPlan], before: Previous) -> Iterator[str]:
    """Yield a sentence for each client that the nodes know and that has no tunnel after this run."""
    known = callers_in(before.record(STASH, "directory").get("input"))
    for name in sorted(known - set(before.nodes)):
        plan = plans.get(name)
        if plan is not None and plan.enabled:
            continue
        ends = "its tunnels end within this `up`"
        if plan is not None:
            yield f"{name} is not enabled any more: {ends}; its key and its address stay"
        elif before.has(STASH, key_name(name)):
            yield (
                f"{name} is not among the clients any more: {ends}, and its key is deleted. If it comes "
                f"back, its device needs a new configuration"
            )
        else:
            yield f"{name} is not among the clients any more: {ends}"
