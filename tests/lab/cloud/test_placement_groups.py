"""Placement groups."""

from tests.lab.cloud.world import LabCloud, refused


def test_the_life_of_a_group(cloud: LabCloud) -> None:
    client = cloud.client
    made = client.placement_groups.create(name="web", type="spread", labels={"a": "b"}).placement_group
    assert (made.name, made.type, made.labels, made.servers) == ("web", "spread", {"a": "b"}, [])
    refused("uniqueness_error", lambda: client.placement_groups.create(name="web", type="spread"))
    refused("invalid_input", lambda: client.placement_groups.create(name="x", type="cluster"))
    assert made.update(name="db", labels={}).name == "db"
    server = cloud.server(placement_group=made)
    found = client.placement_groups.get_by_name("db")
    assert found.servers == [server.id]
    assert server.placement_group.id == made.id
    refused("resource_in_use", made.delete)
    server.delete().wait_until_finished()
    made.delete()
    refused("not_found", lambda: client.placement_groups.get_by_id(made.id))


def test_a_spread_group_has_ten_servers_at_most(cloud: LabCloud) -> None:
    group = cloud.client.placement_groups.create(name="full", type="spread").placement_group
    made = [cloud.create(placement_group=group) for _ in range(10)]
    refused("placement_group_member_limit_reached", lambda: cloud.create(placement_group=group))
    for each in made:
        each.action.wait_until_finished()
    eleventh = cloud.off()
    refused("placement_group_member_limit_reached", lambda: eleventh.add_to_placement_group(group))


def test_a_server_joins_and_leaves_a_group(cloud: LabCloud) -> None:
    group = cloud.client.placement_groups.create(name="g", type="spread").placement_group
    server = cloud.server()
    refused("server_not_stopped", lambda: server.add_to_placement_group(group))
    server.power_off().wait_until_finished()
    server.add_to_placement_group(group).wait_until_finished()
    assert cloud.client.servers.get_by_id(server.id).placement_group.id == group.id
    refused("already_in_placement_group", lambda: server.add_to_placement_group(group))
    server.remove_from_placement_group().wait_until_finished()
    assert cloud.client.servers.get_by_id(server.id).placement_group is None
