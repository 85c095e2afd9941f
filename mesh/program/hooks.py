"""What the program answers when a step fails: dial again, or say what the user can do."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

import pulumi

from mesh.names import RECONNECT_STATUS, RECONNECT_TRIES, node_and_step
from mesh.program.machines.base import Machine
from mesh.program.remedies import NO_LIMITS, NO_MACHINES, remedy
from mesh.remote import has_run
from mesh.said import last_line

__all__ = [
    "CANARY",
    "COMMAND_FAILED",
    "COMMAND_RAN",
    "canary_answer",
    "command_answer",
    "command_failed",
    "command_ran",
    "wants_reconnect",
]

COMMAND_FAILED: Final = "wireguard-mesh-reconnect"
COMMAND_RAN: Final = "wireguard-mesh-ran"
CANARY: Final = "wireguard-mesh-canary"

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


def command_failed(
    args: pulumi.ErrorHookArgs,
    limits: Mapping[str, str] = NO_LIMITS,
    machines: Mapping[str, Machine] = NO_MACHINES,
    makers: Collection[str] = (),
) -> bool:
    """Have a command tried again where that helps; else say what its user can do.

    `limits`, `machines` and `makers` are what `remedy` takes.
    """
    if wants_reconnect(args):
        return True
    helps = remedy(args, limits, machines, makers)
    if helps is not None:
        pulumi.log.error(helps)
    return False


def command_ran(args: pulumi.ResourceHookArgs) -> None:
    """Refuse a command that ended well and did not say so: it was never run.

    A start file of root's shell that ends the shell (`exit`) does that. The engine has recorded it as done:
    the run must fail, and what helps must do it again. Raises `pulumi.RunError`.
    """
    said = (args.new_outputs or {}).get("stdout")
    node, step = node_and_step(args.name)
    if isinstance(said, str) and not has_run(step, said):
        raise pulumi.RunError(
            f"{node}: the {step} command did not run, although SSH reports success: a start file of root's "
            f"shell (such as /root/.bashrc) ends the shell (`exit`) or starts another shell. Limit this to "
            f"interactive shells (put `case $- in *i*) ;; *) return ;; esac` before it), then run `pulumi "
            f"up --replace '{args.urn}'`."
        )


def command_answer(
    limits: Mapping[str, str],
    machines: Mapping[str, Machine] = NO_MACHINES,
    makers: Collection[str] = (),
) -> Callable[[pulumi.ErrorHookArgs], bool]:
    """Return the hook for the commands of these nodes."""
    return lambda args: command_failed(args, limits, machines, makers)


def canary_answer(
    canary: str,
    limits: Mapping[str, str] = NO_LIMITS,
    machines: Mapping[str, Machine] = NO_MACHINES,
    makers: Collection[str] = (),
) -> Callable[[pulumi.ErrorHookArgs], bool]:
    """Return the hook for the commands of the canary: as for any node, and a word when it is given up."""

    def answer(args: pulumi.ErrorHookArgs) -> bool:
        if command_failed(args, limits, machines, makers):
            return True
        pulumi.log.error(
            f"{canary} is the canary (mesh.rollout.canary) and {args.name} failed there: the change stops "
            f"here, and the files of all other nodes stay as they are. Correct what the error says and run "
            f"up "
            f"again. If {canary} itself is broken, name another canary (or none) in the stack file, or take "
            f"{canary} out with `enabled: false`, and run up again."
        )
        return False

    return answer
