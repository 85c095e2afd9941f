"""What the program reads of a cloud's catalogue, from a cloud that answers as the real one does."""

from pathlib import Path
from typing import Any

import pytest
from hcloud.locations import Location
from hcloud.server_types import ServerType

from mesh.names import MeshNames
from mesh.program.machines.hetzner.api import CloudAccess
from mesh.program.machines.hetzner.catalog import CatalogError, read_offers, servers_of_mesh
from tests.lab.cloud.world import TOKEN, LabCloud, refused


def _access(cloud: LabCloud, token: str = TOKEN) -> CloudAccess:
    return CloudAccess(token=token, endpoint=cloud.url)


def test_locations_types_and_images_are_read(cloud: LabCloud) -> None:
    number = str(cloud.client.images.get_by_name_and_architecture("debian-12", "x86").id)
    offers = read_offers(_access(cloud), ["debian-12", number, "debian-12"])
    assert offers.locations[:2] == ("fsn1", "nbg1")
    assert (offers.types["cx33"].architecture, offers.types["cx33"].disk) == ("x86", 80)
    assert offers.types["cx33"].sold == frozenset(offers.locations)
    assert offers.types["cax11"].architecture == "arm"
    assert offers.types["cax11"].sold == {"fsn1", "nbg1", "hel1"}
    assert offers.images["debian-12"].architectures == {"x86"}
    assert offers.images[number] == offers.images["debian-12"]
    assert offers.image_names == ()


def test_an_image_that_there_is_not_brings_the_names_of_those_there_are(cloud: LabCloud) -> None:
    offers = read_offers(_access(cloud), ["debian-99", "1"])
    assert offers.images == {}
    assert offers.image_names == ("debian-12", "debian-13")


def test_a_type_that_is_retired_somewhere_is_not_sold_there(cloud: LabCloud) -> None:
    assert read_offers(_access(cloud), []).types["cpx11"].sold == {"ash", "hil", "sin"}
    european: dict[str, Any] = {"server_type": ServerType(name="cpx11"), "location": Location(name="fsn1")}
    refused("invalid_input", lambda: cloud.create(**european))
    arm: dict[str, Any] = {"server_type": ServerType(name="cax11"), "location": Location(name="ash")}
    refused("invalid_input", lambda: cloud.create(**arm))


def test_a_type_that_is_sold_out_is_told_and_refused(cloud: LabCloud) -> None:
    cloud.fault(sold_out={"cx33": ["fsn1"]})
    offer = read_offers(_access(cloud), []).types["cx33"]
    assert "fsn1" in offer.sold
    assert "fsn1" not in offer.in_stock
    here: dict[str, Any] = {"server_type": ServerType(name="cx33"), "location": Location(name="fsn1")}
    refused("resource_unavailable", lambda: cloud.create(**here))
    server = cloud.off(location=Location(name="fsn1"))
    refused("resource_unavailable", lambda: server.change_type(ServerType(name="cx33"), upgrade_disk=False))


def test_the_servers_of_a_mesh_are_found_by_their_labels(cloud: LabCloud) -> None:
    cloud.server("prod-web-1", labels={"wireguard-mesh/stack": "prod"})
    cloud.server("prod-web-2", labels={"wireguard-mesh/stack": "prod-web"})
    office = {"wireguard-mesh/stack": "prod", "wireguard-mesh/mesh": "office"}
    cloud.server("prod-office.web-1", labels=office)
    assert servers_of_mesh(_access(cloud), "prod", MeshNames("mesh")) == ("prod-web-1",)
    assert servers_of_mesh(_access(cloud), "prod", MeshNames("office")) == ("prod-office.web-1",)


def test_a_token_that_is_not_taken_is_told_apart_from_a_cloud_that_does_not_answer(cloud: LabCloud) -> None:
    with pytest.raises(CatalogError) as denied:
        read_offers(_access(cloud, "x" * 64), [])
    assert denied.value.denied
    assert "x" * 10 not in str(denied.value)


@pytest.fixture
def silent(tmp_path: Path) -> LabCloud:
    """A cloud that does not run."""
    return LabCloud(state=tmp_path, port=9)


def test_a_cloud_that_does_not_answer_is_named(silent: LabCloud) -> None:
    with pytest.raises(CatalogError, match=r"no answer from http://127\.0\.0\.1:9/v1") as error:
        read_offers(_access(silent), [])
    assert not error.value.denied
