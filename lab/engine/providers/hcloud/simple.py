"""SSH keys, placement groups, primary IPs."""

from collections.abc import Mapping, Sequence
from typing import Any

from hcloud import APIException, Client
from hcloud.locations import Location

from lab.engine.provider import UNKNOWN, CheckFailure
from lab.engine.providers.hcloud.resource import Kind, Made, changed, patiently, settle

__all__ = ["PlacementGroup", "PrimaryIp", "SshKey"]


class SshKey(Kind):
    """hcloud:index/sshKey:SshKey."""

    token = "hcloud:index/sshKey:SshKey"  # noqa: S105
    noun = "SSH key"
    collection = "ssh_keys"
    required = ("publicKey",)
    known = frozenset({"name", "publicKey", "labels"})
    replaces = frozenset({"publicKey"})
    computed = frozenset({"fingerprint"})

    def create(self, client: Client, inputs: Mapping[str, Any]) -> Made:
        """Make it."""
        made = client.ssh_keys.create(
            name=inputs["name"], public_key=inputs["publicKey"], labels=dict(inputs.get("labels") or {})
        )
        return Made(id=str(made.id))

    def read(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up."""
        found = client.ssh_keys.get_by_id(int(identifier))
        return {
            "name": found.name,
            "publicKey": found.public_key,
            "fingerprint": found.fingerprint,
            "labels": dict(found.labels or {}),
        }

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change name and labels."""
        if changed(old, new, "name", "labels"):
            client.ssh_keys.get_by_id(int(identifier)).update(
                name=new["name"], labels=dict(new.get("labels") or {})
            )

    def delete(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> None:
        """Remove it."""
        client.ssh_keys.get_by_id(int(identifier)).delete()


class PlacementGroup(Kind):
    """hcloud:index/placementGroup:PlacementGroup."""

    token = "hcloud:index/placementGroup:PlacementGroup"  # noqa: S105
    noun = "placement group"
    collection = "placement_groups"
    required = ("type",)
    gone_is_deleted = False
    known = frozenset({"name", "type", "labels"})
    computed = frozenset({"servers"})

    def problems(self, inputs: Mapping[str, Any]) -> Sequence[CheckFailure]:
        """There is one type."""
        given = inputs.get("type")
        if given in {"spread", None, UNKNOWN}:
            return ()
        reason = f"{given} is not a valid placement group type; the one there is: spread"
        return [CheckFailure(property="type", reason=reason)]

    def create(self, client: Client, inputs: Mapping[str, Any]) -> Made:
        """Make it."""
        made = client.placement_groups.create(
            name=inputs["name"], type=inputs["type"], labels=dict(inputs.get("labels") or {})
        )
        return Made(id=str(made.placement_group.id), finish=lambda: settle([made.action]))

    def read(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up."""
        found = client.placement_groups.get_by_id(int(identifier))
        return {
            "name": found.name,
            "type": found.type,
            "labels": dict(found.labels or {}),
            "servers": list(found.servers or []),
        }

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change name and labels."""
        if changed(old, new, "name", "labels"):
            client.placement_groups.get_by_id(int(identifier)).update(
                name=new["name"], labels=dict(new.get("labels") or {})
            )

    def delete(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> None:
        """Remove it."""
        client.placement_groups.get_by_id(int(identifier)).delete()


class PrimaryIp(Kind):
    """hcloud:index/primaryIp:PrimaryIp."""

    token = "hcloud:index/primaryIp:PrimaryIp"  # noqa: S105
    noun = "primary IP"
    collection = "primary_ips"
    required = ("type",)
    known = frozenset(
        {"name", "type", "assigneeType", "assigneeId", "autoDelete", "location", "labels", "deleteProtection"}
    )
    replaces = frozenset({"type", "location"})
    defaults = {"deleteProtection": False, "autoDelete": False}  # noqa: RUF012 - declared as a class variable
    computed = frozenset({"ipAddress", "ipNetwork", "assigneeId", "assigneeType", "location"})
    kept = frozenset({"location", "assigneeId", "assigneeType"})

    def problems(self, inputs: Mapping[str, Any]) -> Sequence[CheckFailure]:
        """It is at a location, or where its server is."""
        if ("location" in inputs) == ("assigneeId" in inputs):
            reason = "exactly one of location and assigneeId must be given"
            return [CheckFailure(property="location", reason=reason)]
        if "assigneeId" in inputs and "assigneeType" not in inputs:
            reason = "assigneeId and assigneeType must be given together"
            return [CheckFailure(property="assigneeId", reason=reason)]
        return ()

    def create(self, client: Client, inputs: Mapping[str, Any]) -> Made:
        """Reserve an address."""
        place = inputs.get("location")
        made = client.primary_ips.create(
            type=inputs["type"],
            name=inputs["name"],
            location=Location(name=place) if place else None,
            assignee_type=inputs.get("assigneeType", "server"),
            assignee_id=inputs.get("assigneeId"),
            auto_delete=inputs["autoDelete"],
            labels=dict(inputs.get("labels") or {}),
        )

        def finish() -> None:
            settle([made.action])
            if inputs["deleteProtection"]:
                settle([made.primary_ip.change_protection(delete=True)])

        return Made(id=str(made.primary_ip.id), finish=finish)

    def read(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up."""
        found: Any = client.primary_ips.get_by_id(int(identifier))
        address, slash, _ = found.ip.partition("/")
        shown = {
            "name": found.name,
            "type": found.type,
            "ipAddress": address,
            "assigneeType": found.assignee_type,
            "assigneeId": found.assignee_id or 0,
            "autoDelete": found.auto_delete,
            "location": found.location.name,
            "labels": dict(found.labels or {}),
            "deleteProtection": found.protection["delete"],
        }
        return {**shown, "ipNetwork": found.ip} if slash else shown

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change protection, server, name, labels, auto_delete, in the real provider's order."""
        address = client.primary_ips.get_by_id(int(identifier))
        if changed(old, new, "deleteProtection"):
            settle([address.change_protection(delete=new["deleteProtection"])])
        if changed(old, new, "assigneeId"):
            if address.assignee_id:
                settle([address.unassign()])
            if new.get("assigneeId"):
                settle([address.assign(new["assigneeId"], new["assigneeType"])])
        if changed(old, new, "name", "labels", "autoDelete"):
            address.update(
                name=new["name"], labels=dict(new.get("labels") or {}), auto_delete=new["autoDelete"]
            )

    def delete(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> None:
        """Give the address back; a server that still has it is switched off and on for that."""
        address: Any = client.primary_ips.get_by_id(int(identifier))
        if address.assignee_id:
            self._take_from(client, address)
        patiently(("conflict", "must_be_unassigned", "locked"), address.delete, tries=10)

    @staticmethod
    def _take_from(client: Client, address: Any) -> None:
        try:
            server: Any = client.servers.get_by_id(address.assignee_id)
        except APIException as error:
            if error.code == "not_found":
                return
            raise
        was_on = server.status != "off"
        if was_on:
            settle([server.power_off()])
        settle([address.unassign()])
        if was_on:
            settle([server.power_on()])
