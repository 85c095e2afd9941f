"""Private networks, their subnets, and servers in them."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final

from hcloud import APIException, Client
from hcloud.networks import Network as CloudNetwork
from hcloud.networks import NetworkSubnet as CloudSubnet
from hcloud.servers import Server

from lab.engine.provider import CheckFailure, ProviderError
from lab.engine.providers.hcloud.resource import Kind, Made, changed, patiently, settle

__all__ = ["Network", "NetworkSubnet", "ServerNetwork", "attach", "detach", "parse_subnet"]

_BUSY: Final = ("conflict", "locked", "service_error")
_SUBNET_TYPES: Final = ("cloud", "server", "vswitch")


class Network(Kind):
    """hcloud:index/network:Network."""

    token = "hcloud:index/network:Network"  # noqa: S105
    noun = "network"
    collection = "networks"
    required = ("ipRange",)
    known = frozenset({"name", "ipRange", "labels", "deleteProtection", "exposeRoutesToVswitch"})
    replaces = frozenset({"ipRange"})
    defaults = {"deleteProtection": False, "exposeRoutesToVswitch": False}  # noqa: RUF012 - a class variable

    def create(self, client: Client, inputs: Mapping[str, Any]) -> Made:
        """Make it."""
        made = client.networks.create(
            name=inputs["name"],
            ip_range=str(ip_network(inputs["ipRange"], strict=False)),
            expose_routes_to_vswitch=inputs["exposeRoutesToVswitch"],
            labels=dict(inputs.get("labels") or {}),
        )

        def finish() -> None:
            if inputs["deleteProtection"]:
                settle([made.change_protection(delete=True)])

        return Made(id=str(made.id), finish=finish)

    def read(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up."""
        found: Any = client.networks.get_by_id(int(identifier))
        return {
            "name": found.name,
            "ipRange": found.ip_range,
            "labels": dict(found.labels or {}),
            "deleteProtection": found.protection["delete"],
            "exposeRoutesToVswitch": bool(found.expose_routes_to_vswitch),
        }

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change name, labels, routes to a vSwitch, protection."""
        network = client.networks.get_by_id(int(identifier))
        if changed(old, new, "name", "labels", "exposeRoutesToVswitch"):
            network.update(
                name=new["name"],
                labels=dict(new.get("labels") or {}),
                expose_routes_to_vswitch=new["exposeRoutesToVswitch"],
            )
        if changed(old, new, "deleteProtection"):
            settle([network.change_protection(delete=new["deleteProtection"])])

    def delete(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> None:
        """Remove it."""
        client.networks.get_by_id(int(identifier)).delete()


class NetworkSubnet(Kind):
    """hcloud:index/networkSubnet:NetworkSubnet; its id is `<network>-<range>`."""

    token = "hcloud:index/networkSubnet:NetworkSubnet"  # noqa: S105
    noun = "subnet"
    required = ("networkId", "type", "networkZone", "ipRange")
    known = frozenset({"networkId", "type", "networkZone", "ipRange", "vswitchId"})
    replaces = known
    computed = frozenset({"gateway"})

    def problems(self, inputs: Mapping[str, Any]) -> Sequence[CheckFailure]:
        """There are three types."""
        given = inputs.get("type")
        if not isinstance(given, str) or given in _SUBNET_TYPES:
            return ()
        reason = f"{given} is not a type of subnet; there are: {', '.join(_SUBNET_TYPES)}"
        return [CheckFailure(property="type", reason=reason)]

    def create(self, client: Client, inputs: Mapping[str, Any]) -> Made:
        """Make it."""
        number, text = int(inputs["networkId"]), str(ip_network(inputs["ipRange"], strict=False))
        subnet = CloudSubnet(
            ip_range=text, type=inputs["type"], network_zone=inputs["networkZone"],
            vswitch_id=inputs.get("vswitchId"),
        )  # fmt: skip
        network = CloudNetwork(id=number)
        action = patiently(
            ("conflict", "vswitch_id_already_used"), lambda: client.networks.add_subnet(network, subnet)
        )
        return Made(id=f"{number}-{text}", finish=lambda: settle([action]))

    def read(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up in its network."""
        network, subnet = _find_subnet(client, identifier)
        shown = {
            "networkId": network.id,
            "type": subnet.type,
            "networkZone": subnet.network_zone,
            "ipRange": subnet.ip_range,
            "gateway": subnet.gateway,
        }
        return {**shown, "vswitchId": subnet.vswitch_id} if subnet.vswitch_id else shown

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Nothing changes in place."""

    def delete(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> None:
        """Remove it, once no server is in it any more."""
        network, subnet = _find_subnet(client, identifier)
        action = patiently(_BUSY, lambda: network.delete_subnet(subnet), tries=10)
        settle([action])


class ServerNetwork(Kind):
    """hcloud:index/serverNetwork:ServerNetwork; its id is `<server>-<network>`."""

    token = "hcloud:index/serverNetwork:ServerNetwork"  # noqa: S105
    noun = "server in a network"
    required = ("serverId",)
    known = frozenset({"serverId", "networkId", "subnetId", "ip", "aliasIps"})
    replaces = frozenset({"serverId", "networkId", "subnetId", "ip"})
    defaults = {"aliasIps": []}  # noqa: RUF012 - declared as a class variable
    computed = frozenset({"networkId", "ip", "macAddress"})
    kept = frozenset({"networkId", "ip"})
    sets = frozenset({"aliasIps"})

    def problems(self, inputs: Mapping[str, Any]) -> Sequence[CheckFailure]:
        """The network is named in one of two ways."""
        if ("networkId" in inputs) != ("subnetId" in inputs):
            return ()
        reason = "exactly one of networkId and subnetId must be given"
        return [CheckFailure(property="networkId", reason=reason)]

    def create(self, client: Client, inputs: Mapping[str, Any]) -> Made:
        """Attach the server."""
        server = client.servers.get_by_id(int(inputs["serverId"]))
        network = attach(server, inputs)
        return Made(id=f"{server.id}-{network}")

    def read(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look up the server."""
        number, network = (int(part) for part in identifier.split("-", 1))
        server: Any = client.servers.get_by_id(number)
        for net in server.private_net or []:
            if net.network.id == network:
                shown = {
                    "serverId": number, "networkId": network, "ip": net.ip,
                    "aliasIps": list(net.alias_ips or []), "macAddress": net.mac_address,
                }  # fmt: skip
                subnet = inputs.get("subnetId")
                return {**shown, "subnetId": subnet} if subnet else shown
        raise APIException("not_found", f"server {number} is not in network {network}", None)

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change the alias addresses."""
        if changed(old, new, "aliasIps"):
            number, network = (int(part) for part in identifier.split("-", 1))
            aliases = list(new.get("aliasIps") or [])
            settle([client.servers.change_alias_ips(Server(id=number), CloudNetwork(id=network), aliases)])

    def delete(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> None:
        """Detach the server."""
        number, network = (int(part) for part in identifier.split("-", 1))
        detach(client.servers.get_by_id(number), network)


def attach(server: Any, wanted: Mapping[str, Any]) -> int:
    """Attach a server to a network or subnet; returns the network's number."""
    subnet = wanted.get("subnetId")
    number, ip_range = parse_subnet(subnet) if subnet else (int(wanted["networkId"]), None)
    network = CloudNetwork(id=number)
    try:
        action = patiently(
            (*_BUSY, "no_subnet_available"),
            lambda: server.attach_to_network(
                network, ip=wanted.get("ip"), alias_ips=list(wanted.get("aliasIps") or []), ip_range=ip_range
            ),
        )
    except APIException as error:
        if error.code != "server_already_attached":
            raise
        return number
    settle([action])
    return number


def detach(server: Any, number: int) -> None:
    """Detach a server from a network."""
    settle([patiently(_BUSY, lambda: server.detach_from_network(CloudNetwork(id=number)))])


def parse_subnet(identifier: str) -> tuple[int, str]:
    """Return the network and the range a subnet's id names. Raises `ProviderError`."""
    number, _, text = identifier.partition("-")
    try:
        return int(number), str(ip_network(text))
    except ValueError:
        reason = f"unexpected subnet id '{identifier}', expected '$NETWORK_ID-$SUBNET_IP_RANGE'"
        raise ProviderError(reason) from None


def _find_subnet(client: Client, identifier: str) -> tuple[Any, Any]:
    number, text = parse_subnet(identifier)
    network: Any = client.networks.get_by_id(number)
    for subnet in network.subnets or []:
        if subnet.ip_range == text:
            return network, subnet
    raise APIException("not_found", f"network {number} has no subnet {text}", None)
