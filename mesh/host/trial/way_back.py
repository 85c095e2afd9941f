"""The way back without the agent: a copy of it, and plain commands, recorded when a trial is armed.

At the deadline the agent's file may be gone, cut or another one, and Python with it. So the timers run a
shell script in memory-backed storage, which has the copy do it, and does it itself where the copy cannot.
"""

from __future__ import annotations

import json
import shlex

from ..answers import AgentError, Answer
from ..live.device import (
    Device,
    Link,
    Peer,
    Secret,
    link_commands,
    network_commands,
    wanted_link,
    wg_commands,
)
from ..live.sysctl import forwarding_first, sysctl_path
from ..records import replace
from ..rotation.stored import wanted_of
from ..system.run import boot_id, write_file
from ..system.systemd import agent_command
from ..system.unitfiles import lent_paths
from .undo import Snapshot, snapshot_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Optional

    from ..files.generation import Generation
    from ..live.device import Argument
    from ..places import Places
    from ..tunnel import Tunnel
    from .record import Trial

__all__ = ["plain_commands", "record_way_back", "way_back_agent", "way_back_command"]

_FIREWALL = "firewall.nft"
_REASON = "no new connection confirmed the trial in time; without the agent, plain commands undid the trial"

_BODY = r"""
# Nobody is waited for longer than this, not even by a process that cannot be killed. A tool that hangs or is
# missing means that it all has to be tried again.
quick() {
    timeout -s KILL 5 "$@" </dev/null >/dev/null 2>&1 9>&-
    rc=$?
    case $rc in 126 | 127 | 137) worked=no ;; esac
    return $rc
}
now() { read -r up _ </proc/uptime; echo "${up%%.*}"; }
# A record that names no trial at all is damaged, and taken for this one.
pending() {
    [ -e "$record" ] || return 1
    grep -qs "$txn" "$record" || ! grep -qsE '"txn": "[0-9a-f]{16}"' "$record"
}
committed() { [ "$repair" = no ] && [ "$(readlink "$current")" = "generations/$digest" ]; }
reload_sshd() { quick systemctl reload --no-block ssh || quick systemctl reload --no-block sshd; }
put() { printf '%s\n' "$1" >"$2"; } 2>/dev/null

# A userspace WireGuard that is stopped: `wg` would wait for it for ever.
kill_stopped_daemon() {
    found=1
    for process in /proc/[0-9]*; do
        { read -r _ name state _ <"$process/stat"; } 2>/dev/null || continue
        [ "$name" = "(wireguard-go)" ] && [ "$state" = T ] || continue
        [ "$(readlink "$process/ns/net")" = "$(readlink /proc/self/ns/net)" ] || continue
        kill -KILL "${process#/proc/}" && found=0
    done
    return $found
}

by_agent() {
    "$python" -IS "$here/wgmesh.pyz" expire "$txn" </dev/null >/dev/null 2>&1 &
    agent=$! rounds=0
    while [ $rounds -lt 300 ]; do
        { read -r _ _ state _ <"/proc/$agent/stat"; } 2>/dev/null || return 0
        [ "$state" != Z ] || return 0
        # What it does first it has said by now: it may hang before it has begun.
        [ $rounds -lt 125 ] || grep -qs rolling-back "$record" || break
        sleep 0.2
        rounds=$((rounds + 1))
    done
    kill -KILL "$agent"
}

take_lock() {
    command exec 9>>"$lock" || return 0
    flock -w 5 9 && return 0
    quick systemctl kill --signal=SIGKILL --kill-who=all "$trial_unit.scope" "$trial_unit.service"
    read -r holder _ <"$lock"
    grep -qs wgmesh "/proc/$holder/cmdline" && kill -KILL "$holder"
    flock -w 5 9 || true
}

by_plain_commands() {
    take_lock
    pending && ! committed || return 0
    quick sed -i 's/"phase": "[a-z-]*"/"phase": "rolling-back"/' "$record"
    undo || return 0
    mv "$here/outcome.json" "$outcome"
    rm -rf "$record" "$record_before" "$here"
    quick systemctl stop --no-block "$timer" "$second_timer"
    rm -f "$units"/wgmesh-*-"$txn".*
    quick logger -t wgmesh "trial $txn is rolled back by plain commands: its agent could not"
}

once() {
    by_agent
    ! pending || by_plain_commands
}

# The timers say nothing, the agent `plain`: it holds the lock, and sees to the rest.
main() {
    case "${1-}" in
        plain) undo; return ;;
        "") once; return ;;
    esac
    while pending && [ "$(now)" -lt $((deadline + 20)) ]; do sleep 1; done
    while pending && [ "$(now)" -lt $((deadline + 120)) ]; do
        once
        sleep 5
    done
}

main "$@"
exit $?
"""


def way_back_agent(places: Places) -> Path:
    """Return the copy of the agent that a trial and its rollback run from."""
    return places.way_back / "wgmesh.pyz"


def way_back_command(places: Places) -> list[str]:
    """Return what the rollback timers run."""
    return ["/bin/sh", str(places.way_back_script)]


def record_way_back(
    places: Places, tunnel: Tunnel, trial: Trial, generation: Generation, snapshot: Snapshot, archive: Path
) -> None:
    """Put the copy of `archive`, the agent's file, and the commands there. Raises `AgentError`, `OSError`."""
    folder = places.way_back
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        copy = archive.read_bytes()
    except OSError:
        raise AgentError(Answer.FAILED, f"{archive} is not the agent's file") from None
    commands = plain_commands(places, tunnel, generation, snapshot)
    write_file(way_back_agent(places), copy, 0o600)
    write_file(folder / _FIREWALL, snapshot.firewall.encode(), 0o600)
    write_file(folder / places.undo.name, snapshot_json(snapshot), 0o600)
    write_file(folder / places.outcome.name, _outcome(trial), 0o600)
    write_file(places.way_back_script, _script(places, trial, commands).encode(), 0o600)


def _outcome(trial: Trial) -> bytes:
    value = {"txn": trial.txn, "digest": trial.digest, "reason": _REASON, "at": trial.deadline}
    return json.dumps({**value, "boot": boot_id(), "reported": False}).encode()


def _script(places: Places, trial: Trial, commands: Sequence[str]) -> str:
    names = {
        "here": places.way_back,
        "python": agent_command(places.agent)[0],
        "txn": trial.txn,
        "trial_unit": trial.unit,
        "timer": f"{trial.timers[0]}.timer",
        "second_timer": f"{trial.timers[1]}.timer",
        "digest": trial.digest,
        "repair": "yes" if trial.repair else "no",
        "deadline": int(trial.deadline),
        "units": places.lent_units,
        "record": places.trial,
        "record_before": places.undo,
        "outcome": places.outcome,
        "current": places.current,
        "lock": places.lock,
    }
    head = [f"{name}={shlex.quote(str(value))}" for name, value in names.items()]
    undo = [
        "undo() {",
        "    worked=yes",
        *(f"    {line}" for line in commands),
        '    [ "$worked" = yes ]',
        "}",
    ]
    return "\n".join(["#!/bin/sh", *head, "", *undo]) + _BODY


def plain_commands(places: Places, tunnel: Tunnel, generation: Generation, snapshot: Snapshot) -> list[str]:
    """Return the lines of shell that bring the running system back, whatever of the trial was done.

    The firewall comes first: it alone can lock people out. `wg` reads keys from the key store.
    """
    lines = [f'quick nft -f "$here/{_FIREWALL}" || worked=no']
    if snapshot.interface is None:
        lent = " ".join(shlex.quote(str(path)) for path in lent_paths(places, tunnel))
        lines.append(f"quick systemctl stop --no-block {tunnel.unit}")
        lines.append(f"quick ip link delete dev {tunnel.interface}")
        lines.append(f"rm -f {lent} && quick systemctl daemon-reload")
    else:
        lines += _interface(places, tunnel, generation, *snapshot.interface)
    return [*lines, *_settings(places.sysctls, snapshot.sysctls), *_ssh_ports(places, snapshot.ssh_ports)]


def _interface(
    places: Places, tunnel: Tunnel, generation: Generation, device: Device, link: Link
) -> Iterator[str]:
    there = f"[ -e /sys/class/net/{tunnel.interface} ]"
    made = f"quick ip link add dev {tunnel.interface} type wireguard || quick wireguard-go {tunnel.interface}"
    whole = wg_commands(tunnel, _unlike(wanted_of(places, generation).device, device), device)
    settings = " && ".join([f"{{ {there} || {made}; }}", *(_line(places, command) for command in whole)])
    yield f"device() {{ {settings}; }}"
    anew = (
        f"kill_stopped_daemon && {{ quick ip link delete dev {tunnel.interface}; worked=$before; device; }}"
    )
    yield "before=$worked"
    yield f"device || {{ {anew}; }} || worked=no"
    tried = wanted_link(generation.file)
    elsewhere = Link(tried.addresses - link.addresses, 0, not link.up, tried.routes - link.routes)
    without = replace(link, networks=frozenset())
    for command in (*link_commands(tunnel, elsewhere, link), *network_commands(tunnel, without, link)):
        yield _line(places, command)


def _unlike(trial: Device, recorded: Device) -> Device:
    """Return a device that differs from the recorded one in everything, with the peers of both."""
    peers = {
        public: Peer(
            preshared_key=None if peer.preshared_key else "another",
            endpoint=None,
            allowed_ips=frozenset(["another"]),
            keepalive=-1,
        )
        for public, peer in {**trial.peers, **recorded.peers}.items()
    }
    return Device(None if recorded.private_key else "another", -1, -1, peers)


def _line(places: Places, command: Sequence[Argument]) -> str:
    words = (
        str(places.keys / argument.value) if isinstance(argument, Secret) else argument
        for argument in command
    )
    return shlex.join(["quick", *words])


def _ssh_ports(places: Places, text: Optional[str]) -> Iterator[str]:
    """A port that sshd listens on in vain does no harm, so this counts for nothing."""
    path = shlex.quote(str(places.ssh_port_conf))
    if text is None:
        yield f"[ ! -e {path} ] || {{ rm {path} && reload_sshd; }}"
    else:
        quoted = shlex.quote(text.rstrip("\n"))
        yield f'[ "$(cat {path})" = {quoted} ] || {{ put {quoted} {path} && reload_sshd; }}'


def _settings(root: Path, values: Mapping[str, str]) -> Iterator[str]:
    for key in forwarding_first(values):
        yield f"put {shlex.quote(values[key])} {shlex.quote(str(sysctl_path(root, key)))}"
