"""A rehearsal on this machine: the lab's cloud beside an engine, for the stack in `stacks/`.

Where the cloud listens and which token it takes is what the stack file says. A file that is written for a
real cloud is rehearsed in a copy with another endpoint and token (`overlay.py`), so that the program runs as
it would there, and asks nobody but the lab.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from lab.engine.launch import launch_ahead
from lab.engine.state.backend import STARTED, Backend
from lab.engine.state.kept_keys import KEPT_KEYS
from lab.processes import is_alive
from lab.rehearsed import RehearsalError, Rehearsed, from_anywhere, refuse_another_cloud
from lab.stacks import asks_for_help, named_stack, needs_no_stack, plain_name
from lab.unprotect import lift, protected

__all__ = ["ENGINES", "Rehearsal", "RehearsalError"]

ENGINES = ("lab", "pulumi")
_PASSPHRASE = "rehearsal"  # noqa: S105 - what it protects lives and dies with the lab


_MAKING: Final = frozenset(("up", "preview"))


def _makes_a_stack(words: Sequence[str]) -> bool:
    """Whether these words need a stack in the backend that has a file and is not there yet.

    To look at one makes none.
    """
    return words[0] in _MAKING or [*words[:2]] == ["config", "set"]


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """One project's rehearsal: `project` is its folder, `stack` the stack, `engine` one of `ENGINES`."""

    project: Path
    stack: str
    engine: str

    @property
    def state(self) -> Path:
        """The folder that holds everything the lab keeps: image, cloud, hosts, engine state."""
        return self.project / ".lab"

    @property
    def _rehearsed(self) -> Rehearsed:
        return Rehearsed(project=self.project, stack=self.stack)

    def endpoint(self) -> tuple[int, str]:
        """Return the port and the token of the stack's cloud. Raises `RehearsalError`."""
        cloud = self._rehearsed.cloud()
        return cloud.port, cloud.token

    def start(self) -> None:
        """Build the host image if need be and start the cloud; does nothing when it runs."""
        port, token = self.endpoint()
        self._refuse_the_other_engine()
        self._command()
        self._make_state()
        _run_as_root([sys.executable, "-m", "lab.hosts", "image", "--directory", str(self.state / "image")])
        _run_as_root(
            [
                *(sys.executable, "-m", "lab.cloud", "start"),
                *("--state", str(self.state / "cloud"), "--port", str(port), "--token", token),
                *("--images", str(self.state / "image")),
            ]
        )

    def _make_state(self) -> None:
        """Make the folder for everything the lab keeps; nobody else may look into it."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        if self.state.stat().st_uid == os.geteuid():
            self.state.chmod(0o700)

    def stop(self) -> None:
        """Stop the cloud and every host; nothing is left outside the state folder."""
        state = str(self.state / "cloud")
        _run_as_root([sys.executable, "-m", "lab.cloud", "stop", "--state", state])
        _run_as_root([sys.executable, "-m", "lab.hosts", "down", "--state", state])

    def down(self) -> int:
        """Destroy the stack through its engine, then stop everything; returns an exit code.

        What is left in the cloud then, made by a run that was killed, goes with the cloud, and is told.
        What cannot be destroyed in order is still stopped: no host outlives this call. While another stack
        has something in this cloud, cloud and hosts go on.
        """
        self._refuse_the_other_engine()
        others = [name for name in self._stacks() if name != self.stack and self._has_resources(name)]
        code = 0
        try:
            if self._has_resources(self.stack):
                self.start()
                code = self._destroy()
        finally:
            if not others:
                self.stop()
        if others:
            _say_who_stays(self.stack, others, destroyed=code == 0)
        elif code == 0:
            _run_as_root([sys.executable, "-m", "lab.cloud", "forget", "--state", str(self.state / "cloud")])
            (self.state / "owner").unlink(missing_ok=True)
        else:
            print(
                "error: could not destroy the stack cleanly (see above). Its hosts are stopped; the next "
                "`make up` repairs what is left",
                file=sys.stderr,
            )
        return code

    def _destroy(self) -> int:
        """Delete every resource, with the program's hooks and today's configuration where it can run.

        Also what is protected: the rehearsal is over, with its cloud.
        """
        words = ["destroy", "--yes", "--skip-preview"]
        kept = protected(self._resources(self.stack))
        if kept:
            print(
                f"{self.stack} has protected resources, which `pulumi destroy` does not delete. This is a "
                f"rehearsal: these {len(kept)} are deleted, too",
                flush=True,  # before what the engine prints
            )
            lift(kept, self._rehearsed.cloud())
            words.append("--ignore-protect")
        code = self.run([*words, "--run-program"])
        if code != 0:
            # the provider fails at a server that is gone already, until a refresh has noticed
            print("trying again without the program, from the state and what the cloud has", file=sys.stderr)
            code = self.run([*words, "--refresh"])
        return code

    def run(self, words: Sequence[str], *, in_place: bool = False) -> int:
        """Run the engine with Pulumi's `words`, which name no stack, on this one; returns its exit code.

        `stack import` is how the other engine takes the state over; anything else it is refused. With
        `in_place` and the lab's engine, no other process is started: this one takes the engine's folder and
        environment, and keeps them.
        """
        command = self._command()
        if needs_no_stack(words) or asks_for_help(words):
            return self._engine(words, self.environment(), in_place=in_place)
        by_name = named_stack(words)[0]
        if by_name is None:
            _ = self._rehearsed.file
        refuse_another_cloud(words)
        importing = [*words[:2]] == ["stack", "import"]
        if not importing:
            self._refuse_the_other_engine()
        environment = self.environment()
        folder = self._engine_folder(tell=words[0] in _MAKING)
        if by_name is None and (importing or _makes_a_stack(words)):
            self._select(command, folder, environment)
        if not importing:
            self._own_state()
        self._release_lock_of_the_dead(command, folder, environment)
        about = [] if by_name is not None else ["--stack", self.stack]
        if folder != self.project:
            _refuse_writing(words, self._rehearsed.file)
            words, about = from_anywhere(words, self.project), [*about, "--cwd", str(folder)]
        program = folder if words[0] in _MAKING else None
        code = self._engine([*words, *about], environment, in_place=in_place, program=program)
        if importing and code == 0:
            self._take_over_state()
        return code

    def _engine(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        *,
        in_place: bool,
        program: Path | None = None,
    ) -> int:
        """Run the engine in the project's folder, on the `program` in that folder; returns its exit code."""
        if in_place and self.engine == "lab":
            if program is not None:
                launch_ahead(program, environment)
            return _become_engine(words, self.project, environment)
        return _run_to_its_end([*self._command(), *words], self.project, environment)

    def about(self, named: str, *, given: bool) -> "Rehearsal":
        """Return the same rehearsal for the stack that the engine's words name. Raises `RehearsalError`.

        With `given`, this one's stack was named too, and must be the same.
        """
        stack = plain_name(named, self._project_name())
        if given and stack != self.stack:
            raise RehearsalError(
                f"two stacks are named, {self.stack} and {stack}: name one. `make STACK={self.stack}` and a "
                f"command line given by --pulumi may already have their own --stack"
            )
        return replace(self, stack=stack)

    def _project_name(self) -> str:
        return self._rehearsed.name

    def _engine_folder(self, *, tell: bool) -> Path:
        """Return the folder that the engine runs in: of a stack for a real cloud, one with a changed copy.

        With `tell`, the changes are printed.
        """
        rehearsed = self._rehearsed
        overlay = rehearsed.overlay(self._operator)
        if overlay is None:
            return self.project
        self._make_state()
        folder = self.state / "rehearsed"
        rehearsed.write(overlay, folder)
        if tell:
            changes = "".join(f"\n  {change}" for change in overlay.changes)
            print(
                f"this rehearsal runs a copy of {rehearsed.file} with these changes:{changes}",
                file=sys.stderr,
            )
        return folder

    def _operator(self) -> str:
        """Return this machine's address in the lab."""
        words = ("-m", "lab.hosts", "operator", "--state", str(self.state / "cloud"))
        return _told_to_root([sys.executable, *words])

    def _state_file(self, stack: str) -> Path:
        """Where either engine keeps a stack's state."""
        return self.state / self.engine / ".pulumi" / "stacks" / self._project_name() / f"{stack}.json"

    def _stacks(self) -> list[str]:
        return sorted(path.stem for path in self._state_file("any").parent.glob("*.json"))

    def _has_resources(self, stack: str) -> bool:
        """Whether a stack's state has anything beside the stack itself and providers."""
        latest = self._latest(stack)
        kept = [each["type"] for each in latest.get("resources") or ()]
        return bool(latest.get("pending_operations")) or any(
            kind != "pulumi:pulumi:Stack" and not kind.startswith("pulumi:providers:") for kind in kept
        )

    def _resources(self, stack: str) -> list[Mapping[str, Any]]:
        return list(self._latest(stack).get("resources") or ())

    def _latest(self, stack: str) -> Mapping[str, Any]:
        """Return the last state of a stack; nothing of one that is not there."""
        backend, project = Backend(f"file://{self.state / self.engine}"), self._project_name()
        return backend.glance(project, stack) if backend.exists(project, stack) else {}

    def environment(self) -> Mapping[str, str]:
        """Return the environment either engine runs in: own backend, own home, a known passphrase.

        The provider's own variables name the lab's cloud: also a program that reads these stays in the lab.
        """
        cloud = self._rehearsed.cloud_by_force()
        backend = self.state / self.engine
        self._make_state()
        backend.mkdir(mode=0o700, exist_ok=True)
        mine = {
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONTINUE_ON_ERROR": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "HCLOUD_ENDPOINT": cloud.url,
            "HCLOUD_TOKEN": cloud.token,
        }
        if self.engine == "pulumi":
            mine["PULUMI_HOME"] = str(self.state / "pulumi-home")
        if not os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
            mine["PULUMI_CONFIG_PASSPHRASE"] = os.environ.get("PULUMI_CONFIG_PASSPHRASE") or _PASSPHRASE
        found = {**os.environ, **mine}
        found.pop(KEPT_KEYS, None)
        if mine.get("PULUMI_CONFIG_PASSPHRASE") == _PASSPHRASE:
            found[KEPT_KEYS] = str(self.state / "derived-keys")
        return found

    def _select(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        """Create the stack in the backend when it is not there yet."""
        if self._state_file(self.stack).exists():
            return
        result = subprocess.run(
            [*command, "stack", "init", self.stack, "--cwd", str(folder)],
            cwd=self.project, env=environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if result.returncode != 0 and "already exists" not in result.stderr:
            raise RehearsalError(f"could not create the stack {self.stack}: {result.stderr.strip()}")

    def _release_lock_of_the_dead(
        self, command: Sequence[str], project: Path, environment: Mapping[str, str]
    ) -> None:
        """Do what Pulumi leaves to people: release the stack's lock when the run that held it was killed.

        Safe here, as the lab's state is used from this machine only.
        """
        backend = Backend(f"file://{self.state / self.engine}")
        locks = backend.locks(self._project_name(), self.stack)
        if locks and not any(_goes_on(lock) for lock in locks):
            print("an earlier run was killed: releasing its lock", file=sys.stderr)
            subprocess.run(
                [*command, "cancel", "--yes", "--stack", self.stack, "--cwd", str(project)],
                cwd=self.project, env=environment, check=False, stdout=subprocess.DEVNULL,
            )  # fmt: skip

    def _command(self) -> list[str]:
        """Return how the engine is called. Raises `RehearsalError` where it is not installed."""
        return [sys.executable, "-m", "lab.engine"] if self.engine == "lab" else [_pulumi()]

    def _own_state(self) -> None:
        """Remember which engine keeps this lab's state, now that it has begun."""
        (self.state / "owner").write_text(f"{self.engine}\n")

    def _refuse_the_other_engine(self) -> None:
        owner = self._owner()
        if owner not in {None, self.engine}:
            raise RehearsalError(
                f"this lab's state belongs to the engine {owner!r}, not to {self.engine!r}: run "
                f"`make down ENGINE={owner}` first, or move the state: "
                f"`ENGINE={owner} .venv/bin/python -m lab run stack export --file state.json`, then "
                f"`ENGINE={self.engine} .venv/bin/python -m lab run stack import --file state.json`"
            )

    def _take_over_state(self) -> None:
        """From now on the state is this engine's; what the other one kept would only grow stale."""
        for other in set(ENGINES) - {self.engine}:
            if (self.state / other).exists():
                kept = self.state / f"{other}-before-import"
                shutil.rmtree(kept, ignore_errors=True)
                (self.state / other).rename(kept)
        (self.state / "owner").write_text(f"{self.engine}\n")

    def _owner(self) -> str | None:
        """Return the engine that keeps this lab's state; None when none has made anything yet."""
        marker = self.state / "owner"
        owner = marker.read_text().strip() if marker.exists() else None
        return owner if owner == self.engine or self._has_made_something(owner) else None

    def _has_made_something(self, engine: str | None) -> bool:
        """Whether an engine's states, in Pulumi's folder backend, have a resource."""
        if engine is None:
            return False
        folder = self.state / engine / ".pulumi" / "stacks"
        states = (*folder.rglob("*.json"), *folder.rglob("*.journal"))
        return any('"urn":' in path.read_text() for path in states)


def _say_who_stays(stack: str, others: Sequence[str], *, destroyed: bool) -> None:
    also = " and ".join(f"`make down STACK={name}`" for name in others)
    names = " and ".join(others)
    stays = f"cloud and hosts keep running, because this lab also has the stack {names}; {also} stops them"
    if destroyed:
        print(f"the stack {stack} is destroyed; {stays}")
    else:
        print(f"error: could not destroy the stack {stack} cleanly (see above); {stays}", file=sys.stderr)


def _run_to_its_end(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Run an engine; Ctrl-C is its business, which reaches it too, and ends in an orderly way."""
    process = subprocess.Popen(command, cwd=folder, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def _become_engine(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Run the lab's engine in this process: to start another one takes 60 ms. Returns its exit code."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    from lab.engine.cli.main import main  # noqa: PLC0415 - other commands start without it

    return main(words)


def _goes_on(lock: Mapping[str, Any]) -> bool:
    """Whether the run that holds a lock goes on, and not a later process with the number of a dead one."""
    pid = lock.get("pid", 0)
    if STARTED in lock:
        return is_alive(pid, lock[STARTED])
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"pulumi")


def _pulumi() -> str:
    found = shutil.which("pulumi")
    if found is None:
        raise RehearsalError("ENGINE=pulumi needs `pulumi` on PATH: see https://www.pulumi.com/docs/install/")
    return found


def _refuse_writing(words: Sequence[str], path: Path) -> None:
    """Refuse to change a setting of the copy, which would be lost. Raises `RehearsalError`."""
    if words[0] == "config" and any(word in {"set", "set-all", "rm", "rm-all"} for word in words[1:2]):
        raise RehearsalError(f"a rehearsal runs a copy of {path}: change this file itself")


def _run_as_root(command: Sequence[str]) -> None:
    if subprocess.run([*_root(), *command], check=False).returncode != 0:
        raise _failed(command)


def _told_to_root(command: Sequence[str]) -> str:
    """Return what a command prints that must run as root."""
    done = subprocess.run([*_root(), *command], check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise _failed(command)
    return done.stdout.strip()


def _root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "--"]


def _failed(command: Sequence[str]) -> RehearsalError:
    return RehearsalError(f"`{' '.join(command[1:4])}` failed; its message is above")
