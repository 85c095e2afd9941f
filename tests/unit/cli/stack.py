"""What an engine prints for `stack output --json` and `stack export`, and a program that prints it."""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncssh

from mesh.remote import keys_call

REPOSITORY = Path(__file__).parents[3]
NODES: dict[str, Any] = {
    "db-1": {
        "address": "10.10.0.11",
        "enabled": True,
        "public_ip": "192.0.2.11",
        "public_key": "pub db",
        "host_key": "ssh-ed25519 B",
        "ssh_port": 22.0,
    },
    "web-1": {
        "address": "10.10.0.2",
        "enabled": True,
        "public_ip": "192.0.2.2",
        "public_key": "pub web",
        "host_key": "ssh-ed25519 A",
        "ssh_port": 22.0,
    },
}
KEY = asyncssh.generate_private_key("ssh-ed25519")
OUTPUTS: dict[str, Any] = {"nodes": NODES, "ssh_private_key": KEY.export_private_key("openssh").decode()}
# How the engine keeps an output whose resource could not be made.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
URN = "urn:pulumi:lab::wireguard-mesh::wireguard-mesh:index:Mesh$wireguard-mesh:index:Node"
COMMAND = "command:remote:Command"
COPY = "command:remote:CopyToRemote"
SERVER = "hcloud:index/server:Server"


def resource(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"{URN}${kind}::{name}", "type": kind, **more}


def _server(node: str) -> str:
    return f"{URN}${SERVER}::{node}-server"


def command(name: str, stdin: object, **more: Any) -> dict[str, Any]:
    return resource(COMMAND, name, inputs={"stdin": stdin}, **more)


def exported(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"version": 3, "deployment": {"resources": list(resources)}}


def node_resources(node: str) -> list[dict[str, Any]]:
    """What can be replaced of a node that was applied once."""
    with_server = {"deletedWith": _server(node)}
    return [
        resource(SERVER, f"{node}-server"),
        resource(COPY, f"{node}-agent-file", **with_server),
        resource(
            COMMAND,
            f"{node}-keys",
            inputs={"create": keys_call("ab" * 32), "stdin": {"4dabf18193072939515e22adb298388d": "x"}},
            **with_server,
        ),
        command(f"{node}-apply", f"document of {node}\n", **with_server),
    ]


def public_key(seed: str) -> str:
    """A text that has the shape of a WireGuard key."""
    return base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()


def document_of(peers: Mapping[str, tuple[str, str]]) -> str:
    """What a node's document says of its peers: public key, and fingerprint of the pre-shared key."""
    sections = [
        f"\n# {name}\n[Peer]\nPublicKey = {public}\n# PresharedKey = key:{preshared}\n"
        for name, (public, preshared) in peers.items()
    ]
    head = "wgmesh-files 1\n==> /etc/wireguard/wg0.conf <==\n[Interface]\n# PrivateKey = key:ab\n"
    return f"{head}{''.join(sections)}==> end <==\n"


def changed(**nodes: dict[str, Any]) -> dict[str, Any]:
    """`OUTPUTS` with facts of nodes changed; `web_1` is web-1."""
    new = {name.replace("_", "-"): facts for name, facts in nodes.items()}
    return {**OUTPUTS, "nodes": {**NODES, **{name: {**NODES[name], **facts} for name, facts in new.items()}}}


def engine(folder: Path, outputs: Any, *, code: int = 0, more: Sequence[dict[str, Any]] = ()) -> str:
    """A command line that stands for the engine; it leaves what it was asked last in `asked`.

    `more` are resources of the state beside those of the nodes.
    """
    state = exported(*(each for node in NODES for each in node_resources(node)), *more)
    script = folder / "engine.py"
    script.write_text(
        "import pathlib, sys\n"
        f"pathlib.Path({str(folder / 'asked')!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"print({json.dumps(state)!r} if 'export' in sys.argv else {json.dumps(outputs)!r})\n"
        f"sys.exit({code})\n"
    )
    return f"{sys.executable} {script}"


def type_command(
    folder: Path, outputs: Any, *words: str, more: Sequence[dict[str, Any]] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m mesh ...` as an operator types it, for a stack with these outputs; see `engine`."""
    return subprocess.run(
        [sys.executable, "-m", "mesh", *words, "--pulumi", engine(folder, outputs, more=more)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def generations(name: str = "generations", **more: Any) -> dict[str, Any]:
    """The record of keys in the state; `more` is what it has beside the numbers."""
    record = {"mesh": 1, "nodes": {}, "preshared": 1, "out": [], **more}
    kind = "pulumi:index:Stash"
    urn = f"urn:pulumi:lab::wireguard-mesh::wireguard-mesh:index:Mesh${kind}::{name}"
    return {"urn": urn, "type": kind, "inputs": {"input": record}, "outputs": {"input": record}}
