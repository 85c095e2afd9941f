"""What the program answers when a step fails: dial again, or say what the user can do."""

import re
from collections.abc import Callable, Mapping
from typing import Final

import pulumi

from mesh.names import BOOTSTRAP, INSTALL, KEYS, RECONNECT_STATUS, RECONNECT_TRIES, node_and_step
from mesh.program.catalog import CatalogError, servers_of_stack
from mesh.program.power import CloudAccess
from mesh.program.previous import Previous
from mesh.program.remedies import NO_LIMITS, remedy
from mesh.said import last_line

__all__ = [
    "CANARY",
    "CLOUD_FAILED",
    "COMMAND_FAILED",
    "COMMAND_RAN",
    "canary_answer",
    "cloud_answer",
    "cloud_failed",
    "command_answer",
    "command_failed",
    "command_ran",
    "wants_reconnect",
]

COMMAND_FAILED: Final = "wireguard-mesh-reconnect"
COMMAND_RAN: Final = "wireguard-mesh-ran"
CANARY: Final = "wireguard-mesh-canary"
CLOUD_FAILED: Final = "wireguard-mesh-name-taken"

# The agent ends its first connection with this status and this last line (docs/protocol.md).
_RECONNECT_STATUS: Final = f"exited with status {RECONNECT_STATUS}"
_RECONNECT: Final = re.compile(r"RECONNECT [0-9a-f]{1,64}")
# A connection that broke under a command; what was asked is idempotent, so asking again is safe.
_LOST_CONNECTION = re.compile(
    r"wait: remote command exited without exit status|\bEOF\b|connection reset by peer|broken pipe"
    r"|connection lost",
    re.IGNORECASE,
)
# The provider's own words come first, what the node printed after them.
_PROVIDER_SAYS: Final = 2_000
# Asked again at once, it mostly works the first time; a host that drops every connection is given up.
_LOST_CONNECTION_TRIES = 3


def wants_reconnect(args: pulumi.ErrorHookArgs) -> bool:
    """Tell whether the failed command asks for a new connection, or lost the one it had.

    `args.errors` has the newest error first.
    """
    heads = [error[:_PROVIDER_SAYS] for error in args.errors]
    if _RECONNECT_STATUS in heads[0] and _RECONNECT.fullmatch(last_line(args.errors[0])):
        return len(args.errors) <= RECONNECT_TRIES
    if _LOST_CONNECTION.search(heads[0]):
        return sum(1 for head in heads if _LOST_CONNECTION.search(head)) <= _LOST_CONNECTION_TRIES
    return False


def command_failed(args: pulumi.ErrorHookArgs, limits: Mapping[str, str] = NO_LIMITS) -> bool:
    """Have a command tried again where that helps; else say what its user can do.

    `limits` has, for each node that limits where SSH may come from, the networks that it lets in.
    """
    if wants_reconnect(args):
        return True
    helps = remedy(args, limits)
    if helps is not None:
        pulumi.log.error(helps)
    return False


# The first word of the last line that steps end with (docs/protocol.md); of `apply`, see confirmed.py.
_LAST_WORDS: Final = {BOOTSTRAP: "ready", INSTALL: "INSTALLED", KEYS: "STORED"}


def command_ran(args: pulumi.ResourceHookArgs) -> None:
    """Refuse a command that ended well and did not say so: it was never run.

    A start file of root's shell that ends the shell (`exit`) does that. The engine has recorded it as done:
    the run must fail, and what helps must do it again. Raises `pulumi.RunError`.
    """
    said = (args.new_outputs or {}).get("stdout")
    node, step = node_and_step(args.name)
    expected = _LAST_WORDS.get(step)
    if expected is None or not isinstance(said, str):
        return
    if last_line(said).partition(" ")[0] != expected:
        raise pulumi.RunError(
            f"{node}: its {step} command was not run, though SSH says that it went well: a start file of "
            f"root's shell (such as /root/.bashrc) ends the shell (`exit`) or puts another one in its place. "
            f"Let it do so in interactive shells only (`case $- in *i*) ;; *) return ;; esac` before), then "
            f"run `pulumi up --replace '{args.urn}'`."
        )


def command_answer(limits: Mapping[str, str]) -> Callable[[pulumi.ErrorHookArgs], bool]:
    """Return the hook for the commands of nodes that limit where SSH may come from."""
    return lambda args: command_failed(args, limits)


def canary_answer(
    canary: str, limits: Mapping[str, str] = NO_LIMITS
) -> Callable[[pulumi.ErrorHookArgs], bool]:
    """Return the hook for the commands of the canary: as for any node, and a word when it is given up."""

    def answer(args: pulumi.ErrorHookArgs) -> bool:
        if command_failed(args, limits):
            return True
        pulumi.log.error(
            f"{canary} is the canary (mesh.rollout.canary) and {args.name} failed there: the change goes no "
            f"further, the files of all other nodes stay as they are. Correct what the error says and run up "
            f"again. If {canary} itself is broken, name another canary (or none) in the stack file, or take "
            f"{canary} out with `enabled: false`, and run up again."
        )
        return False

    return answer


_SERVER: Final = "hcloud:index/server:Server"
# The first is the API's, the second what its client libraries expect.
_GROUP_FULL: Final = re.compile(r"placement_group_member_limit_reached|placement_error")
_PLACEMENT_GROUP: Final = "hcloud:index/placementGroup:PlacementGroup"
_CLOUD_COMMANDS = {
    _SERVER: "server",
    "hcloud:index/primaryIp:PrimaryIp": "primary-ip",
    "hcloud:index/sshKey:SshKey": "ssh-key",
    "hcloud:index/firewall:Firewall": "firewall",
    _PLACEMENT_GROUP: "placement-group",
}


def cloud_answer(previous: Previous) -> Callable[[pulumi.ErrorHookArgs], bool]:
    """Return the hook for what the cloud refuses: it explains, and never retries.

    One name that is taken is what a stopped run leaves behind; many are a state that is not the cloud's, to
    which no advice to delete is the answer.
    """
    taken: set[str] = set()
    access, stack = CloudAccess.configured(), pulumi.get_stack()

    def answer(args: pulumi.ErrorHookArgs) -> bool:
        if "uniqueness_error" in args.errors[0]:
            taken.add(args.name)
            if len(taken) > 1 or not previous.resources:
                pulumi.log.error(_STATE_DIFFERS.format(name=_name(args), kind=_kind(args)))
                return False
        if args.type == _PLACEMENT_GROUP and "resource_in_use" in args.errors[0]:
            unknown = _unknown_servers(access, stack, previous)
            if unknown:
                pulumi.log.error(_UNKNOWN_IN_GROUP.format(group=args.name, server=unknown[0]))
                return False
        return cloud_failed(args)

    return answer


def _unknown_servers(access: CloudAccess, stack: str, previous: Previous) -> list[str]:
    """Return the names of the stack's servers in the cloud of which the state had nothing."""
    known = {str(node.server.get("name")) for node in previous.nodes.values()}
    try:
        return [name for name in servers_of_stack(access, stack) if name not in known]
    except CatalogError:
        return []


_UNKNOWN_IN_GROUP: Final = (
    "{group}: the server {server} is in this placement group, and this stack's state does not know it: most "
    "likely a run was stopped while it was being made. If nothing else uses it, remove it with `hcloud "
    "server delete {server}`, then run the same again."
)


_STATE_DIFFERS: Final = (
    "{name}: the cloud already has a {kind} of this name, and this state does not. When several names are "
    "taken, the state is lost, older than the cloud, or another one. Delete nothing. See where it is kept "
    "(`pulumi whoami --verbose`, `pulumi stack ls`), or bring back a copy with `pulumi stack import --file "
    "FILE`. Only if a run was killed while these were made is it otherwise: docs/recovering.md, A run was "
    "stopped."
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
            f"likely a run was stopped while it was being made, and nothing depends on it yet. If nothing "
            f"else uses it, remove it with `hcloud {kind} delete {name}` and run up again."
        )
    elif args.type == _SERVER and args.failed_operation == "update":
        node = args.name.removesuffix("-server")
        pulumi.log.error(
            f"{node}: its server could not be changed, and may have been switched off for the change. "
            f"Correct what the error says, or take the change back, and run up again: that starts the server "
            f"if it is off."
        )
    elif args.type == _PLACEMENT_GROUP and "resource_in_use" in args.errors[0]:
        pulumi.log.error(
            f"{args.name}: a server is in this placement group, in which it was made, and its node has an "
            f"address of another ten by now. Give the node an address of the former ten again, or have its "
            f"server made anew; what is on it is lost: `pulumi up --replace <urn of NODE-server>`."
        )
    elif args.type == _SERVER and _GROUP_FULL.search(args.errors[0]):
        pulumi.log.error(
            f"{_name(args)}: its placement group has all the servers it may have, because nodes that had an "
            f"address of this ten once are in it still. Give the node an address of another ten, one that "
            f"has fewer nodes, and run up again."
        )
    elif args.type == _SERVER and "resource_unavailable" in args.errors[0]:
        pulumi.log.error(
            f"{_name(args)}: the cloud has no room for a server of this type there at the moment. Run up "
            f"again later, or give the node another type or location."
        )
    return False
