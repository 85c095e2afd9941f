"""The stack that is rehearsed: its file, its cloud, and the folder in which the engine runs its program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from lab.overlay import LOCAL_CLOUD, CloudAddress, Overlay, cloud_of, overlaid, write_project
from lab.stacks import plain_name, stack_file, stack_files

__all__ = ["RehearsalError", "Rehearsed", "from_anywhere", "refuse_another_cloud"]

_OWN_STACK: Final = "lab"
"""The stack whose file says where the lab's cloud listens."""
_ELSEWHERE: Final = ("--config-file", "--cwd", "-C")
_SETTING: Final = ("--config", "-c")
_FILE: Final = "--file"


class RehearsalError(Exception):
    """The rehearsal cannot go on; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """A stack of the project in a folder."""

    project: Path
    stack: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """What Pulumi.yaml says. Raises `RehearsalError`."""
        path = self.project / "Pulumi.yaml"
        try:
            document = yaml.safe_load(path.read_text())
        except FileNotFoundError:
            raise RehearsalError(
                f"{path}: this file does not exist; --project must name the folder of Pulumi.yaml"
            ) from None
        if not isinstance(document, dict):
            raise RehearsalError(f"{path}: must be a mapping")
        return document

    @property
    def name(self) -> str:
        """The project's name."""
        return str(self.document["name"])

    @property
    def _folder(self) -> Path:
        return self.project / str(self.document.get("stackConfigDir", "."))

    @property
    def file(self) -> Path:
        """The stack's file, or its example. Raises `RehearsalError`, naming those there are, without one."""
        plain_name(self.stack, self.name)
        path = stack_file(self._folder, self.stack)
        if path is None:
            known = ", ".join(stack_files(self._folder)) or "none"
            missing = self._folder / f"Pulumi.{self.stack}.yaml"
            raise RehearsalError(f"{missing}: this stack file does not exist; existing stacks: {known}")
        return path

    def cloud(self) -> CloudAddress:
        """Return the cloud on this machine that the stack's file names, or else the lab's.

        Raises `RehearsalError` for a file without settings.
        """
        if _config(self.file) is None:
            raise RehearsalError(
                f"{self.file} has no `config:` section with the stack's settings; see docs/stack-file.md"
            )
        return self.cloud_by_force()

    def cloud_by_force(self) -> CloudAddress:
        """Return the same, also of a stack that has no file, or one without settings."""
        return self._named(stack_file(self._folder, self.stack)) or self._of_the_lab

    @property
    def _of_the_lab(self) -> CloudAddress:
        return self._named(stack_file(self._folder, _OWN_STACK)) or LOCAL_CLOUD

    @staticmethod
    def _named(path: Path | None) -> CloudAddress | None:
        config = None if path is None else _config(path)
        try:
            return None if config is None else cloud_of(config)
        except ValueError as error:
            raise RehearsalError(f"{path}: {error}") from None

    def overlay(self, operator: Callable[[], str]) -> Overlay | None:
        """Return the changed configuration of a stack that is written for a real cloud; None of any other.

        `operator` finds this machine's address in the lab.
        """
        path = stack_file(self._folder, self.stack)
        config = None if path is None else _config(path)
        if not config or self._named(path) is not None:
            return None
        return overlaid(config, self._of_the_lab, operator)

    def write(self, overlay: Overlay, folder: Path) -> None:
        """Write a project into a folder, in which the engine finds the same program with other settings."""
        write_project(folder, self.document, source=self.project, stack=self.stack, overlay=overlay)


def _config(path: Path) -> Mapping[str, Any] | None:
    try:
        document = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise RehearsalError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    config = document.get("config") if isinstance(document, dict) else None
    return config if isinstance(config, dict) else None


def refuse_another_cloud(words: Sequence[str]) -> None:
    """Refuse options that could send a rehearsal, or a token, elsewhere. Raises `RehearsalError`."""
    given = list(words[: list(words).index("--")] if "--" in words else words)
    for index, word in enumerate(given):
        name, _, value = word.partition("=")
        following = value or (given[index + 1] if index + 1 < len(given) else "")
        if name in _ELSEWHERE or word.startswith("-C"):
            raise RehearsalError(f"{word}: a rehearsal reads the stack file of its own project only")
        if name.startswith(_SETTING) and "hcloud:" in f"{name} {following}":
            raise RehearsalError("an option sets `hcloud:...`, but a rehearsal uses the lab's cloud only")


def from_anywhere(words: Sequence[str], folder: Path) -> list[str]:
    """Return Pulumi's words with the path after `--file` as one that holds in any folder."""
    found: list[str] = []
    for word in words:
        if word.startswith(f"{_FILE}="):
            found.append(f"{_FILE}={folder / word.partition('=')[2]}")
        elif found and found[-1] == _FILE:
            found.append(str(folder / word))
        else:
            found.append(word)
    return found
