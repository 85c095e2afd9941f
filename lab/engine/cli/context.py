"""What every command needs: the project, the backend, the stack, its secrets."""

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from lab.engine.project import Config, Project, ProjectError, StackFile
from lab.engine.provider import ProviderError
from lab.engine.state.backend import Backend
from lab.engine.state.checkpoint import Checkpoint
from lab.engine.state.journal_file import JournalFile
from lab.engine.state.model import STACK_TYPE, Snapshot, StateError
from lab.engine.state.secrets import Crypter
from lab.stacks import ORGANIZATION, StackNameError, plain_name

__all__ = ["CommandError", "Session", "Stack", "salt_of"]


class CommandError(Exception):
    """A command cannot be done; printed as `error: ...`, exit code 1 unless another is given."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Session:
    """One call of the command line."""

    cwd: Path
    stack_option: str | None

    @cached_property
    def project(self) -> Project:
        """The project in the current folder or above it."""
        return Project.find(self.cwd)

    @cached_property
    def backend(self) -> Backend:
        """Where PULUMI_BACKEND_URL says; without it `.lab/engine` of the project."""
        default = self.project.folder / ".lab" / "engine"
        return Backend(os.environ.get("PULUMI_BACKEND_URL") or f"file://{default}")

    @property
    def _selected_file(self) -> Path:
        return Path(self.backend.url.removeprefix("file://"), ".pulumi", f"selected-{self.project.name}")

    def selected(self) -> str | None:
        """Return the stack that was selected."""
        return self._selected_file.read_text().strip() if self._selected_file.exists() else None

    def unselect(self) -> None:
        """Forget which stack was selected."""
        self._selected_file.unlink(missing_ok=True)

    def select(self, name: str) -> None:
        """Remember a stack for commands that do not name one."""
        self._selected_file.parent.mkdir(parents=True, exist_ok=True)
        self._selected_file.write_text(name)

    def stack_name(self) -> str:
        """Return the stack this call is about. Raises `CommandError`."""
        name = self.stack_option or os.environ.get("PULUMI_STACK")
        if not name and self._selected_file.exists():
            name = self._selected_file.read_text().strip()
        if not name:
            raise CommandError("no stack selected; name one with --stack, or `stack select` it")
        try:
            return plain_name(name, self.project.name)
        except StackNameError as error:
            raise CommandError(str(error)) from None

    def stack_outputs(self, name: str) -> Mapping[str, Any]:
        """Return the outputs of a stack of this backend by its name, as the state has them now.

        `<stack>`, `organization/<stack>` and `organization/<project>/<stack>` are names (pulumi/pulumi,
        pkg/backend/diy/store.go). Raises `ProviderError`.
        """
        *head, stack = name.split("/")
        if len(head) > 2 or not stack:
            raise ProviderError(f"stack name {name!r} is not of the form organization/<project>/<stack>")
        if head and head[0] != ORGANIZATION:
            raise ProviderError(f"organization name must be '{ORGANIZATION}'")
        project = head[1] if len(head) == 2 else self.project.name
        if not self.backend.exists(project, stack):
            raise ProviderError(f'unknown stack "{name}"')
        try:
            return _outputs(self.backend.read(project, stack))
        except StateError as error:
            raise ProviderError(f"stack {name}: {error}") from error

    def stack(self) -> "Stack":
        """Return an existing stack. Raises `CommandError`."""
        name = self.stack_name()
        if not self.backend.exists(self.project.name, name):
            raise CommandError(f"no stack named '{name}' found")
        return Stack(session=self, name=name)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One stack of the project."""

    session: Session
    name: str

    @cached_property
    def file(self) -> StackFile:
        """The stack's configuration file."""
        return self.session.project.stack_file(self.name)

    @cached_property
    def crypter(self) -> Crypter:
        """The stack's secrets; with a new salt when the stack file has none. Raises `StateError`."""
        passphrase = read_passphrase()
        salt = self.file.salt
        if salt is None:
            return Crypter.create(passphrase)
        return _open(passphrase, salt)

    def open_ahead(self) -> None:
        """Begin to derive the key of the secrets beside all else that a run has to do first."""
        threading.Thread(target=self._try_to_open, daemon=True).start()

    def _try_to_open(self) -> None:
        with suppress(StateError, ProjectError, OSError):  # told to the one who needs the key
            if self.file.salt is not None:
                _open(read_passphrase(), self.file.salt)

    def keep_salt(self) -> None:
        """Write a new salt to the stack file; called before anything is kept that needs it."""
        if self.file.salt is None:
            self.file.set_salt(self.crypter.salt)

    def config(self) -> Config:
        """Return the decrypted configuration. Raises `CommandError`."""
        try:
            crypter = self.crypter
        except StateError as error:
            reason = str(error).partition(":")[0]
            raise CommandError(f"getting stack configuration: get stack secrets manager: {reason}") from None
        return Config.read(self.session.project, self.file, crypter)

    def deployment(self) -> dict[str, Any]:
        """Return the state as JSON, secrets encrypted."""
        return self.session.backend.read(self.session.project.name, self.name)

    def state_checkpoint(self, deployment: Mapping[str, Any]) -> Checkpoint:
        """Return what reads this deployment: its own salt counts, with the same passphrase."""
        provider, salt = deployment.get("secrets_providers") or {}, salt_of(deployment)
        if provider and provider.get("type") != "passphrase":
            raise CommandError(
                f"the state's secrets are kept by {provider.get('type')!r}; this engine has a passphrase only"
            )
        return Checkpoint(self.crypter if salt is None else _open(read_passphrase(), salt))

    def load(self, deployment: Mapping[str, Any]) -> tuple[Snapshot, Checkpoint]:
        """Return what a deployment holds and what writes it again under the salt of the stack file.

        Under the same salt, unchanged secrets keep their ciphertexts.
        """
        reader = self.state_checkpoint(deployment)
        snapshot = reader.load(deployment)
        return snapshot, reader if reader.salt == self.crypter.salt else Checkpoint(self.crypter)

    def snapshot(self) -> Snapshot:
        """Return the state with its secrets decrypted."""
        deployment = self.deployment()
        return self.state_checkpoint(deployment).load(deployment)

    def outputs(self) -> Mapping[str, Any]:
        """Return the stack's outputs with their secrets decrypted, and nothing else of the state."""
        deployment = self.deployment()
        records = [each for each in deployment.get("resources") or [] if not _is_no_stack(each)]
        found = self.state_checkpoint(deployment).load({"resources": records}).resources
        return found[0].outputs if found else {}

    def has_journal(self) -> bool:
        """Whether the state is more than its file has: a run that was killed left changes beside it."""
        return self.session.backend.has_journal(self.session.project.name, self.name)

    def journal(self, head: Mapping[str, Any]) -> JournalFile:
        """Begin a journal of the state as its file has it; the caller holds the stack."""
        self.keep_salt()
        return self.session.backend.journal(self.session.project.name, self.name, head)

    def write(self, deployment: str) -> None:
        """Replace the state by a deployment as JSON text."""
        self.keep_salt()
        self.session.backend.write(self.session.project.name, self.name, deployment)


def _is_no_stack(record: Any) -> bool:
    """Whether this is the record of something else; what is no record at all is not told from the stack's."""
    return isinstance(record, dict) and record.get("type", STACK_TYPE) != STACK_TYPE


def _outputs(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the outputs of the root resource of a deployment, under the salt that it names."""
    salt = salt_of(deployment)
    for record in deployment.get("resources") or []:
        if record["type"] == STACK_TYPE and not record.get("parent"):
            checkpoint = Checkpoint(_open(read_passphrase(), str(salt)))
            return checkpoint.load({"resources": [record]}).resources[0].outputs
    return {}


def salt_of(deployment: Mapping[str, Any]) -> str | None:
    """Return the salt that a deployment's secrets are under; None where it names none."""
    provider = deployment.get("secrets_providers") or {}
    salt: str | None = (provider.get("state") or {}).get("salt")
    return salt


_OPENING: Final = threading.Lock()


def _open(passphrase: str, salt: str) -> Crypter:
    """Return what opens secrets under a salt; to derive the key takes most of a second, so once."""
    with _OPENING:
        return _opened(passphrase, salt)


@cache
def _opened(passphrase: str, salt: str) -> Crypter:
    return Crypter.open(passphrase, salt)


def read_passphrase() -> str:
    """Return the passphrase from the environment or its file. Raises `StateError`."""
    path = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if path:
        return Path(path).read_text().strip()
    passphrase = os.environ.get("PULUMI_CONFIG_PASSPHRASE")
    if passphrase is None:
        raise StateError(
            "passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE "
            "environment variables"
        )
    return passphrase
