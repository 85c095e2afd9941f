"""What the engine asks of a resource provider, and the values the two exchange.

A provider runs in the engine's process, on its event loop; blocking libraries go through
`asyncio.to_thread`. Values are plain Python (`dict`, `list`, `str`, numbers, `bool`, `None`) in
which `UNKNOWN` stands for what a preview cannot know and `Asset` for a file's content. Secret marks
never reach a provider: the engine takes them off before a call and puts them back by property name.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self, final

Values = Mapping[str, Any]


@final
class Unknown:
    """The type of `UNKNOWN`; compare with `is`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What assets and archives have in common.

    `sha256` is the hex digest of the content and alone decides whether two are equal. At most one of
    `path` (relative to the project folder), `text` and `uri` is set.
    """

    sha256: str
    path: str | None = None
    text: str | None = None
    uri: str | None = None

    @classmethod
    def of(
        cls, *, sha256: str, path: str | None = None, text: str | None = None, uri: str | None = None
    ) -> Self:
        """Return it with the digest of its content, where none is given yet and the content is at hand."""
        if not sha256 and text is not None:
            sha256 = hashlib.sha256(text.encode()).hexdigest()
        elif not sha256 and path is not None and Path(path).is_file():
            sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return cls(sha256=sha256, path=path, text=text, uri=uri)


@dataclass(frozen=True, kw_only=True)
class Asset(_Content):
    """A file or text given as a resource property."""


@dataclass(frozen=True, kw_only=True)
class Archive(_Content):
    """A folder or an archive file given as a resource property."""

    @classmethod
    def of(
        cls, *, sha256: str, path: str | None = None, text: str | None = None, uri: str | None = None
    ) -> Self:
        """Return it with the digest of its content; a folder's is made of its files' names and contents."""
        if not sha256 and path is not None and Path(path).is_dir():
            digest = hashlib.sha256()
            for file in sorted(one for one in Path(path).rglob("*") if one.is_file()):
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{content}  {file.relative_to(path)}\n".encode())
            sha256 = digest.hexdigest()
        return super().of(sha256=sha256, path=path, text=text, uri=uri)


class ProviderError(Exception):
    """A provider's refusal or failure; the message is shown to the user and holds no secret."""


class PartialFailureError(ProviderError):
    """The resource exists but is not as asked: `id` and `outputs` must be recorded before failing."""

    def __init__(self, message: str, *, id: str, outputs: Values) -> None:  # noqa: A002 - Pulumi's word
        super().__init__(message)
        self.id = id
        self.outputs = outputs


class DiffKind(StrEnum):
    """How one property differs, in Pulumi's words."""

    ADD = "add"
    ADD_REPLACE = "add-replace"
    DELETE = "delete"
    DELETE_REPLACE = "delete-replace"
    UPDATE = "update"
    UPDATE_REPLACE = "update-replace"


@dataclass(frozen=True, kw_only=True)
class PropertyDiff:
    """One entry of a detailed diff; `input_diff` says that old and new inputs were compared, not outputs."""

    kind: DiffKind
    input_diff: bool = False


@dataclass(frozen=True, kw_only=True)
class DiffResult:
    """The outcome of comparing a resource with what is asked.

    `replaces` are the property paths that cannot change in place; any entry makes it a replacement.
    `detailed` maps property paths to how they differ; None where the provider gives no detail.
    """

    changes: bool
    replaces: Sequence[str] = ()
    delete_before_replace: bool = False
    diffs: Sequence[str] = ()
    detailed: Mapping[str, PropertyDiff] | None = None


@dataclass(frozen=True, kw_only=True)
class CheckFailure:
    """An input the provider refuses: property name (may be empty) and reason."""

    property: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The inputs with the provider's defaults filled in, or why they are refused."""

    inputs: Values
    failures: Sequence[CheckFailure] = ()


@dataclass(frozen=True, kw_only=True)
class ReadResult:
    """A resource as it is now: its id, the inputs that would give it, its outputs."""

    id: str
    inputs: Values
    outputs: Values


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource the provider made earlier, as the state has it."""

    urn: str
    type: str
    id: str
    inputs: Values
    outputs: Values = field(default_factory=dict)


class Provider(ABC):
    """One package's resources. Every method may raise `ProviderError`."""

    accepts_secrets: bool = False
    """Whether values keep their secret marks; only the engine's own provider looks at them."""

    loses_unknown_secrets: bool = False
    """Whether a preview's answer has an empty text where a secret is unknown."""

    config_defaults: Mapping[str, Any] = MappingProxyType({"__internal": {}})
    """What the inputs of a provider resource of this package have beside its configuration."""

    @abstractmethod
    async def configure(self, config: Values) -> None:
        """Take the provider's configuration (`hcloud:token` arrives as `token`). Called before anything else.

        Values may be `UNKNOWN` in a preview; then later calls in that preview must do without them.
        """

    @abstractmethod
    async def check(self, urn: str, type_: str, olds: Values | None, news: Values) -> CheckResult:
        """Refuse bad inputs, fill in defaults (auto-names too); `olds` are the inputs in the state."""

    @abstractmethod
    async def diff(self, old: Resource, news: Values, ignore_changes: Sequence[str]) -> DiffResult:
        """Compare what is with what is asked; old values are already back in place for ignored paths."""

    @abstractmethod
    async def create(self, urn: str, type_: str, inputs: Values, *, preview: bool) -> tuple[str, Values]:
        """Make it; returns id and outputs. In a preview nothing is touched and outputs may be `UNKNOWN`."""

    async def discard(self, type_: str, inputs: Values) -> bool | None:  # noqa: ARG002 - for those that can look
        """Remove what an interrupted `create` with these inputs made; whether there was anything.

        None where nobody can tell.
        """
        return None

    @abstractmethod
    async def read(self, resource: Resource) -> ReadResult | None:
        """The resource as it is now; None when it is gone."""

    @abstractmethod
    async def update(self, old: Resource, news: Values, *, preview: bool) -> Values:
        """Change it in place; returns the new outputs."""

    @abstractmethod
    async def delete(self, resource: Resource) -> None:
        """Remove it; a resource that is already gone is success."""

    @abstractmethod
    async def invoke(self, token: str, args: Values) -> Values:
        """Answer a function call (`hcloud:index/getImage:getImage`)."""

    async def close(self) -> None:  # noqa: B027 - most providers hold nothing
        """Let go of connections at the end of the operation."""
