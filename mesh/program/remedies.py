"""What a user can do about a command that failed for good, in words that name the node."""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

import pulumi

from mesh.advice import (
    AGENT_GONE,
    AGENT_GONE_SAYS,
    AGENT_OTHER,
    HOST_KEY_CHANGED,
    KEYS_MISSING,
    OWN_KEY_LOST,
    PRIVATE_KEY_SAYS,
)
from mesh.names import AGENT_FILE, BOOTSTRAP, COMMAND, COPY, KEYS, LEAVE, node_and_step
from mesh.program.machines.base import NO_ANSWER, NO_ROOT, Machine
from mesh.said import ends, shown

__all__ = ["NO_LIMITS", "NO_MACHINES", "remedy"]

NO_LIMITS: Final[Mapping[str, str]] = MappingProxyType({})
NO_MACHINES: Final[Mapping[str, Machine]] = MappingProxyType({})
_CONSOLE: Final = "sshd -T -C user=root | grep -iE 'root|allow|deny|authorizedkeysfile|authentication'"

# What the command provider (its SSH library) and the agent say -> what helps. What loses a disk comes last.
_REMEDIES: Final = {
    r"dial unix .{1,200}: connect: ": """
        the SSH agent that SSH_AUTH_SOCK names on this machine is gone (its session ended, as in tmux). The
        command provider connects to this agent whenever the variable is set, although no key of the agent
        is needed. Nothing was sent. `unset SSH_AUTH_SOCK`, then run up again.""",
    r"packet too long|Max packet size exceeded|error receiving version packet": """
        a start file of root's shell there (/root/.bashrc, /etc/bash.bashrc) prints something, and this
        breaks file transfers over SSH. Print on terminals only (`[ -t 1 ] && echo ...`), then run up
        again. If the server is new, the image may not let root work over SSH: choose an image that does.""",
    r"connection refused": """
        the server answers, but nothing listens for SSH on port {port}. Look in the provider's console: `ss
        -ltn`. If sshd listens on another port, make sshd listen on {port}, too (mesh.ssh.port). If sshd
        does not run, start it (`systemctl status ssh` says why). Then run up again.""",
    NO_ANSWER: """
        no answer on its SSH port {port}: the server is off or hangs, sshd listens on another port
        (mesh.ssh.port), or a firewall of the provider or of the host drops SSH from here. Correct that,
        then run up again. With `--continue-on-error` the other nodes do not wait for this node (unless it
        is the canary), and with `enabled: false` `up` leaves the node alone until you enable it again.""",
    r"host key mismatch": HOST_KEY_CHANGED,
    r"no common algorithm for host key|No matching host key": """
        sshd does not offer the kind of host key that this stack installed. In the provider's console, `sshd
        -T | grep -i hostkey` shows the keys on offer: HostKey must name /etc/ssh/ssh_host_ed25519_key (at
        first contact ssh_host_ecdsa_key), and HostKeyAlgorithms must allow this key. Correct sshd's
        settings, then run up again.""",
    NO_ROOT: """
        the image does not let root work over SSH, but everything on a node is done as root. Choose an image
        that does, and rebuild the server (this erases its disk): `pulumi up --replace '{server}'`.""",
    r"unable to authenticate": f"""
        sshd does not let root in with this stack's SSH key. Look in the provider's console:
        `{_CONSOLE}`. PermitRootLogin must not be `no`; AllowUsers, DenyUsers, AllowGroups and DenyGroups must
        let root in; AuthorizedKeysFile must name .ssh/authorized_keys. If all that is right, put the key's
        line back into /root/.ssh/authorized_keys (only root may write there). Then run up again. This loses
        nothing. A new server would have the key, too, but replacing the server erases its disk: `pulumi up
        --replace '{{server}}'`.""",
    r"exited with status 97\b|^STOPPED ": """
        a start file of root's shell (such as /root/.bashrc) replaces the shell (`exec`), and the new shell
        reads the command's input. Nothing was changed. Limit this to interactive shells (`case $- in *i*)
        exec ...;; esac`), then run up again.""",
    r"^bootstrap: (?P<said>.+)": "{said}",
    r"^KEYS-MISSING": KEYS_MISSING,
    re.escape(AGENT_GONE_SAYS): AGENT_GONE,
    r"^REFUSED .*: (?:copy the file|install the agent) again$|^USAGE$": AGENT_OTHER,
    r"status 137\b": """
        the command took too long and was killed on the node: a disk, systemd or a tool of the host hangs.
        The node undoes what had begun, or the next run finishes it. Look at the host (`uptime`, `dmesg`,
        `systemctl list-jobs`, `journalctl -t wgmesh`), then run up again.""",
    r"^ROLLED-BACK": """
        the node tried the change and undid it; the node is as before. Correct what the error says, then run
        up again.""",
}
# How SSH libraries say that the far end does not speak SFTP.
_NO_SFTP: Final = re.compile(
    r"packet too long|unexpected packet|version packet|Max packet size|failed to copy|subsystem|\bEOF\b|"
    r"connection lost",
    re.IGNORECASE,
)
_SFTP: Final = """
    cannot copy the agent's file: the node does not answer in SFTP. Most likely a start file of root's
    shell (/root/.bashrc, or a file that it reads) prints something or ends the shell. Limit this to
    interactive shells (put `case $- in *i*) ;; *) return ;; esac` before it). Otherwise look at
    `Subsystem sftp` in sshd's settings. If the server is new, the image may not let root work over SSH.
    Then run up again."""
_LEAVE: Final = """
    the server still has what the mesh put there, or a part of that. Correct what the error says, and do the
    same again. If the server is dead, `pulumi state delete '{urn}'` before that: then nothing runs on the
    server."""
# As much as is shown of what a node said.
_SAID: Final = 800
_PORT: Final = re.compile(r":(\d+): (?:connect|i/o timeout)")


_SILENT: Final = re.compile(r"i/o timeout")
_LIMITED: Final = (
    " Or the node does not let this machine in: its committed files allow SSH only from {sources} "
    "(mesh.ssh.from). If you cannot connect from one of these networks, see docs/recovering.md, `ssh.from` "
    "shuts you out."
)


def remedy(
    args: pulumi.ErrorHookArgs,
    limits: Mapping[str, str] = NO_LIMITS,
    machines: Mapping[str, Machine] = NO_MACHINES,
    makers: Collection[str] = (),
) -> str | None:
    """Return `NODE: what helps` for the newest error of a command; None when the error says it all.

    By node, with its mesh's name before it: `limits` has the networks that alone are let in by SSH, where
    there are such, `machines` what a provider knows better; `makers` are nodes that make their keys.
    """
    (node, step), said = node_and_step(args.name), ends(args.errors[0])
    if step == LEAVE:
        return f"{node}: {' '.join(_LEAVE.split()).format(urn=args.urn)}"
    machine = machines.get(node)
    lost = {rf"^KEYS-MISSING .*{re.escape(PRIVATE_KEY_SAYS)}": OWN_KEY_LOST} if node in makers else {}
    known = {**lost, **_REMEDIES, **(machine.remedies if machine else {})}
    for pattern, text in known.items():
        found = re.search(pattern, said, re.MULTILINE)
        if found:
            parent = args.urn.removesuffix(f"{args.type}::{args.name}")
            port = _PORT.search(said)
            words = {
                "server": _anew(parent, node, machine),
                "keys": f"{parent}{COMMAND}::{node}-{KEYS}",
                "name": node.rpartition(".")[2],
                "agent_file": f"{parent}{COPY}::{node}-{AGENT_FILE}",
                "port": port[1] if port else "22",
                **{name: shown(value or "", limit=_SAID) for name, value in found.groupdict().items()},
            }
            helps = f"{node}: {' '.join(text.split()).format(**words)}"
            if _SILENT.search(said) and node in limits:
                helps += _LIMITED.format(sources=limits[node])
            return helps
    if step == AGENT_FILE and _NO_SFTP.search(said):
        return f"{node}: {' '.join(_SFTP.split())}"
    return None


def _anew(parent: str, node: str, machine: Machine | None) -> str:
    """Return the URN of what is replaced to have a node done anew: its machine, or all that is done there."""
    made = machine.resource if machine else None
    if made is None:
        return f"{parent}{COMMAND}::{node}-{BOOTSTRAP}"
    return f"{parent}{made.pulumi_resource_type}::{made.pulumi_resource_name}"
