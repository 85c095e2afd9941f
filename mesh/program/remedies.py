"""What a user can do about a command that failed for good, in words that name the node."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import pulumi

from mesh.advice import AGENT_GONE, AGENT_GONE_SAYS, HOST_KEY_CHANGED, KEYS_MISSING
from mesh.said import ends

__all__ = ["NO_LIMITS", "remedy"]

NO_LIMITS: Final[Mapping[str, str]] = MappingProxyType({})
_STEP: Final = re.compile(r"-(bootstrap|agent-file|agent|keys|apply)$")

# What the command provider (its SSH library) and the agent say -> what helps.
_REMEDIES: Final = {
    r"dial unix .{1,200}: connect: ": """
        the SSH agent that SSH_AUTH_SOCK names on this machine is gone (its session ended, as in tmux), and
        the command provider wants to see it whenever the variable is set, though it needs no key of it.
        Nothing was sent. `unset SSH_AUTH_SOCK`, then run up again.""",
    r"packet too long|Max packet size exceeded|error receiving version packet": """
        a start file of root's shell there (.bashrc, /etc/bash.bashrc) prints something, which spoils the
        transfer of files over SSH. Have it print on terminals only (`[ -t 1 ] && echo ...`), then run up
        again.""",
    r"connection refused": """
        its server answers, but nothing listens for SSH. Start sshd there (over the provider's console), then
        run up again.""",
    r"i/o timeout|no route to host|network is unreachable": """
        no answer on its SSH port: its server is off or hangs, or something on the way drops SSH from here.
        If it is off, the next `up` starts it. Else see to it, then run up again. With `--continue-on-error`
        the other nodes do not wait for it, and `enabled: false` leaves it alone until it is back.""",
    r"host key mismatch": HOST_KEY_CHANGED,
    r"Please login as the user": """
        its image does not let root work over SSH, and everything on a node is done as root. Take an image
        that does, as Hetzner's do, and have the server made anew: `pulumi up --replace '{server}'`.""",
    r"unable to authenticate": """
        it does not accept this stack's SSH key for root. Put the key's line back into
        /root/.ssh/authorized_keys (over the provider's console), or have the server made anew:
        `pulumi up --replace '{server}'`.""",
    r"^KEYS-MISSING": KEYS_MISSING,
    re.escape(AGENT_GONE_SAYS): AGENT_GONE,
    r"status 137\b": """
        it took longer than it may, and was killed there: a disk, systemd or a tool of the host hangs. What it
        had begun is undone, or taken up by the next run. See to the host (`uptime`, `dmesg`,
        `systemctl list-jobs`, `journalctl -t wgmesh`), then run up again.""",
    r"^ROLLED-BACK": """
        the change was tried and undone, and the node is as it was before. Correct what it says, then run up
        again.""",
}


_SILENT: Final = re.compile(r"i/o timeout")
_LIMITED: Final = (
    " Or it does not let this machine in: what it has committed lets SSH in from {sources} alone "
    "(mesh.ssh.from). From another address, and without a way in from one of these, see docs/recovering.md, "
    "`ssh.from` shuts you out."
)


def remedy(args: pulumi.ErrorHookArgs, limits: Mapping[str, str] = NO_LIMITS) -> str | None:
    """Return `NODE: what helps` for the newest error of a command; None when the error says it all.

    `limits` has, for each node that limits where SSH may come from, the networks that it lets in.
    """
    node = _STEP.sub("", args.name)
    said = ends(args.errors[0])
    for pattern, text in _REMEDIES.items():
        if re.search(pattern, said, re.MULTILINE):
            parent = args.urn.removesuffix(f"{args.type}::{args.name}")
            urns = {
                "server": f"{parent}hcloud:index/server:Server::{node}-server",
                "keys": f"{parent}command:remote:Command::{node}-keys",
                "agent": f"{parent}command:remote:Command::{node}-agent",
                "agent_file": f"{parent}command:remote:CopyToRemote::{node}-agent-file",
            }
            helps = f"{node}: {' '.join(text.split()).format(**urns)}"
            if _SILENT.search(said) and node in limits:
                helps += _LIMITED.format(sources=limits[node])
            return helps
    return None
