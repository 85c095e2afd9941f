"""Where everything lies on a node."""

from __future__ import annotations

from pathlib import Path

from .records import dataclass

__all__ = ["TABLE", "Places"]

TABLE = "wgmesh"
"""The nftables table, of family inet."""


@dataclass(frozen=True)
class Places:
    """Every path, under `root` (the real one on a node, a folder in tests)."""

    root: Path = Path("/")

    def at(self, path: str) -> Path:
        """Return an absolute path of a node under `root`."""
        return self.root / path.lstrip("/")

    @property
    def stopper(self) -> Path:
        """The command that ends a shell which reads a document."""
        return self.root / "usr/local/bin/wgmesh-files"

    @property
    def library(self) -> Path:
        """The folder of the agent."""
        return self.root / "usr/local/lib/wgmesh"

    @property
    def agent(self) -> Path:
        """The installed zipapp."""
        return self.library / "wgmesh.pyz"

    @property
    def incoming(self) -> Path:
        """A zipapp that was copied here and has not installed itself yet."""
        return self.library / "incoming.pyz"

    @property
    def agent_digest(self) -> Path:
        """SHA-256, hex, of the zipapp as it was sent and as it is installed."""
        return self.library / "wgmesh.sha256"

    @property
    def rescue(self) -> Path:
        """The ruleset that is loaded when the committed one cannot be."""
        return self.library / "rescue.nft"

    @property
    def state(self) -> Path:
        """What survives a reboot."""
        return self.root / "var/lib/wgmesh"

    @property
    def keys(self) -> Path:
        """The key store."""
        return self.state / "keys"

    @property
    def generations(self) -> Path:
        """One folder per staged document, named by its digest."""
        return self.state / "generations"

    @property
    def current(self) -> Path:
        """The symlink whose renaming is the commit."""
        return self.state / "current"

    @property
    def previous(self) -> Path:
        """The symlink to the generation before `current`."""
        return self.state / "previous"

    @property
    def plan(self) -> Path:
        """Which keys give way to which; removed at the end of the rotation."""
        return self.current / "rotation.json"

    @property
    def plan_copy(self) -> Path:
        """A second copy of that plan, should the first one be damaged."""
        return self.state / "rotation-plan.json"

    @property
    def rotation(self) -> Path:
        """How far the rotation of keys is that is under way, or has just ended."""
        return self.state / "rotation.json"

    @property
    def settled(self) -> Path:
        """Which peers have new keys for sure, as the operator's side says during a rotation."""
        return self.state / "settled.json"

    @property
    def own_key(self) -> Path:
        """Which key the node made itself, by its fingerprint, and for which generation."""
        return self.state / "own-key.json"

    @property
    def went_back(self) -> Path:
        """Which generation was damaged and gave way to the one before; gone with the next commit."""
        return self.state / "went-back.json"

    @property
    def volatile(self) -> Path:
        """What a reboot forgets."""
        return self.root / "run/wgmesh"

    @property
    def lock(self) -> Path:
        """Held by whoever changes anything."""
        return self.volatile / "lock"

    @property
    def trial(self) -> Path:
        """The trial under way, if there is one."""
        return self.volatile / "trial.json"

    @property
    def undo(self) -> Path:
        """What the running system was before the trial; names keys, and holds none."""
        return self.volatile / "undo.json"

    @property
    def way_back(self) -> Path:
        """What undoes the trial without the agent's file: a copy of it, and plain commands."""
        return self.volatile / "back"

    @property
    def way_back_script(self) -> Path:
        """The plain commands, which need no Python."""
        return self.way_back / "way-back.sh"

    @property
    def outcome(self) -> Path:
        """How the last rolled back trial ended."""
        return self.volatile / "outcome.json"

    @property
    def remarks(self) -> Path:
        """What other owners' rules stop, as the last trial of packets found it."""
        return self.volatile / "remarks.json"

    @property
    def expected(self) -> Path:
        """What nft lists once the last staged firewall is loaded."""
        return self.volatile / "expected.json"

    @property
    def listed(self) -> Path:
        """What nft listed last of our table, and after which change of the ruleset."""
        return self.volatile / "listed.json"

    @property
    def pairs(self) -> Path:
        """What each peer is waited for during a rotation."""
        return self.volatile / "pairs.json"

    @property
    def options(self) -> Path:
        """The operator's settings of the agent on this node; need not exist."""
        return self.root / "etc/wgmesh/agent.json"

    @property
    def units(self) -> Path:
        """The administrator's systemd units."""
        return self.root / "etc/systemd/system"

    @property
    def lent_units(self) -> Path:
        """Units that a reboot forgets."""
        return self.root / "run/systemd/system"

    @property
    def ssh(self) -> Path:
        """The SSH server's folder."""
        return self.root / "etc/ssh"

    @property
    def ssh_port_conf(self) -> Path:
        """The drop-in with sshd's ports; cloud-init writes it where another is set from the start."""
        return self.ssh / "sshd_config.d/10-wgmesh-port.conf"

    @property
    def sysctls(self) -> Path:
        """The kernel's live settings."""
        return self.root / "proc/sys"
