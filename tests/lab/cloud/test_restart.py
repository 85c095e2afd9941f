"""What the cloud knows outlives it, wherever it is killed."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.cloud import primary_ips, server_actions, servers, ssh_keys
from lab.cloud.actions import Actions
from lab.cloud.driver import SimulatedHosts
from lab.cloud.errors import CloudError
from lab.cloud.faults import Faults
from lab.cloud.state import Cloud
from lab.cloud.store import Store
from lab.processes import end, start_time
from tests.lab.cloud.world import LabCloud, public_key


def kill(cloud: LabCloud) -> None:
    pid = json.loads((cloud.state / "cloud.pid").read_text())["pid"]
    started = start_time(pid)
    assert started is not None
    assert end(pid, started, number=signal.SIGKILL)


def everything(cloud: LabCloud) -> dict[str, Any]:
    paths = ("ssh_keys", "servers", "primary_ips", "firewalls", "networks", "placement_groups")
    return {path: cloud.ask("GET", f"/{path}").json()[path] for path in paths}


def fill(cloud: LabCloud) -> None:
    client = cloud.client
    client.ssh_keys.create(name="k", public_key=public_key())
    client.firewalls.create(name="f")
    group = client.placement_groups.create(name="g", type="spread").placement_group
    net = client.networks.create(name="n", ip_range="10.0.0.0/16")
    cloud.off(name="s", placement_group=group)
    net.update(labels={"a": "b"})


@pytest.mark.parametrize("end_it", [kill, lambda cloud: cloud.process.stop()], ids=["killed", "stopped"])
def test_all_is_there_after_a_restart(own: LabCloud, end_it: Callable[[LabCloud], object]) -> None:
    fill(own)
    before = everything(own)
    end_it(own)
    own.start()
    assert everything(own) == before
    actions = own.ask("GET", "/servers/actions").json()["actions"]
    assert {action["status"] for action in actions} == {"success"}
    made = own.client.placement_groups.create(name="next", type="spread").placement_group
    assert made.id > max(item["id"] for items in before.values() for item in items)


def test_what_was_under_way_when_it_was_killed_is_settled(own: LabCloud) -> None:
    gone, locked = own.off(name="gone"), own.off(name="locked")
    own.fault(slow=60)
    half = own.create("half")
    actions = [half.action, *half.next_actions, locked.power_on(), gone.delete()]
    kill(own)
    own.fault()
    own.start()
    for action in actions:
        found = own.client.actions.get_by_id(action.id)
        assert (found.status, found.error["code"]) == ("error", "action_failed")
    left = {server.name: server for server in own.client.servers.get_all()}
    assert set(left) == {"gone", "locked"}  # what was being made is not there, with its addresses
    assert not any(server.locked for server in left.values())
    assert {address.assignee_id for address in own.client.primary_ips.get_all()} == {gone.id, locked.id}
    own.create("half")


def test_an_orderly_stop_lets_actions_come_to_their_end(own: LabCloud) -> None:
    own.fault(slow=1)
    made = own.create()
    own.process.stop()
    own.fault()
    own.start()
    assert own.client.actions.get_by_id(made.action.id).status == "success"


def test_a_file_that_is_broken_is_not_overwritten(own: LabCloud) -> None:
    own.process.stop()
    kept = own.state / "cloud.json"
    kept.write_text("{")
    with pytest.raises(CloudError, match=r"cloud\.json is not what this cloud wrote"):
        own.start()
    assert kept.read_text() == "{"


def test_the_oldest_actions_are_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path / "cloud.json")
    with store.batch():
        for _ in range(2100):
            store.add("actions", {"status": "success"})
        running = store.add("actions", {"status": "running"})
    assert len(store.all("actions")) <= 2001
    assert store.find("actions", running["id"]) == running


# Killed at every step of every write: a child process is given a step at which it dies.


class Steps:
    """Counts the steps of writes, and kills this process at one of them."""

    def __init__(self, fatal: int) -> None:
        self.count, self.fatal = 0, fatal

    def step(self) -> None:
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def stepped(*words: Any, **options: Any) -> Any:
            self.step()
            found = real(*words, **options)
            self.step()
            return found

        setattr(owner, name, stepped)


def a_cloud(folder: Path) -> Cloud:
    store, faults = Store(folder / "cloud.json"), Faults(folder / "faults.json")
    return Cloud(store=store, actions=Actions(store, faults), hosts=SimulatedHosts(), faults=faults)


async def a_life(cloud: Cloud) -> None:
    """A key, a server with an address of its own, power, deletion."""
    store = cloud.store
    with store.batch():
        ssh_keys.create(cloud, {"name": "k", "public_key": public_key()})
    with store.batch():
        address = primary_ips.create(cloud, {"name": "ip", "type": "ipv4", "location": "fsn1"})
    body = {"name": "s", "server_type": "cx23", "image": "debian-12", "ssh_keys": ["k"]}
    body |= {"public_net": {"ipv4": address["primary_ip"]["id"]}}  # type: ignore[dict-item]
    with store.batch():
        servers.create(cloud, body)
    await cloud.actions.wait()
    (server,) = store.all("servers")
    await server_actions.ACTIONS["poweroff"](cloud, server, {})
    await cloud.actions.wait()
    await servers.delete(cloud, server)
    await cloud.actions.wait()


def killed_at(folder: Path, fatal: int) -> bool:
    """Live that life in a child that dies at a step; False when it came to the end before."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            steps = Steps(fatal)
            steps.around(json, "dump")
            steps.around(os, "open")
            steps.around(Path, "rename")
            asyncio.run(a_life(a_cloud(folder)))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


async def come_back(folder: Path) -> None:
    """Start again after a kill, and find everything whole and usable."""
    cloud = a_cloud(folder)
    cloud.actions.after_restart()
    await servers.reconcile(cloud)
    store = cloud.store
    assert all(action["status"] != "running" for action in store.all("actions"))
    numbers = {server["id"] for server in store.all("servers")}
    for address in store.all("primary_ips"):
        assert address["assignee_id"] is None or address["assignee_id"] in numbers
        assert address["assignee_id"] is not None or not address["auto_delete"]
    for server in store.all("servers"):
        assert not server["locked"]
        assert server["status"] == "off"
        assert servers.view(cloud, server)["public_net"]["ipv4"] is not None
        await servers.delete(cloud, server)
    await cloud.actions.wait()
    for address in store.all("primary_ips"):
        await primary_ips.delete(cloud, address)
    for key in store.all("ssh_keys"):
        await ssh_keys.delete(cloud, key)
    assert sum(len(store.all(name)) for name in ("servers", "primary_ips", "ssh_keys")) == 0
    await a_life(cloud)


def test_killed_at_any_step_of_any_write(tmp_path: Path) -> None:
    step = 0
    while True:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        if not killed_at(folder, step):
            break
        asyncio.run(come_back(folder))
        assert [path.name for path in folder.iterdir()] == ["cloud.json"]
    assert step > 60  # there were that many
