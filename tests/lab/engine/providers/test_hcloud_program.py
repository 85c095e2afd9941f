"""A program on the PyPI package, run by the engine against the cloud."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.engine.providers.conftest import TOKEN, Cloud

PROGRAM = """
import pulumi, pulumi_hcloud as hcloud
key = hcloud.SshKey("key", public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "P" * 43 + " me")
address = hcloud.PrimaryIp("address", type="ipv4", location="fsn1")
rule = hcloud.FirewallRuleArgs(direction="in", protocol="tcp", port="22", source_ips=["::/0", "0.0.0.0/0"])
firewall = hcloud.Firewall("firewall", rules=[rule])
server = hcloud.Server(
    "server", server_type="cx23", image=hcloud.get_image(name="debian-12").name, location="fsn1",
    ssh_keys=[key.id], firewall_ids=[firewall.id.apply(int)], user_data="#cloud-config\\n",
    public_nets=[hcloud.ServerPublicNetArgs(ipv4=address.id.apply(int), ipv6_enabled=False)],
)
both = pulumi.Output.all(server.ipv4_address, address.ip_address)
pulumi.export("same", both.apply(lambda two: two[0] == two[1]))
"""

Engine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def engine(tmp_path: Path, cloud: Cloud) -> Engine:
    (tmp_path / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    (tmp_path / "state").mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[4]),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": "test",
    }

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "lab.engine", *words], cwd=tmp_path, env=environment, check=False,
            text=True, capture_output=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done

    run("stack", "init", "dev")
    run("config", "set", "hcloud:endpoint", cloud.endpoint)
    run("config", "set", "--secret", "hcloud:token", TOKEN)
    return run


def test_up_twice_refresh_and_destroy(engine: Engine, cloud: Cloud) -> None:
    engine("preview")
    engine("up", "--yes", "--skip-preview")
    assert engine("stack", "output", "same").stdout.strip() == "true"
    engine("up", "--yes", "--skip-preview", "--expect-no-changes")
    engine("refresh", "--yes")
    before = len(cloud.requests())
    engine("preview", "--expect-no-changes")
    assert {line.split()[0] for line in cloud.requests()[before:]} <= {"GET"}
    exported = engine("stack", "export").stdout
    assert TOKEN not in exported
    engine("destroy", "--yes")
    assert not [one for one in cloud.client.servers.get_all() if str(one.name).startswith("server-")]


def test_a_refused_server_leaves_the_rest_in_place(engine: Engine, cloud: Cloud) -> None:
    cloud.fault(create="resource_unavailable")
    failed = engine("up", "--yes", "--skip-preview", code=1)
    assert "try another location or server type, or try again later" in failed.stdout
    done = engine("up", "--yes", "--skip-preview")
    assert "+ 1 created" in done.stdout
    engine("destroy", "--yes")


BROKEN_HOOK = """
import pulumi, pulumi_hcloud as hcloud

def again(args):
    raise RuntimeError("the hook has a mistake")

hooks = pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook("again", again)])
hcloud.Server(
    "server", name="half", server_type="cx23", image="debian-12", location="fsn1",
    user_data="#cloud-config\\n", opts=pulumi.ResourceOptions(hooks=hooks),
)
"""


def test_a_server_made_in_part_is_remembered_though_its_error_hook_fails(
    engine: Engine, cloud: Cloud, tmp_path: Path
) -> None:
    (tmp_path / "__main__.py").write_text(BROKEN_HOOK)
    cloud.fault(action="create_server")
    failed = engine("up", "--yes", "--skip-preview", code=1)
    assert "could not create server half" in failed.stdout
    assert cloud.client.servers.get_by_name("half") is not None
    engine("destroy", "--yes")
    assert cloud.client.servers.get_by_name("half") is None
