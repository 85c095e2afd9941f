"""Servers."""

import base64
import contextlib
import hashlib
from collections.abc import Mapping
from typing import Any

from hcloud import APIException, Client
from hcloud.actions import ActionException
from hcloud.firewalls import Firewall, FirewallResource
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.placement_groups import PlacementGroup
from hcloud.primary_ips import PrimaryIP
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer, ServerCreatePublicNetwork
from hcloud.ssh_keys import SSHKey

from lab.engine.providers.hcloud.resource import Kind, changed

__all__ = ["Server"]


class Server(Kind):
    """hcloud:index/server:Server, without private networks, ISOs, rescue and backups."""

    token = "hcloud:index/server:Server"  # noqa: S105
    noun = "server"
    required = ("serverType",)
    known = frozenset(
        {
            *("name", "serverType", "image", "location", "sshKeys", "userData", "firewallIds", "labels"),
            *("placementGroupId", "publicNets", "deleteProtection", "rebuildProtection"),
            *(
                "keepDisk",
                "shutdownBeforeDeletion",
                "ignoreRemoteFirewallIds",
                "allowDeprecatedImages",
                "backups",
            ),
        }
    )
    replaces = frozenset({"image", "location", "userData", "sshKeys"})
    defaults = {  # noqa: RUF012 - declared as a class variable
        "allowDeprecatedImages": False, "backups": False, "deleteProtection": False,
        "ignoreRemoteFirewallIds": False, "keepDisk": False, "rebuildProtection": False,
        "shutdownBeforeDeletion": False,
    }  # fmt: skip
    write_only = frozenset(
        {"userData", "sshKeys", "keepDisk", "shutdownBeforeDeletion", "allowDeprecatedImages"}
    )

    def create(self, client: Client, inputs: Mapping[str, Any]) -> str:
        """Make it and wait until it has booted; one that cannot is removed again."""
        group = inputs.get("placementGroupId")
        made = client.servers.create(
            name=inputs["name"],
            server_type=ServerType(name=inputs["serverType"]),
            image=_image(inputs.get("image")),
            location=Location(name=inputs["location"]) if inputs.get("location") else None,
            ssh_keys=[_ssh_key(wanted) for wanted in inputs.get("sshKeys") or []],
            user_data=inputs.get("userData"),
            firewalls=[Firewall(id=int(number)) for number in inputs.get("firewallIds") or []],
            placement_group=PlacementGroup(id=int(group)) if group else None,
            public_net=_public_net(inputs.get("publicNets") or []),
            labels=dict(inputs.get("labels") or {}),
        )
        try:
            for action in (made.action, *(made.next_actions or [])):
                action.wait_until_finished()
            if inputs["deleteProtection"] or inputs["rebuildProtection"]:
                made.server.change_protection(
                    delete=inputs["deleteProtection"], rebuild=inputs["rebuildProtection"]
                ).wait_until_finished()
        except ActionException:
            with contextlib.suppress(APIException, ActionException):
                made.server.delete().wait_until_finished()
            raise
        return str(made.server.id)

    def read(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up."""
        found = client.servers.get_by_id(int(identifier))
        net = found.public_net
        shown: dict[str, Any] = {
            "name": found.name,
            "serverType": found.server_type.name,
            "image": found.image.name if found.image else "",
            "location": found.location.name,
            "labels": dict(found.labels or {}),
            "status": found.status,
            "ipv4Address": net.ipv4.ip if net.ipv4 else "",
            "ipv6Address": "",
            "ipv6Network": net.ipv6.ip if net.ipv6 else "",
            "primaryDiskSize": found.primary_disk_size,
            "backupWindow": found.backup_window or "",
            "backups": bool(found.backup_window),
            "firewallIds": sorted(applied.firewall.id for applied in net.firewalls or []),
            "placementGroupId": found.placement_group.id if found.placement_group else None,
            "deleteProtection": bool(found.protection["delete"]),
            "rebuildProtection": bool(found.protection["rebuild"]),
            "publicNets": _shown_nets(found, inputs),
        }
        for name in (
            "sshKeys",
            "keepDisk",
            "shutdownBeforeDeletion",
            "allowDeprecatedImages",
            "ignoreRemoteFirewallIds",
        ):
            if name in inputs:
                shown[name] = inputs[name]
        if inputs.get("userData"):
            # the provider keeps a hash only (terraform-provider-hcloud, internal/server/resource.go)
            digest = hashlib.sha1(str(inputs["userData"]).encode(), usedforsecurity=False).digest()
            shown["userData"] = base64.b64encode(digest).decode()
        return {name: value for name, value in shown.items() if value is not None}

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change what can be changed in place."""
        server = client.servers.get_by_id(int(identifier))
        if changed(old, new, "name", "labels"):
            server.update(name=new["name"], labels=dict(new.get("labels") or {}))
        if changed(old, new, "firewallIds"):
            self._firewalls(client, server, old, new)
        if changed(old, new, "deleteProtection", "rebuildProtection"):
            server.change_protection(
                delete=new["deleteProtection"], rebuild=new["rebuildProtection"]
            ).wait_until_finished()
        if changed(old, new, "serverType", "placementGroupId", "publicNets"):
            self._while_off(client, server, old, new)

    @staticmethod
    def _firewalls(
        client: Client, server: BoundServer, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> None:
        """Apply first, then remove: the server is never without a firewall in between."""
        before, after = set(old.get("firewallIds") or []), set(new.get("firewallIds") or [])
        target = FirewallResource(type=FirewallResource.TYPE_SERVER, server=server)
        for number in sorted(after - before):
            for action in client.firewalls.apply_to_resources(Firewall(id=int(number)), [target]):
                action.wait_until_finished()
        for number in sorted(before - after):
            for action in client.firewalls.remove_from_resources(Firewall(id=int(number)), [target]):
                action.wait_until_finished()

    @staticmethod
    def _while_off(
        client: Client, server: BoundServer, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> None:
        """What the API changes only while a server is off."""
        if server.status != "off":
            server.power_off().wait_until_finished()
        if changed(old, new, "serverType"):
            server.change_type(
                ServerType(name=new["serverType"]), upgrade_disk=not new["keepDisk"]
            ).wait_until_finished()
        if changed(old, new, "placementGroupId"):
            if old.get("placementGroupId"):
                server.remove_from_placement_group().wait_until_finished()
            if new.get("placementGroupId"):
                group = PlacementGroup(id=int(new["placementGroupId"]))
                server.add_to_placement_group(group).wait_until_finished()
        if changed(old, new, "publicNets"):
            _reassign(client, server, new.get("publicNets") or [])
        server.power_on().wait_until_finished()

    def delete(self, client: Client, identifier: str) -> None:
        """Remove it; its primary IPs stay."""
        client.servers.get_by_id(int(identifier)).delete().wait_until_finished()


def _reassign(client: Client, server: BoundServer, nets: list[Mapping[str, Any]]) -> None:
    wanted = next((int(net["ipv4"]) for net in nets if net.get("ipv4")), None)
    present = server.public_net.primary_ipv4
    if present is not None and present.id != wanted:
        client.primary_ips.unassign(PrimaryIP(id=present.id)).wait_until_finished()
    if wanted is not None and (present is None or present.id != wanted):
        client.primary_ips.assign(PrimaryIP(id=wanted), server.id, "server").wait_until_finished()


def _image(wanted: Any) -> Image:
    text = str(wanted or "")
    return Image(id=int(text)) if text.isdigit() else Image(name=text)


def _ssh_key(wanted: Any) -> SSHKey:
    text = str(wanted)
    return SSHKey(id=int(text)) if text.isdigit() else SSHKey(name=text)


def _public_net(nets: list[Mapping[str, Any]]) -> ServerCreatePublicNetwork | None:
    if not nets:
        return None
    net = nets[0]
    return ServerCreatePublicNetwork(
        ipv4=PrimaryIP(id=int(net["ipv4"])) if net.get("ipv4") else None,
        ipv6=PrimaryIP(id=int(net["ipv6"])) if net.get("ipv6") else None,
        enable_ipv4=net.get("ipv4Enabled", True),
        enable_ipv6=net.get("ipv6Enabled", True),
    )


def _shown_nets(server: BoundServer, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The public network in the words it was asked for in."""
    if not inputs.get("publicNets"):
        return []
    asked = inputs["publicNets"][0]
    net = server.public_net
    shown = dict(asked)
    if "ipv4" in asked:
        shown["ipv4"] = net.primary_ipv4.id if net.primary_ipv4 else 0
    if "ipv4Enabled" in asked:
        shown["ipv4Enabled"] = net.ipv4 is not None
    if "ipv6Enabled" in asked:
        shown["ipv6Enabled"] = net.ipv6 is not None
    return [shown]
