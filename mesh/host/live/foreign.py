"""The rest of the host's firewall: tables of other owners, taken along into a scratch namespace."""

from __future__ import annotations

import re
from pathlib import Path

from ..answers import AgentError
from ..places import TABLE
from ..records import dataclass
from ..system.ruleset import Chain, base_chains, tables
from ..system.run import attempt, find_tool, run
from ..tunnel import WG0

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Ruleset", "foreign_chains", "foreign_rulesets", "load", "may_drop", "owner"]

# What iptables-nft keeps its rules in (iptables, nft.c); `nft list` cannot print all of them for `nft -f`.
_XTABLES = {"ip": "iptables", "ip6": "ip6tables"}
_XTABLES_NAMES = ("filter", "nat", "mangle", "raw", "security")
# The older iptables, whose rules nftables does not show.
_LEGACY = {"ip": Path("/proc/net/ip_tables_names"), "ip6": Path("/proc/net/ip6_tables_names")}
# Chains and tables that give their owner away.
_OWNERS = (
    ("ufw", f"ufw: `ufw allow in on {WG0.interface}`, `ufw allow PORT`"),
    (
        "firewalld",
        (
            f"firewalld: `firewall-cmd --zone=trusted --add-interface={WG0.interface}`, "
            "`firewall-cmd --add-port=PORT`"
        ),
    ),
    ("f2b", "fail2ban: `fail2ban-client unban ADDRESS`"),
    ("fail2ban", "fail2ban: `fail2ban-client unban ADDRESS`"),
    ("docker", "Docker"),
    ("netavark", "Podman"),
    ("kube", "Kubernetes"),
)


@dataclass(frozen=True)
class Ruleset:
    """Rules of another owner: what they are called, the tool that loads them, what it reads."""

    name: str
    loader: Sequence[str]
    text: str

    @property
    def untraced(self) -> bool:
        """Whether nftables tells nothing of packets that these rules drop."""
        return self.name.endswith("-legacy") or self.name.startswith(("table netdev ", "table bridge "))


def foreign_chains() -> list[Chain]:
    """Return the base chains of all tables but ours that see packets which come in or are passed on."""
    try:
        chains = base_chains()
    except AgentError:
        return []
    return [chain for chain in chains if not chain.egress and (chain.family, chain.table) != ("inet", TABLE)]


def may_drop() -> bool:
    """Tell whether anybody else's rules see packets on this host: if not, only ours can drop any."""
    return bool(foreign_chains()) or any(_legacy_tables(family) for family in _LEGACY)


def _legacy_tables(family: str) -> str:
    try:
        return _LEGACY[family].read_text().strip()
    except OSError:
        return ""


def foreign_rulesets() -> list[Ruleset]:
    """Return all rules of the host but ours: sets of addresses first, then tables as nftables has them."""
    found = _address_sets()
    saved = {family: _saved(f"{tool}-nft") for family, tool in _XTABLES.items()}
    for family, table in _tables():
        name = f"table {family} {table}"
        if table in _XTABLES_NAMES and f"*{table}\n" in saved.get(family, ""):
            loader = [f"{_XTABLES[family]}-nft-restore"]
            found.append(Ruleset(name, loader, _part(saved[family], table)))
        else:
            listed = attempt(["nft", "-s", "list", "table", family, table]) or ""
            found.append(Ruleset(name, ["nft", "-f", "-"], listed))
    for family, tool in _XTABLES.items():
        if _legacy_tables(family):
            loader = [f"{tool}-legacy-restore", "-w", "2"]
            found.append(Ruleset(f"{tool}-legacy", loader, _saved(f"{tool}-legacy")))
    return found


def _tables() -> list[tuple[str, str]]:
    try:
        return [name for name in tables() if name != ("inet", TABLE)]
    except AgentError:
        return []


def _saved(tool: str) -> str:
    return (attempt([f"{tool}-save"]) or "") if find_tool(f"{tool}-save") else ""


def _part(saved: str, table: str) -> str:
    """Return one table of what iptables-save printed. Pure."""
    found = re.search(rf"(?ms)^\*{table}$.*?^COMMIT$", saved)
    return f"{found[0]}\n" if found else ""


def _address_sets() -> list[Ruleset]:
    saved = (attempt(["ipset", "save"]) or "") if find_tool("ipset") else ""
    return [Ruleset("ipset", ["ipset", "restore"], saved)] if saved else []


def load(rulesets: Iterable[Ruleset]) -> list[tuple[str, str]]:
    """Load rules where this process is; returns the names of those that do not load here, and why."""
    untried = []
    for ruleset in rulesets:
        trouble = _load(ruleset)
        if trouble:
            untried.append((ruleset.name, trouble))
    return untried


def _load(ruleset: Ruleset) -> str:
    try:
        run(ruleset.loader, stdin=ruleset.text)
    except AgentError as error:
        return error.reason
    return ""


def owner(family: str, table: str) -> str:
    """Name the program whose table this most likely is, by its chains, and what makes room there.

    Empty if unknown.
    """
    listed = attempt(["nft", "list", "table", family, table]) or ""
    names = [table, *re.findall(r"(?m)^\tchain (\S+) ", listed)]
    for sign, words in _OWNERS:
        if any(name.lower().startswith(sign) for name in names):
            return words
    return ""
