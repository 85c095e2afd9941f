"""A server's public addresses and inline private networks."""

from collections.abc import Mapping, Sequence
from typing import Any

from hcloud import Client
from hcloud.primary_ips import PrimaryIP
from hcloud.servers import ServerCreatePublicNetwork

from lab.engine.provider import ProviderError
from lab.engine.providers.hcloud.network import attach, detach, parse_subnet
from lab.engine.providers.hcloud.resource import settle

__all__ = ["change_networks", "change_public", "network_of", "public_net", "shown_networks", "shown_public"]

_Nets = Sequence[Mapping[str, Any]]


def public_net(nets: _Nets) -> ServerCreatePublicNetwork | None:
    """Return what a new server is asked to have; None leaves it to the cloud."""
    if not nets:
        return None
    net = nets[0]
    return ServerCreatePublicNetwork(
        ipv4=PrimaryIP(id=net["ipv4"]) if net.get("ipv4") else None,
        ipv6=PrimaryIP(id=net["ipv6"]) if net.get("ipv6") else None,
        enable_ipv4=bool(net.get("ipv4")) or net.get("ipv4Enabled", True),
        enable_ipv6=bool(net.get("ipv6")) or net.get("ipv6Enabled", True),
    )


def shown_public(server: Any, asked: _Nets) -> list[dict[str, Any]]:
    """Return the public network in the words it was asked for in."""
    if not asked:
        return []
    net = server.public_net
    has = {
        "ipv4": net.primary_ipv4.id if net.primary_ipv4 else 0,
        "ipv6": net.primary_ipv6.id if net.primary_ipv6 else 0,
        "ipv4Enabled": net.ipv4 is not None,
        "ipv6Enabled": net.ipv6 is not None,
    }
    return [{name: has.get(name, value) for name, value in asked[0].items() if name != "__defaults"}]


def change_public(client: Client, server: Any, old: _Nets, new: _Nets) -> None:
    """Give a server other public addresses; it is off meanwhile. Raises `ProviderError`."""
    before, after = (dict(nets[0]) if nets else {} for nets in (old, new))
    for family in ("ipv4", "ipv6"):
        if after.get(family) and not after.get(f"{family}Enabled", True):
            raise ProviderError(
                f"this operation is not allowed: {family}_enabled = false | {family} = {after[family]}"
            )
    settle([server.power_off()])
    try:
        for family in ("ipv4", "ipv6"):
            _change_family(client, server, family, before, after)
    finally:
        settle([server.power_on()])


def _change_family(
    client: Client, server: Any, family: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    present = getattr(server.public_net, f"primary_{family}")
    wanted = after.get(family)
    enabled = after.get(f"{family}Enabled", True)
    named_before = before.get(family)
    if wanted:
        if present is not None and present.id == wanted:
            return
        _release(client, present, keep=bool(named_before))
    elif not enabled:
        _release(client, present, keep=bool(named_before))
        return
    else:
        if present is not None and not named_before:
            return
        _release(client, present, keep=True)
        made = client.primary_ips.create(
            type=family, name=f"primary_ip-{server.id}-{family}", assignee_type="server",
            assignee_id=server.id, auto_delete=True,
        )  # fmt: skip
        settle([made.action])
        return
    settle([client.primary_ips.assign(PrimaryIP(id=wanted), server.id, "server")])


def _release(client: Client, present: Any, *, keep: bool) -> None:
    """Unassign an address; one the cloud made by itself is given back."""
    if present is None:
        return
    settle([client.primary_ips.unassign(present)])
    if not keep:
        client.primary_ips.delete(present)


def network_of(net: Mapping[str, Any]) -> int:
    """Return the number of the network an inline attachment names."""
    return parse_subnet(net["subnetId"])[0] if net.get("subnetId") else int(net["networkId"])


def change_networks(server: Any, new: _Nets) -> None:
    """Attach a server to what it should be in, and detach it from the rest."""
    wanted = {network_of(net): net for net in new}
    for net in server.private_net or []:
        asked = wanted.pop(net.network.id, None)
        if asked is None:
            detach(server, net.network.id)
        elif asked.get("ip") not in {None, net.ip}:
            detach(server, net.network.id)
            attach(server, asked)
        elif sorted(asked.get("aliasIps") or []) != sorted(net.alias_ips or []):
            settle([server.change_alias_ips(net.network, list(asked.get("aliasIps") or []))])
    for asked in wanted.values():
        attach(server, asked)


def shown_networks(server: Any, asked: _Nets) -> list[dict[str, Any]]:
    """Return the private networks in the words they were asked for in."""
    words = {network_of(net): net for net in asked}
    shown = []
    for net in server.private_net or []:
        entry = {"ip": net.ip, "aliasIps": list(net.alias_ips or []), "macAddress": net.mac_address}
        named = words.get(net.network.id, {"networkId": net.network.id})
        entry |= {name: named[name] for name in ("networkId", "subnetId") if name in named}
        shown.append(entry)
    return shown
