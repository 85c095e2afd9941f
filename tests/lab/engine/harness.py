"""The engine's command line, run in this process on a project in a temporary folder."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from lab.engine.cli.main import main
from lab.engine.deploy.journal import Journal
from lab.engine.state.model import urn_name

PASSPHRASE = "four-words-make-one"
# made once for this passphrase: deriving a key takes a second
STACK_FILE = """\
encryptionsalt: v1:EakVyhqSEn0=:v1:CetVXYHoba+DWven:/4AGP2t6B9VG+EbKv9CXpjit5IFIow==
"""
PRELUDE = (Path(__file__).parent / "cases" / "prelude.py").read_text()


@dataclass
class Ran:
    """What one command did."""

    code: int
    out: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def steps(self) -> list[str]:
        """The steps that began, as `<operation> <name>`, without `same` and without default providers."""
        found = []
        for event in self.events:
            step = event.get("resourcePreEvent")
            if step is None or step["metadata"]["op"] == "same":
                continue
            name = urn_name(step["metadata"]["urn"])
            if not name.startswith("default"):
                found.append(f"{step['metadata']['op']} {name}")
        return found

    def counts(self) -> dict[str, int]:
        return next(e["summaryEvent"]["resourceChanges"] for e in self.events if "summaryEvent" in e)


class Project:
    """A project with one stack, `dev`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / ".backend"
        self.state.mkdir(parents=True)
        (folder / "Pulumi.yaml").write_text(
            f"name: box\nruntime:\n  name: python\n  options:\n    virtualenv: {sys.prefix}\n"
        )
        (folder / "Pulumi.dev.yaml").write_text(STACK_FILE)
        self.environment = {
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_STACK": "dev",
            "NO_COLOR": "1",
        }
        self._read = 0
        self.run("stack init dev")

    def write(self, program: str) -> None:
        """Make this the program."""
        (self.folder / "__main__.py").write_text(PRELUDE + program)

    def run(self, words: str | Sequence[str], **environment: str) -> Ran:
        """Run a command in this process."""
        arguments = words.split() if isinstance(words, str) else list(words)
        events = self.folder / "events.jsonl"
        events.unlink(missing_ok=True)
        logged = arguments[0] in {"up", "preview", "destroy", "refresh"}
        if logged:
            arguments += ["--event-log", str(events)]
        out = io.StringIO()
        with (
            self._inside({**self.environment, **environment}),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            code = _exit_code(arguments)
        lines = events.read_text().splitlines() if logged and events.exists() else []
        return Ran(code=code, out=out.getvalue(), events=[json.loads(line) for line in lines])

    @contextlib.contextmanager
    def _inside(self, environment: Mapping[str, str]) -> Iterator[None]:
        before = Path.cwd()
        with (
            mock.patch.dict(os.environ, environment),
            mock.patch.object(Journal, "finish", _finish_as_journalled),
        ):
            os.chdir(self.folder)
            try:
                yield
            finally:
                os.chdir(before)

    def export(self) -> dict[str, Any]:
        """The state with its secrets."""
        deployment: dict[str, Any] = json.loads(self.run("stack export --show-secrets").out)["deployment"]
        return deployment

    def records(self) -> list[dict[str, Any]]:
        """The records in the state but for default providers."""
        return [
            record
            for record in self.export().get("resources") or []
            if not urn_name(record["urn"]).startswith("default")
        ]

    def log(self) -> list[str]:
        """What commands have written to `log` since this was last asked."""
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        fresh, self._read = lines[self._read :], len(lines)
        return fresh


_finish = Journal.finish


def _finish_as_journalled(journal: Journal) -> None:
    """End an operation; what is then written whole must be what the state's file and its journal said."""
    keeps: Any = journal._keeps
    if keeps is not None:
        journal._keep(keeps)
    journalled = keeps is not None and keeps._journal is not None
    told = _contents(keeps._stack.deployment()) if journalled else None
    _finish(journal)
    assert told is None or told == _contents(keeps._stack.deployment())


def _contents(deployment: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in deployment.items() if value and name != "manifest"}


def _exit_code(words: Sequence[str]) -> int:
    try:
        return main(words)
    except SystemExit as exit_:
        return int(exit_.code or 0)


def plain(value: Any) -> Any:
    """A value of an exported state with its secrets as `{"secret": value}`."""
    if isinstance(value, dict):
        if "plaintext" in value:
            return {"secret": plain(json.loads(value["plaintext"]))}
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
