"""What the cloud's refusals mean, and what helps."""

import re
from collections.abc import Callable, Mapping
from typing import Final

import pulumi

from mesh.names import MeshNames
from mesh.program.machines.base import NO_ANSWER, NO_ROOT
from mesh.program.machines.hetzner.api import CloudAccess
from mesh.program.machines.hetzner.catalog import CatalogError, labels_of, servers_of_mesh
from mesh.program.machines.hetzner.neighbours import is_of, owner
from mesh.program.machines.hetzner.records import (
    ADDRESS,
    FIREWALL,
    NETWORK,
    PLACEMENT_GROUP,
    SERVER,
    SSH_KEY,
    server_record,
)
from mesh.program.previous import Previous

__all__ = ["CLOUD_FAILED", "REMEDIES", "cloud_answer", "cloud_failed"]

CLOUD_FAILED: Final = "wireguard-mesh-name-taken"
"""The name of the hook."""

REMEDIES: Final[Mapping[str, str]] = {
    NO_ANSWER: """
        no answer on its SSH port {port}: the server is off or hangs, sshd listens on another port
        (mesh.ssh.port), or a firewall of the cloud or of the host drops SSH from here. If the server is
        off, the next `up` starts it. Otherwise correct what is wrong, then run up again. With
        `--continue-on-error` the other nodes do not wait for this node, and with `enabled: false` `up`
        leaves the node alone until you enable it again.""",
    NO_ROOT: """
        the image does not let root work over SSH, but everything on a node is done as root. Choose an image
        that does, such as one of Hetzner's, and rebuild the server (this erases its disk): `pulumi up
        --replace '{server}'`.""",
}
"""What errors of a server's commands mean, where that is this cloud's."""

ONLY_IPV6: Final[Mapping[str, str]] = {
    **REMEDIES,
    NO_ANSWER: """
        no answer over IPv6 on its SSH port {port}, and the server has no public IPv4 address. This machine
        needs IPv6: if `ip -6 route get 2000::` names no route, run up from a machine with IPv6. Otherwise
        the server is off (the next `up` starts it), sshd listens on another port (mesh.ssh.port) or on IPv4
        only, or a firewall of the cloud or of the host drops SSH from here. Correct that, then run up
        again. With `--continue-on-error` the other nodes do not wait for this node, and with `enabled:
        false` `up` leaves the node alone until you enable it again.""",
}
"""The same of a server without a public IPv4 address."""

# The provider fails to delete a server or a placement group that is gone already; for others it does not.
_GONE: Final = re.compile(r"not[ _]found")
# The first is the API's, the second what its client libraries expect.
_GROUP_FULL: Final = re.compile(r"placement_group_member_limit_reached|placement_error")
_CLOUD_COMMANDS = {
    SERVER: "server",
    ADDRESS: "primary-ip",
    SSH_KEY: "ssh-key",
    FIREWALL: "firewall",
    PLACEMENT_GROUP: "placement-group",
    NETWORK: "network",
}


# The client's words for the same kinds.
_COLLECTIONS: Final = {kind: f"{word.replace('-', '_')}s" for kind, word in _CLOUD_COMMANDS.items()}


def cloud_answer(stack: str, names: MeshNames, previous: Previous) -> Callable[[pulumi.ErrorHookArgs], bool]:
    """Return the hook for what the cloud refuses: it explains, and never retries.

    One name that is taken is what a stopped run leaves behind; many are a state that is not the cloud's, to
    which no advice to delete is the answer.
    """
    taken: set[str] = set()
    access = CloudAccess.configured()

    def answer(args: pulumi.ErrorHookArgs) -> bool:
        if "uniqueness_error" in args.errors[0]:
            whose = _other_owner(access, args, stack, names)
            if whose is not None:
                pulumi.log.error(_OF_OTHERS.format(name=_name(args), kind=_kind(args), owner=whose))
                return False
            taken.add(args.name)
            if len(taken) > 1 or not previous.records:
                pulumi.log.error(_STATE_DIFFERS.format(name=_name(args), kind=_kind(args)))
                return False
        if args.type == PLACEMENT_GROUP and "resource_in_use" in args.errors[0]:
            unknown = _unknown_servers(access, stack, names, previous)
            if unknown:
                pulumi.log.error(_UNKNOWN_IN_GROUP.format(group=args.name, server=unknown[0]))
                return False
        return cloud_failed(args)

    return answer


def _unknown_servers(access: CloudAccess, stack: str, names: MeshNames, previous: Previous) -> list[str]:
    """Return the names of the mesh's servers in the cloud of which the state had nothing."""
    known = {str(server_record(previous, name).get("name")) for name in previous.nodes}
    known |= {names.in_cloud(stack, name) for name in previous.nodes}  # those that this run has renamed
    try:
        return [name for name in servers_of_mesh(access, stack, names) if name not in known]
    except CatalogError:
        return []


def _other_owner(access: CloudAccess, args: pulumi.ErrorHookArgs, stack: str, names: MeshNames) -> str | None:
    """Say whose the thing is that has the name already; None for this mesh's own, or where nobody knows."""
    collection = _COLLECTIONS.get(args.type)
    if collection is None or access.token is None:
        return None
    try:
        labels = labels_of(access, collection, _name(args))
    except CatalogError:
        return None
    return None if labels is None or is_of(labels, stack, names) else owner(labels)


_OF_OTHERS: Final = (
    "{name}: the cloud already has a {kind} of this name, which belongs to {owner}. Delete nothing. Give the "
    "node another name, or rename this stack (`pulumi stack rename`), and run up again."
)
_UNKNOWN_IN_GROUP: Final = (
    "{group}: the server {server} is in this placement group, but this stack's state does not know the "
    "server: most likely a run was stopped while it created the server. If nothing else uses the server, "
    "remove it with `hcloud "
    "server delete {server}`, then run the same again."
)


_STATE_DIFFERS: Final = (
    "{name}: the cloud already has a {kind} of this name, but this state does not. When several names are "
    "taken, the state is lost, is too old, or belongs to something else. Delete nothing. Check where the "
    "state is kept (`pulumi whoami --verbose`, `pulumi stack ls`), or bring back a backup with `pulumi "
    "stack import --file FILE`. If a run was killed while it created these resources, see "
    "docs/recovering.md, A run was stopped."
)


def _name(args: pulumi.ErrorHookArgs) -> str:
    return str((args.new_inputs or {}).get("name", args.name))


def _kind(args: pulumi.ErrorHookArgs) -> str:
    return _CLOUD_COMMANDS.get(args.type, "resource")


def cloud_failed(args: pulumi.ErrorHookArgs) -> bool:
    """Explain a name that the cloud already knows, and a placement group it keeps; never retries.

    A run that was killed while the cloud worked leaves a resource that the state does not know. It is
    not advised to import it: the hcloud provider would not know that the server's address is the one it
    is asked for, would give that address back, and then fail to find it.
    """
    if "uniqueness_error" in args.errors[0]:
        name, kind = _name(args), _kind(args)
        pulumi.log.error(
            f"{name}: the cloud already has a {kind} of this name, but this stack's state does not: most "
            f"likely a run was stopped while it created this {kind}, so nothing depends on the {kind} yet. "
            f"If nothing else uses the {kind}, remove it with `hcloud {kind} delete {name}` and run up again."
        )
    elif args.failed_operation == "delete" and _GONE.search(args.errors[0]):
        pulumi.log.error(
            f"{args.name}: the cloud does not have this {_kind(args)} any more: somebody deleted it without "
            f"Pulumi. Run `pulumi refresh`, then the same again; `pulumi destroy --refresh` does both."
        )
    elif args.type == SERVER and args.failed_operation == "update":
        node = args.name.removesuffix("-server")
        pulumi.log.error(
            f"{node}: could not change the server, which may now be off. Correct what the error says, or "
            f"take the change back, and run up again: `up` starts a server that is off."
        )
    elif args.type == PLACEMENT_GROUP and "resource_in_use" in args.errors[0]:
        pulumi.log.error(
            f"{args.name}: the cloud will not delete this placement group: a server is still in it. "
            f"Servers are grouped by overlay address, ten per group. Give the node an address from its old "
            f"block, or rebuild its server (this erases it): `pulumi up --replace <urn of NODE-server>`."
        )
    elif args.type == SERVER and _GROUP_FULL.search(args.errors[0]):
        pulumi.log.error(
            f"{_name(args)}: the placement group of this server is full: servers of nodes that moved to "
            f"other addresses are still in it. Servers are grouped by overlay address, ten per group. Give "
            f"the node an address from a block with fewer nodes, and run up again."
        )
    elif args.type == SERVER and "resource_unavailable" in args.errors[0]:
        pulumi.log.error(
            f"{_name(args)}: the cloud has no room for a server of this type in this location at the "
            f"moment. Run up again later, or give the node another type or location."
        )
    return False
