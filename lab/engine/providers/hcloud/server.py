"""Servers."""

import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hcloud import Client
from hcloud.firewalls import Firewall, FirewallResource
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.placement_groups import PlacementGroup
from hcloud.server_types import ServerType
from hcloud.servers import Server as CloudServer
from hcloud.ssh_keys import SSHKey

from lab.engine.provider import CheckFailure, ProviderError
from lab.engine.providers.hcloud import server_net
from lab.engine.providers.hcloud.network import attach
from lab.engine.providers.hcloud.resource import Kind, Made, changed, settle

__all__ = ["Server"]

_SHUTDOWN_SECONDS = 30


class Server(Kind):
    """hcloud:index/server:Server, without ISOs and the rescue system."""

    token = "hcloud:index/server:Server"  # noqa: S105
    noun = "server"
    collection = "servers"
    required = ("serverType",)
    gone_is_deleted = False
    known = frozenset(
        {
            *("name", "serverType", "image", "location", "sshKeys", "userData", "firewallIds", "labels"),
            *("placementGroupId", "publicNets", "networks", "deleteProtection", "rebuildProtection"),
            *("keepDisk", "shutdownBeforeDeletion", "ignoreRemoteFirewallIds", "allowDeprecatedImages"),
            "backups",
        }
    )
    replaces = frozenset({"image", "location", "userData", "sshKeys"})
    defaults = {  # noqa: RUF012 - declared as a class variable
        "backups": False, "deleteProtection": False,
        "ignoreRemoteFirewallIds": False, "keepDisk": False, "rebuildProtection": False,
        "shutdownBeforeDeletion": False,
    }  # fmt: skip
    nested_defaults = {"publicNets": {"ipv4Enabled": True, "ipv6Enabled": True}}  # noqa: RUF012 - likewise
    computed = frozenset(
        {
            *("ipv4Address", "ipv6Address", "ipv6Network", "status", "primaryDiskSize", "backupWindow"),
            *("image", "location", "firewallIds"),
        }
    )
    kept = frozenset({"image", "location", "firewallIds", "publicNets", "networks"})
    sets = frozenset({"firewallIds", "publicNets", "networks"})
    write_only = frozenset(
        {
            *("userData", "sshKeys", "keepDisk", "shutdownBeforeDeletion", "allowDeprecatedImages"),
            "ignoreRemoteFirewallIds",
        }
    )

    def problems(self, inputs: Mapping[str, Any]) -> Sequence[CheckFailure]:
        """An image is named; a private network is named in one way at least."""
        found = []
        if inputs.get("image") == "":
            found.append(CheckFailure(property="image", reason='"image" must have more than 0 characters'))
        networks = inputs.get("networks")
        for index, net in enumerate(networks if isinstance(networks, list) else ()):
            if isinstance(net, Mapping) and not {"networkId", "subnetId"} & set(net):
                reason = "must specify either networkId or subnetId"
                found.append(CheckFailure(property=f"networks[{index}]", reason=reason))
        return found

    def unmanaged(self, inputs: Mapping[str, Any]) -> frozenset[str]:
        """Firewalls that others attach are left alone when asked so."""
        return frozenset({"firewallIds"} if inputs.get("ignoreRemoteFirewallIds") is True else ())

    def planned(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """User data shows as its hash."""
        data = inputs.get("userData")
        return {**inputs, "userData": _digest(data)} if isinstance(data, str) else inputs

    def create(self, client: Client, inputs: Mapping[str, Any]) -> Made:
        """Make it; what remains is to wait until it has booted."""
        group = inputs.get("placementGroupId")
        networks = inputs.get("networks") or []
        public = server_net.public_net(inputs.get("publicNets") or [])
        private = bool(networks and public and not (public.enable_ipv4 or public.enable_ipv6))
        made: Any = client.servers.create(
            name=inputs["name"],
            server_type=ServerType(name=inputs["serverType"]),
            image=_image(inputs.get("image")),
            location=Location(name=inputs["location"]) if inputs.get("location") else None,
            ssh_keys=[_ssh_key(wanted) for wanted in inputs.get("sshKeys") or []],
            user_data=inputs.get("userData"),
            firewalls=[Firewall(id=number) for number in inputs.get("firewallIds") or []],
            placement_group=PlacementGroup(id=group) if group else None,
            public_net=public,
            start_after_create=not private,
            labels=dict(inputs.get("labels") or {}),
        )

        def finish() -> None:
            settle([made.action, *(made.next_actions or [])])
            for net in networks:
                attach(made.server, net)
            if private:
                settle([made.server.power_on()])
            _set_backups(made.server, wanted=inputs["backups"])
            if inputs["deleteProtection"] or inputs["rebuildProtection"]:
                _protect(made.server, inputs)

        return Made(id=str(made.server.id), finish=finish)

    def read(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up."""
        found: Any = client.servers.get_by_id(int(identifier))
        net = found.public_net
        shown: dict[str, Any] = {
            **{name: inputs.get(name) for name in self.write_only},
            "name": found.name,
            "serverType": found.server_type.name,
            "image": _shown_image(found.image, inputs.get("image")),
            "location": found.location.name,
            "labels": dict(found.labels or {}),
            "status": found.status,
            "ipv4Address": net.ipv4.ip if net.ipv4 else None,
            "ipv6Address": f"{net.ipv6.ip.partition('/')[0]}1" if net.ipv6 else None,
            "ipv6Network": net.ipv6.ip if net.ipv6 else None,
            "primaryDiskSize": found.primary_disk_size,
            "backupWindow": found.backup_window or "",
            "backups": bool(found.backup_window),
            "firewallIds": sorted(applied.firewall.id for applied in net.firewalls or []),
            "placementGroupId": found.placement_group.id if found.placement_group else None,
            "deleteProtection": found.protection["delete"],
            "rebuildProtection": found.protection["rebuild"],
            "publicNets": server_net.shown_public(found, inputs.get("publicNets") or []),
        }
        if inputs.get("networks"):
            shown["networks"] = server_net.shown_networks(found, inputs["networks"])
        planned = self.planned(shown)
        return {name: value for name, value in planned.items() if value is not None}

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change what can be changed in place, in the real provider's order."""
        server: Any = client.servers.get_by_id(int(identifier))
        if changed(old, new, "name", "labels"):
            server.update(name=new["name"], labels=dict(new.get("labels") or {}))
        if changed(old, new, "serverType"):
            _change_type(server, new)
        if changed(old, new, "backups"):
            _set_backups(server, wanted=new["backups"])
        if changed(old, new, "networks"):
            server_net.change_networks(server, new.get("networks") or [])
        if changed(old, new, "firewallIds"):
            _change_firewalls(client, server, new.get("firewallIds") or [])
        if changed(old, new, "publicNets"):
            server_net.change_public(client, server, old.get("publicNets") or [], new.get("publicNets") or [])
        if changed(old, new, "placementGroupId"):
            _change_group(server, new.get("placementGroupId"))
        if changed(old, new, "deleteProtection", "rebuildProtection"):
            _protect(server, new)

    def delete(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> None:
        """Remove it, after a shutdown where that is asked for; its primary IPs stay."""
        server: Any = client.servers.get_by_id(int(identifier))
        if inputs.get("shutdownBeforeDeletion"):
            settle([server.shutdown()])
            deadline = time.monotonic() + _SHUTDOWN_SECONDS
            while server.status != "off" and time.monotonic() < deadline:
                time.sleep(0.5)
                server.reload()
        settle([server.delete()])


def _change_type(server: Any, new: Mapping[str, Any]) -> None:
    """Change the type; the API wants the server off for that, and starts it again by itself."""
    if server.status == "running":
        settle([server.power_off()])
    kind = ServerType(name=new["serverType"])
    settle([server.change_type(kind, upgrade_disk=not new["keepDisk"])])


def _set_backups(server: Any, *, wanted: bool) -> None:
    if wanted and not server.backup_window:
        settle([server.enable_backup()])
    elif server.backup_window and not wanted:
        settle([server.disable_backup()])


def _change_firewalls(client: Client, server: Any, wanted: Sequence[int]) -> None:
    """Remove first, then apply, as the real provider does."""
    present = [applied.firewall.id for applied in server.public_net.firewalls or []]
    target = [FirewallResource(type=FirewallResource.TYPE_SERVER, server=CloudServer(id=server.id))]
    for number in present:
        if number not in wanted:
            settle(client.firewalls.remove_from_resources(Firewall(id=number), target))
    for number in wanted:
        if number not in present:
            settle(client.firewalls.apply_to_resources(Firewall(id=number), target))


def _change_group(server: Any, number: int | None) -> None:
    if server.placement_group is not None:
        if server.status != "off":
            raise ProviderError(
                "removing a running server from a placement group is currently not supported in the "
                "provider. Shut the server down yourself, apply the changes again, then start it"
            )
        settle([server.remove_from_placement_group()])
    if number:
        settle([server.add_to_placement_group(PlacementGroup(id=number))])


def _protect(server: Any, wanted: Mapping[str, Any]) -> None:
    settle([server.change_protection(delete=wanted["deleteProtection"], rebuild=wanted["rebuildProtection"])])


def _digest(user_data: str) -> str:
    """Return what the state keeps of user data (terraform-provider-hcloud, internal/server/resource.go)."""
    return base64.b64encode(hashlib.sha1(user_data.encode(), usedforsecurity=False).digest()).decode()


def _image(wanted: Any) -> Image:
    text = str(wanted or "")
    return Image(id=int(text)) if text.isdigit() else Image(name=text)


def _shown_image(found: Any, asked: Any) -> Any:
    """Return an official image's name, unless its number was given; an image that is gone is as it was."""
    if found is None:
        return asked
    return found.name if found.name and str(found.id) != asked else str(found.id)


def _ssh_key(wanted: Any) -> SSHKey:
    text = str(wanted)
    return SSHKey(id=int(text)) if text.isdigit() else SSHKey(name=text)
