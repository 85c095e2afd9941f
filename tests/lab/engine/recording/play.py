"""Taking a case's steps with an engine's command line, and recording what it did."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.lab.engine.recording.normal import Normal
from tests.lab.engine.recording.order import unordered

__all__ = ["play"]

_PASSPHRASE: Final = "correct-horse"
_SECONDS: Final = 180
"""How long one command may take."""
_OPERATIONS: Final = ("preview", "up", "destroy", "refresh")


def play(case: Path, folder: Path, engine: Sequence[str], environment: Path) -> list[dict[str, Any]]:
    """Return a record of each step of a case, taken in a new folder by an engine's command line.

    `environment` is the virtual environment that programs run in.
    """
    return _Play(case, folder, engine, environment).run()


class _Play:
    def __init__(self, case: Path, folder: Path, engine: Sequence[str], environment: Path) -> None:
        self._case = case
        self._told: dict[str, Any] = yaml.safe_load((case / "case.yaml").read_text())
        self._folder = folder
        self._engine = list(engine)
        self._project, self._tmp = folder / "project", folder / "tmp"
        for path in (self._project / "stacks", self._tmp):
            path.mkdir(parents=True)
        about = {
            "name": "conf",
            "runtime": {"name": "python", "options": {"virtualenv": str(environment)}},
            "stackConfigDir": "stacks",
        }
        (self._project / "Pulumi.yaml").write_text(yaml.safe_dump(about))
        self._stack_file = self._project / "stacks" / "Pulumi.dev.yaml"
        self._normal = Normal({self._project: "<PROJECT>", self._tmp: "<TMP>", environment: "<VENV>"})
        self._backends = 0
        self._environment: dict[str, str] = {}
        self._new_backend()

    def run(self) -> list[dict[str, Any]]:
        self._checked("stack", "init", "dev")
        self._configure({"tmp": str(self._tmp)} if self._told.get("tmp") else {}, {})
        self._configure(self._told.get("config") or {}, self._told.get("secrets") or {})
        before: list[dict[str, Any]] = []
        records = []
        for number, step in enumerate(self._told["steps"], 1):
            record = {"step": number, **self._take(step)}
            after = self._normal.state(self._exported())
            # what is planned and then fails is in no state: the preview has what it needs
            known = [*after["resources"], *record.get("preview", {}).pop("planned", [])]
            for name in _OPERATIONS:
                if "steps" in record.get(name, {}):
                    steps = record[name]["steps"]
                    record[name]["unordered"] = unordered(steps, [*before, *known], [*before, *known])
            record["outputs"] = _stack_outputs(after)
            record["state"] = after
            files = self._files(step)
            if files:
                record["files"] = files
            records.append(record)
            before = after["resources"]
        return records

    def _new_backend(self) -> None:
        self._backends += 1
        backend = self._folder / f"backend{self._backends}"
        backend.mkdir()
        self._environment = {
            **os.environ,
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_COMMANDS": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "NO_COLOR": "1",
        }

    # -------------------------------------------------------------- the command line

    def _command(self, *words: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._engine, *words], cwd=self._project, env={**self._environment, **environment}, text=True,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False,
        )  # fmt: skip

    def _checked(self, *words: str) -> str:
        done = self._command(*words, environment={})
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def _configure(self, plain: Mapping[str, Any], secret: Mapping[str, Any]) -> None:
        for key, value in plain.items():
            self._checked("config", "set", key, str(value))
        for key, value in secret.items():
            self._checked("config", "set", "--secret", key, str(value))

    def _exported(self) -> dict[str, Any]:
        done = self._command("stack", "export", "--show-secrets", environment={})
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}

    # -------------------------------------------------------------- steps

    def _take(self, step: Mapping[str, Any]) -> dict[str, Any]:
        if step.get("program"):
            shutil.copy(self._case / step["program"], self._project / "__main__.py")
        self._configure(step.get("config") or {}, step.get("secrets") or {})
        for name in step.get("touch") or []:
            (self._tmp / name).touch()
        for name in step.get("remove") or []:
            (self._tmp / name).unlink(missing_ok=True)
        action = step.get("action", "up")
        takes = {
            "up": self._up,
            "destroy": self._without_program,
            "refresh": self._without_program,
            "killed-up": self._killed,
            "cancel": self._cancelled,
            "reimport": self._imported,
            "command": self._any_command,
        }
        return takes[action](step)

    def _up(self, step: Mapping[str, Any]) -> dict[str, Any]:
        found, args = {}, _words(step, "args")
        if step.get("preview", True):
            words = ["preview", "--json", *args, *_words(step, "previewArgs")]
            found["preview"] = self._operation(words, step)
        if step.get("update", True):
            words = ["up", "--yes", "--skip-preview", "--non-interactive", *args, *_words(step, "upArgs")]
            found["up"] = self._operation(words, step)
        return found

    def _without_program(self, step: Mapping[str, Any]) -> dict[str, Any]:
        found, args, verb = {}, _words(step, "args"), step["action"]
        if step.get("preview", True):
            found["preview"] = self._operation([verb, "--preview-only", "--json", *args], step)
        words = [verb, "--yes", "--skip-preview", "--non-interactive", *args]
        return {**found, verb: self._operation(words, step)}

    def _operation(self, words: Sequence[str], step: Mapping[str, Any]) -> dict[str, Any]:
        log = self._folder / "events.log"
        log.unlink(missing_ok=True)
        done = self._command(*words, "--event-log", str(log), environment=_passphrase(step))
        record: dict[str, Any] = {"rc": done.returncode}
        if log.exists():
            record.update(self._normal.events(log.read_text().splitlines()))
        if words[0] == "preview" and done.stdout.lstrip().startswith("{"):
            plan = json.loads(done.stdout)
            record["json"] = self._normal.plan(plan)
            record["jsonSummary"] = dict(sorted((plan.get("changeSummary") or {}).items()))
            states = [one.get("newState") for one in plan.get("steps") or []]
            record["planned"] = [self._normal.record(state) for state in states if state]
        errors = self._normal.errors(done.stderr + ("" if "--json" in words else done.stdout))
        if done.returncode and errors:
            record["error"] = errors[-1]
        return record

    def _killed(self, step: Mapping[str, Any]) -> dict[str, Any]:
        words = [*self._engine, "up", "--yes", "--skip-preview", "--non-interactive", *_words(step, "args")]
        process = subprocess.Popen(
            words, cwd=self._project, env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + 60
        while not (self._tmp / step["marker"]).exists() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)
        below = _below(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pid in below:  # plugins and the command itself have process groups of their own
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.5)
        return {"up": {"rc": "killed"}}

    def _cancelled(self, step: Mapping[str, Any]) -> dict[str, Any]:
        done = self._command("cancel", "--yes", environment=_passphrase(step))
        return {"cancel": {"rc": done.returncode}}

    def _imported(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Take the state, encrypted, to a new backend; without the stack file the salt is a new one."""
        exported = self._folder / "exported.json"
        exported.write_text(self._checked("stack", "export"))
        kept = self._stack_file.read_text()
        keeps = step.get("keepConfig", True)
        if not keeps:
            self._stack_file.unlink()
        self._new_backend()
        self._checked("stack", "init", "dev")
        if keeps:
            self._stack_file.write_text(kept)
        done = self._command("stack", "import", "--file", str(exported), environment=_passphrase(step))
        return {"import": {"rc": done.returncode}}

    def _any_command(self, step: Mapping[str, Any]) -> dict[str, Any]:
        done = self._command(*_words(step, "args"), environment=_passphrase(step))
        record: dict[str, Any] = {"rc": done.returncode}
        errors = self._normal.errors(done.stderr + done.stdout)
        if errors:
            record["error"] = errors[-1]
        if step.get("stdout"):
            record["stdout"] = self._normal.text(done.stdout).strip().splitlines()
        return {"command": record}

    def _files(self, step: Mapping[str, Any]) -> dict[str, list[str] | None]:
        found = {name: self._normal.lines(self._tmp / name) for name in _words(step, "read")}
        for name in _words(step, "readSorted"):
            lines = self._normal.lines(self._tmp / name)
            found[name] = None if lines is None else sorted(lines)
        return found


def _words(step: Mapping[str, Any], key: str) -> list[str]:
    return [str(word) for word in step.get(key) or []]


def _passphrase(step: Mapping[str, Any]) -> dict[str, str]:
    return {"PULUMI_CONFIG_PASSPHRASE": step["passphrase"]} if "passphrase" in step else {}


def _stack_outputs(state: Mapping[str, Any]) -> Any:
    stacks = [one for one in state["resources"] if one["type"] == "pulumi:pulumi:Stack"]
    return stacks[0].get("outputs", {}) if stacks else None


def _below(pid: int) -> list[int]:
    """Return every process that a process has started, directly or not."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(path.name))
    found: list[int] = []
    frontier = [pid]
    while frontier:
        fresh = children.get(frontier.pop(), [])
        found += fresh
        frontier += fresh
    return found
