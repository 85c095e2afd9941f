"""A rehearsal in a folder of its own: the project as it is, other ports, other hosts, other state."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.hosts import Lab

REPOSITORY = Path(__file__).parents[2]
_SHARED_FOLDERS = ("mesh", "lab", "tools", "requirements", ".venv")
_COPIED_FILES = ("__main__.py", "Pulumi.yaml", "Makefile")


@dataclass(frozen=True)
class Run:
    """What a command printed and how it ended."""

    code: int
    out: str


class World:
    """One project folder with its lab. Made by the `world` fixture, which also ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack_file = folder / "stacks" / "Pulumi.lab.yaml"
        for name in _SHARED_FOLDERS:
            (folder / name).symlink_to(REPOSITORY / name)
        for name in _COPIED_FILES:
            (folder / name).write_text((REPOSITORY / name).read_text())
        (folder / "stacks").mkdir()
        stack = (REPOSITORY / "stacks" / "Pulumi.lab.yaml").read_text()
        self.stack_file.write_text(
            re.sub(r"(hcloud:endpoint: http://127.0.0.1:)\d+", rf"\g<1>{free_port()}", stack)
        )
        image = REPOSITORY / ".lab" / "image"
        image.mkdir(parents=True, exist_ok=True)
        (folder / ".lab").mkdir()
        (folder / ".lab" / "image").symlink_to(image)

    def edit_mesh(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the `wireguard-mesh:mesh` part of the stack file."""
        stack = yaml.safe_load(self.stack_file.read_text())
        change(stack["config"]["wireguard-mesh:mesh"])
        self.stack_file.write_text(yaml.safe_dump(stack))

    def command(self, *words: str, timeout: int = 500) -> Run:
        """Run a command in the project folder with this environment's Python first on PATH."""
        foreign = ("PULUMI_", "MAKE", "MFLAGS")  # those of the run that the tests are part of
        environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        environment["WGMESH_PULUMI"] = f"{sys.executable} -m lab run"
        result = subprocess.run(
            words, cwd=self.folder, env=environment, check=False, timeout=timeout,
            text=True, errors="replace",  # binary files too are searched for secrets
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Run(result.returncode, result.stdout)

    def lab(self, *words: str, timeout: int = 500) -> Run:
        """Run `python -m lab ...`."""
        return self.command(sys.executable, "-m", "lab", *words, timeout=timeout)

    def ok(self, *words: str) -> str:
        """Run the engine with Pulumi's words; it must succeed. Returns what it printed."""
        run = self.lab("run", *words)
        assert run.code == 0, run.out
        return run.out

    def up(self) -> str:
        return self.ok("up", "--yes", "--skip-preview")

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in plain."""
        found: dict[str, Any] = self.json("stack", "output", "--json", "--show-secrets")
        return found

    def json(self, *words: str) -> Any:
        result = subprocess.run(
            [sys.executable, "-m", "lab", "run", *words],
            cwd=self.folder, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return json.loads(result.stdout)

    def reach(self) -> Run:
        """Ping all ordered pairs."""
        return self.command(sys.executable, "-m", "mesh", "reach", "--via", self.via("{node}"))

    def via(self, node: str) -> str:
        """The command line that runs what follows it on a node."""
        return f"{sys.executable} -m lab.hosts enter --state .lab/cloud lab-{node} --"

    def on(self, node: str, script: str, *, check: bool = True) -> str:
        """Run a shell script on a node, not over SSH; returns its output."""
        run = self.command(*self.via(node).split(), "sh", "-c", script)
        assert run.code == 0 or not check, run.out
        return run.out

    def console(self, node: str, script: str) -> None:
        """Run a shell script on a node as at its console, where no start file counts."""
        lab = Lab(self.folder / ".lab" / "cloud", self.folder / ".lab" / "image")
        subprocess.run(lab.enter(lab.find(f"lab-{node}"), ["sh", "-c", script]), check=True)

    def background(self, node: str, script: str) -> "subprocess.Popen[str]":
        """Start a shell script on a node and go on."""
        return subprocess.Popen(
            [*self.via(node).split(), "sh", "-c", script],
            cwd=self.folder, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def secrets(self, nodes: Iterable[str]) -> dict[str, str]:
        """Every kind of secret of these nodes by name, as base64."""
        found: dict[str, str] = {}
        for node in nodes:
            conf = self.on(node, "cat /etc/wireguard/wg0.conf")
            (found[f"{node} private key"],) = re.findall(r"^PrivateKey = (.*)$", conf, re.MULTILINE)
            found[f"{node} first pre-shared key"] = re.findall(r"^PresharedKey = (.*)$", conf, re.MULTILINE)[
                0
            ]
            found[f"{node} host key"] = self.on(node, "sed -n 3p /etc/ssh/ssh_host_ed25519_key").strip()
        found["management key"] = self.outputs()["ssh_private_key"].splitlines()[2]
        return found

    def ssh_connections(self, node: str) -> int:
        """How many SSH connections the node's sshd has accepted since it was made."""
        return len(re.findall(r"Accepted publickey", self.on(node, "journalctl -q -o cat -t sshd")))


def stop(world: World, words: list[str], moment: str, number: int) -> None:
    """Run the engine, and signal it and its wrapper when it prints this."""
    run = subprocess.Popen(
        [sys.executable, "-m", "lab", "run", *words],
        cwd=world.folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert run.stdout is not None
    for line in run.stdout:
        if moment in line:
            time.sleep(0.15)  # into what has just been announced
            os.killpg(run.pid, number)
            break
    else:
        pytest.fail(f"the run never printed {moment!r}")
    run.stdout.read()
    run.wait(timeout=120)


def shown(text: str, secrets: Mapping[str, str]) -> list[str]:
    """Name the secrets that a text holds: in base64 or in hex, whole or short of a character."""
    found = []
    for name, secret in secrets.items():
        raw = base64.b64decode(secret + "=" * (-len(secret) % 4))
        if any(form in text for form in (secret[:-1], secret[1:], raw.hex()[1:], raw.hex()[:-1])):
            found.append(name)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
