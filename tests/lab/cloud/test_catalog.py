"""What is on offer."""

from tests.lab.cloud.world import LabCloud, refused


def test_locations(cloud: LabCloud) -> None:
    found = cloud.client.locations.get_all()
    assert {"fsn1", "nbg1", "hel1", "ash", "hil", "sin"} == {location.name for location in found}
    assert cloud.client.locations.get_by_name("hel1").network_zone == "eu-central"
    assert cloud.client.locations.get_by_id(found[0].id).name == found[0].name
    refused("not_found", lambda: cloud.client.locations.get_by_id(99))


def test_server_types(cloud: LabCloud) -> None:
    small = cloud.client.server_types.get_by_name("cx23")
    assert (small.cores, small.memory, small.disk, small.architecture) == (2, 4.0, 40, "x86")
    assert {price["location"] for price in small.prices} >= {"fsn1", "ash"}
    assert cloud.client.server_types.get_by_name("cx22") is None  # no longer on offer
    refused("not_found", lambda: cloud.client.server_types.get_by_id(1))


def test_images(cloud: LabCloud) -> None:
    found = cloud.client.images.get_by_name_and_architecture("debian-12", "x86")
    assert (found.type, found.status, found.os_flavor, found.os_version) == (
        "system",
        "available",
        "debian",
        "12",
    )
    assert cloud.client.images.get_by_name_and_architecture("debian-12", "arm") is None
    assert cloud.client.images.get_by_id(found.id).name == "debian-12"
    assert cloud.client.images.get_all(type=["snapshot"]) == []
    newest = cloud.client.images.get_all(sort=["name:desc"], include_deprecated=True)
    assert [image.name for image in newest] == ["debian-13", "debian-12"]
