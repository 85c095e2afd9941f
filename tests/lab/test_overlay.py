"""A stack file for a real cloud is rehearsed in a copy: nothing of it is written, and no token leaves."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.overlay import LOCAL_CLOUD, overlaid
from lab.rehearsed import RehearsalError, refuse_another_cloud
from lab.testing import REPOSITORY

HERE = "198.18.7.1"
SECRET = "v1:" + "S" * 20
REAL = "r" * 64


def _overlaid(**config: Any) -> tuple[dict[str, Any], str]:
    found = overlaid(config, LOCAL_CLOUD, lambda: HERE)
    return dict(found.config), "\n".join(found.changes)


def test_endpoint_and_token_are_the_labs_however_they_are_spelled() -> None:
    kept, _ = _overlaid(
        **{
            "hcloud:token": REAL,
            "hcloud:endpoint": "https://api.hetzner.cloud/v1",
            "hcloud:config:token": REAL,
            "hcloud:pollInterval": "1s",
        }
    )
    assert REAL not in json.dumps(kept)
    assert "hetzner.cloud" not in json.dumps(kept)
    assert kept["hcloud:endpoint"] == LOCAL_CLOUD.url
    assert kept["hcloud:token"] == LOCAL_CLOUD.token
    assert kept["hcloud:pollInterval"] == "1s"


def test_a_secret_is_left_out_and_told_without_its_text() -> None:
    kept, told = _overlaid(**{"hcloud:token": {"secure": SECRET}, "app:deep": {"a": [{"secure": SECRET}]}})
    assert SECRET not in json.dumps(kept) + told
    assert "app:deep is left out" in told


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["203.0.113.0/24"], ["203.0.113.0/24", HERE]),
        (["2001:db8::/32"], ["2001:db8::/32", HERE]),
        (["198.18.0.0/15"], ["198.18.0.0/15"]),
        (["0.0.0.0/0"], ["0.0.0.0/0"]),
        (["nonsense"], ["nonsense", HERE]),
        ([], []),
    ],
)
def test_a_list_of_other_peoples_networks_lets_this_machine_in_and_nothing_else_changes(
    sources: list[str], expected: list[str]
) -> None:
    mesh = {"cidr": "10.10.0.0/24", "ssh": {"port": 2222, "from": sources}, "nodes": {"a": {"address": "x"}}}
    kept, told = _overlaid(**{"p:mesh": mesh})
    assert kept["p:mesh"] == {**mesh, "ssh": {"port": 2222, "from": expected}}
    assert ("p:mesh.ssh.from has also 198.18.7.1" in told) == (sources != expected)


def test_where_ssh_is_not_limited_nobody_asks_for_the_address() -> None:
    def never() -> str:
        raise AssertionError

    mesh = {"ssh": {"port": 22}}
    assert overlaid({"p:mesh": mesh}, LOCAL_CLOUD, never).config["p:mesh"] == mesh


@pytest.mark.parametrize(
    "words",
    [
        "up --config-file=x.yaml",
        "up --config-file x.yaml",
        "up -C /",
        "up --cwd /",
        "up -c hcloud:token=x",
        "up -chcloud:endpoint=x",
        "up --config hcloud:endpoint=https://api.hetzner.cloud/v1",
        "up --config=hcloud:token=x",
    ],
)
def test_an_option_that_leads_elsewhere_is_refused_without_its_value(words: str) -> None:
    with pytest.raises(RehearsalError) as caught:
        refuse_another_cloud(words.split())
    assert "api.hetzner.cloud" not in str(caught.value)


@pytest.mark.parametrize("words", ["up -c p:x=1", "stack export --file x", "config set hcloud:x y", "up"])
def test_other_words_pass(words: str) -> None:
    refuse_another_cloud(words.split())


class _Listener(http.server.BaseHTTPRequestHandler):
    """Stands in for a real cloud: counts who asks."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(str(self.headers["Authorization"]))
        self.send_response(401)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def real_cloud() -> Iterator[tuple[str, list[str]]]:
    """An address that is not loopback's, and whoever has asked there."""
    handler = type("_Asked", (_Listener,), {"asked": []})
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.1.7:{server.server_port}/v1", handler.asked  # type: ignore[attr-defined]
        server.shutdown()


PROGRAM = """\
import os, pulumi
import pulumi_hcloud as hcloud
pulumi.export("token", pulumi.Config("hcloud").get("token"))
pulumi.export("variable", os.environ.get("HCLOUD_TOKEN"))
hcloud.SshKey("own", name="own", public_key="ssh-ed25519 AAAA", opts=pulumi.ResourceOptions(
    provider=hcloud.Provider("explicit")))
"""


@pytest.mark.parametrize("plain", [True, False])
def test_no_request_and_no_token_leaves_the_lab(
    tmp_path: Path, real_cloud: tuple[str, list[str]], *, plain: bool
) -> None:
    endpoint, asked = real_cloud
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    runtime = f"{{name: python, options: {{virtualenv: {sys.prefix}}}}}"
    (tmp_path / "Pulumi.yaml").write_text(f"name: box\nstackConfigDir: stacks\nruntime: {runtime}\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    token: Any = REAL if plain else {"secure": SECRET}
    config = {"hcloud:endpoint": endpoint, "hcloud:token": token, "box:other": {"secure": SECRET}}
    document = {"encryptionsalt": "v1:AAAA:v1:BBBB:CCCC", "secretsprovider": "awskms://x", "config": config}
    (stacks / "Pulumi.prod.yaml").write_text(yaml.safe_dump(document))
    (stacks / "Pulumi.lab.yaml").write_text(
        f"config:\n  hcloud:endpoint: http://127.0.0.1:1/v1\n  hcloud:token: {'t' * 64}\n"
    )
    before = {path.name: path.read_bytes() for path in stacks.iterdir()}
    done = subprocess.run(
        [sys.executable, "-m", "lab", "--project", str(tmp_path), "--stack", "prod", "run", "up", "--yes"],
        cwd=REPOSITORY, check=False, capture_output=True, text=True, timeout=120,
        env={**os.environ, "HCLOUD_TOKEN": REAL, "HCLOUD_ENDPOINT": endpoint},
    )  # fmt: skip
    assert done.returncode != 0, "nobody listens where the lab's cloud would be"
    assert "hcloud:endpoint is http://127.0.0.1:1/v1" in done.stderr
    assert asked == []
    assert {path.name: path.read_bytes() for path in stacks.iterdir()} == before
    written = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(REAL in text for text in written) == (1 if plain else 0), "in the stack file alone"
    assert REAL not in done.stdout + done.stderr
