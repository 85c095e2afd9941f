"""Pure: the ruleset of last resort, loaded where no other table of ours loads."""

from __future__ import annotations

import re

from ..places import TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["rescue_ports", "rescue_ruleset", "wider_rescue"]

_RULESET = """\
# Loaded when the committed firewall cannot be: keeps the way in open for who has a key, nothing else.
table inet {table}
delete table inet {table}
table inet {table} {{
    chain input {{
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ct state vmap {{ established : accept, related : accept, invalid : drop }}
        meta l4proto {{ icmp, icmpv6 }} accept
        tcp dport {{ {ssh} }} accept
        udp dport {port} accept
        udp sport 67 udp dport 68 accept
    }}
}}
"""


def rescue_ruleset(ssh_ports: Collection[int], port: int) -> str:
    """Return the ruleset of last resort: sshd's ports and WireGuard's UDP port."""
    return _RULESET.format(table=TABLE, ssh=", ".join(str(number) for number in sorted(ssh_ports)), port=port)


def rescue_ports(text: str) -> set[int]:
    """Return the ports on which a rescue ruleset lets in SSH."""
    found = re.search(r"tcp dport \{ ([\d, ]+) \} accept", text)
    return {int(port) for port in found[1].split(",")} if found else set()


def wider_rescue(text: str, ssh_ports: Collection[int], port: int) -> str:
    """Return the ruleset for these ports; one with more of them for SSH (of a session that was) stays."""
    wider = rescue_ruleset({*ssh_ports, *rescue_ports(text)}, port)
    return text if text == wider else rescue_ruleset(ssh_ports, port)
