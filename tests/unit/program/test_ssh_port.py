import json
from typing import Any

import pytest

from tests.unit.program.recording import Recording, run


def _run(**ssh: Any) -> Recording:
    return run({"cidr": "10.10.0.0/24", "ssh": ssh, "nodes": {"a": {"address": "10.10.0.1"}}})


def _user_data(recording: Recording) -> dict[str, Any]:
    header, _, text = recording["a-server"].inputs["userData"]["value"].partition("\n")
    assert header == "#cloud-config"
    value: dict[str, Any] = json.loads(text)
    return value


def test_everything_that_opens_ssh_uses_the_port() -> None:
    moved = _run(port=2222)
    for step in ("agent-file", "keys", "apply"):
        assert moved[f"a-{step}"].inputs["connection"]["value"]["port"] == 2222
    rules = moved["firewall-private"].inputs["rules"]
    assert [rule["port"] for rule in rules if rule["description"] == "SSH"] == ["2222"]
    assert "tcp dport 2222 ip saddr @ssh_sources4" in moved["a-apply"].inputs["stdin"]


def test_a_new_server_listens_there_from_its_first_start() -> None:
    file = _user_data(_run(port=2222))["write_files"][-1]
    assert file == {"path": "/etc/ssh/sshd_config.d/10-wgmesh-port.conf", "content": "Port 2222\n"}


@pytest.mark.parametrize("ssh", [{}, {"port": 22}])
def test_the_usual_port_leaves_sshd_alone(ssh: dict[str, Any]) -> None:
    usual = _run(**ssh)
    data = _user_data(usual)
    assert "runcmd" not in data
    assert not any("Port" in file["content"] for file in data["write_files"])
    assert usual["a-apply"].inputs["connection"]["value"]["port"] == 22
