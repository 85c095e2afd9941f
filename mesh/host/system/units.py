"""The systemd units of the agent, and the drop-ins for wg-quick@wg0 and nftables."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["BOOT_UNIT", "FIREWALL_UNIT", "GUARD_UNIT", "NEXT_UNIT", "ROTATION_UNIT", "unit_files"]

FIREWALL_UNIT = "wgmesh-firewall.service"
BOOT_UNIT = "wgmesh-boot.service"
GUARD_UNIT = "wgmesh-guard.service"
ROTATION_UNIT = "wgmesh-rotation.service"
NEXT_UNIT = "wgmesh-next.service"
_NFTABLES_UNIT = "nftables.service"

_FIREWALL = """\
[Unit]
Description=wireguard-mesh firewall
Documentation=file:/etc/wgmesh/firewall.nft
DefaultDependencies=no
RequiresMountsFor=/var/lib/wgmesh
After=local-fs.target nftables.service
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
# The network waits for this unit: where our file does not load, for the rescue ruleset.
ExecStart=/bin/sh -c '{nft} -f {current}/firewall.nft || {{ {nft} -f {rescue}; exit 1; }}'

[Install]
WantedBy=sysinit.target
"""

_BOOT = """\
[Unit]
Description=wireguard-mesh: bring /etc in line with the committed generation
RequiresMountsFor=/var/lib/wgmesh /usr/local/lib/wgmesh
After=local-fs.target systemd-sysctl.service wgmesh-firewall.service
# What writes /etc/hosts at boot: its former name, and that since cloud-init 24.3.
After=cloud-init.service cloud-init-network.service
Before={wg_unit}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={agent} boot
TimeoutStartSec=60

[Install]
WantedBy=multi-user.target
"""

_WG_QUICK = """\
# The interface is made and changed by the agent, which never takes its keys or peers away: the reload
# that comes with the unit does, when the file is missing, and says it went well.
[Unit]
RequiresMountsFor=/var/lib/wgmesh /usr/local/lib/wgmesh

[Service]
ExecStart=
ExecStart={agent} link-up
ExecStop=
ExecStop={agent} link-down
ExecReload=
ExecReload={agent} link-reload
TimeoutStartSec=60
TimeoutStopSec=15
"""

_GUARD = """\
[Unit]
Description=wireguard-mesh: bring the firewall table back when somebody takes it away
DefaultDependencies=no
RequiresMountsFor=/var/lib/wgmesh /usr/local/lib/wgmesh
After={firewall_unit}
IgnoreOnIsolate=yes
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={agent} guard
Restart=always
RestartSec=1
WatchdogSec=60
WatchdogSignal=SIGKILL
OOMScoreAdjust=-900

[Install]
WantedBy=sysinit.target
"""

_ROTATION = """\
[Unit]
Description=wireguard-mesh: move traffic to the new keys
RequiresMountsFor=/var/lib/wgmesh /usr/local/lib/wgmesh
After={wg_unit} {boot_unit}
ConditionPathExists=|{current}/rotation.json
ConditionPathExists=|{rotation}
IgnoreOnIsolate=yes
StartLimitIntervalSec=0

[Service]
ExecStart={agent} rotate
Restart=on-failure
RestartSec=300ms

[Install]
WantedBy=multi-user.target
"""

# The interface has a unit of its own, so that its userspace WireGuard outlives whoever moves the traffic.
_NEXT = """\
[Unit]
Description=wireguard-mesh: the interface with the new keys, while keys rotate
RequiresMountsFor=/var/lib/wgmesh /usr/local/lib/wgmesh
IgnoreOnIsolate=yes

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={agent} next-up
ExecStop={agent} next-down
TimeoutStartSec=60
TimeoutStopSec=15
"""

_NFTABLES = """\
# Debian's /etc/nftables.conf begins with `flush ruleset`, and a stop flushes, too: our table comes back in
# the same step. Where the agent's file is missing, the committed table does.
[Service]
ExecStartPost=-/bin/sh -c '{agent} table-up || {nft} -f {current}/firewall.nft'
ExecReload=-/bin/sh -c '{agent} table-up || {nft} -f {current}/firewall.nft'
ExecStopPost=-/bin/sh -c '{agent} table-up || {nft} -f {current}/firewall.nft'
"""


def unit_files(places: Places, tunnel: Tunnel, *, python: str, nft: str) -> dict[str, str]:
    """Return the files by their path under systemd's folder; `python` and `nft` are absolute paths."""
    names = {
        "agent": f"{python} -IS {places.agent}",
        "boot_unit": BOOT_UNIT,
        "current": str(places.current),
        "firewall_unit": FIREWALL_UNIT,
        "nft": nft,
        "rescue": str(places.rescue),
        "rotation": str(places.rotation),
        "wg_unit": tunnel.unit,
    }
    return {
        FIREWALL_UNIT: _FIREWALL.format(**names),
        BOOT_UNIT: _BOOT.format(**names),
        GUARD_UNIT: _GUARD.format(**names),
        ROTATION_UNIT: _ROTATION.format(**names),
        NEXT_UNIT: _NEXT.format(**names),
        f"{tunnel.unit}.d/10-wgmesh.conf": _WG_QUICK.format(**names),
        f"{_NFTABLES_UNIT}.d/10-wgmesh.conf": _NFTABLES.format(**names),
    }
