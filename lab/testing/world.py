"""A rehearsal in a folder of its own: the project as it is, other ports, other hosts, other state."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from lab.cloud.process import Process
from lab.hosts import HostError, Lab
from lab.hosts.image import build_image
from lab.testing.waiting import free_port

__all__ = ["REPOSITORY", "Run", "World", "interrupt"]

REPOSITORY: Final = Path(__file__).parents[2]
"""The project that is rehearsed."""
_SHARED_FOLDERS: Final = ("lab", "tools", "requirements", ".venv")
_COPIED_FILES: Final = ("__main__.py", "Pulumi.yaml", "Makefile")
_SECONDS: Final = 500
_MOMENT_SECONDS: Final = 0.15
"""How long after a line was printed a run is well into what the line announces."""


@dataclass(frozen=True)
class Run:
    """What a command printed and how it ended."""

    code: int
    out: str

    @property
    def word(self) -> str:
        """The first word of the last line, with which an agent says how it ended; empty without any."""
        return next(iter(self.out.splitlines()[-1].split()), "") if self.out else ""


class World:
    """One project folder with its lab; whoever makes one ends its lab, too."""

    def __init__(self, folder: Path, packages: Sequence[str]) -> None:
        """`packages` are the folders with the program's own code."""
        self.folder = folder
        self.stack_file = folder / "stacks" / "Pulumi.lab.yaml"
        for name in (*packages, *_SHARED_FOLDERS):
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
        (folder / ".lab").mkdir(mode=0o700)
        (folder / ".lab" / "image").symlink_to(image)

    @property
    def hosts(self) -> Lab:
        """The hosts, to look inside."""
        return Lab(self._state, self._image)

    @property
    def _state(self) -> Path:
        return self.folder / ".lab" / "cloud"

    @property
    def _image(self) -> Path:
        return self.folder / ".lab" / "image"

    def start(self) -> None:
        """Start the cloud as `python -m lab start` does, from this process: a Python less, three times."""
        build_image(self._image, "debian-12", print)
        config = yaml.safe_load(self.stack_file.read_text())["config"]
        port = urlsplit(config["hcloud:endpoint"]).port
        assert port is not None
        self._cloud(port, config["hcloud:token"]).start()

    def end(self) -> None:
        """Have nothing left of cloud, hosts and their network; the stack's state stays as it is."""
        self._cloud(0, "").stop()
        hosts = self.hosts
        for machine in hosts.machines():
            hosts.destroy(machine.key)
        hosts.down()

    def _cloud(self, port: int, token: str) -> Process:
        return Process(state=self._state.resolve(), port=port, token=token, images=self._image.resolve())

    def edit(self, key: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change one value of the stack file's configuration."""
        stack = yaml.safe_load(self.stack_file.read_text())
        change(stack["config"][key])
        self.stack_file.write_text(yaml.safe_dump(stack))

    def command(self, *words: str, timeout: int = _SECONDS) -> Run:
        """Run a command in the project folder, without what this process got from another run of Pulumi."""
        foreign = ("PULUMI_", "MAKE", "MFLAGS")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        environment["WGMESH_PULUMI"] = f"{sys.executable} -m lab run"
        result = subprocess.run(
            words, cwd=self.folder, env=environment, check=False, timeout=timeout,
            text=True, errors="replace",  # binary files too are searched for secrets
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Run(result.returncode, result.stdout)

    def lab(self, *words: str, timeout: int = _SECONDS) -> Run:
        """Run `python -m lab ...`."""
        return self.command(sys.executable, "-m", "lab", *words, timeout=timeout)

    def ok(self, *words: str) -> str:
        """Run the engine with Pulumi's words; it must succeed. Returns what it printed."""
        run = self.lab("run", *words)
        assert run.code == 0, run.out
        return run.out

    def up(self) -> str:
        """Run `up`, which must succeed; returns what it printed."""
        return self.ok("up", "--yes", "--skip-preview")

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets in plain."""
        found: dict[str, Any] = self.json("stack", "output", "--json", "--show-secrets")
        return found

    def json(self, *words: str) -> Any:
        """Return what the engine prints as JSON."""
        result = subprocess.run(
            [sys.executable, "-m", "lab", "run", *words],
            cwd=self.folder, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return json.loads(result.stdout)

    def via(self, node: str) -> str:
        """Return the command line that runs the words after it on a host."""
        return f"{sys.executable} -m lab.hosts enter --state .lab/cloud lab-{node} --"

    def _login(self, node: str, script: str) -> list[str]:
        """Return the command line that `via` comes to, without a Python that starts first."""
        hosts = self.hosts
        return hosts.login(hosts.find(f"lab-{node}"), shlex.join(["sh", "-c", script]))

    def on(self, node: str, script: str, *, check: bool = True) -> str:
        """Run a shell script on a host, not over SSH; returns its output."""
        try:
            run = self.command(*self._login(node, script))
        except HostError as error:  # it is off
            run = Run(1, f"error: {error}\n")
        assert run.code == 0 or not check, run.out
        return run.out

    def write(self, node: str, path: str, text: str) -> None:
        """Write a file for root's eyes on a host. The text is in no argument list."""
        subprocess.run(self._login(node, f"umask 077; cat >{path}"), input=text, text=True, check=True)

    def console(self, node: str, script: str) -> None:
        """Run a shell script on a host as at its console, where no start file counts."""
        hosts = self.hosts
        subprocess.run(hosts.enter(hosts.find(f"lab-{node}"), ["sh", "-c", script]), check=True)

    def background(self, node: str, script: str) -> "subprocess.Popen[str]":
        """Start a shell script on a host and go on."""
        return subprocess.Popen(
            self._login(node, script),
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def interrupt(world: World, words: Sequence[str], moment: str, number: int) -> None:
    """Run the engine in a session of its own, and signal it when it prints this. Raises `AssertionError`."""
    run = subprocess.Popen(
        [sys.executable, "-m", "lab", "run", *words],
        cwd=world.folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert run.stdout is not None
    announced = any(moment in line for line in run.stdout)
    if announced:
        time.sleep(_MOMENT_SECONDS)
        os.killpg(run.pid, number)
    run.stdout.read()
    run.wait(timeout=120)
    assert announced, f"the run never printed {moment!r}"
