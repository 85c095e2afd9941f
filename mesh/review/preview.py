"""A preview as `pulumi preview --json` writes it, of either engine, read into records."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mesh.names import name_in_urn
from mesh.review.masking import masked

__all__ = ["UNKNOWN", "Diagnostic", "Preview", "ReviewError", "State", "Step", "read_preview"]

# What engines write for a value that is not known before `up` (plugin.UnknownStringValue in Pulumi's SDK).
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SETTINGS: Final = "mesh"
_HALVES: Final = frozenset({"create-replacement", "delete-replaced", "discard-replaced", "read-replacement"})
"""The halves of a replacement, which some displays show beside `replace`."""
_ADVICE: Final = "give the output of `pulumi preview --json`: a file, or standard input"


class ReviewError(Exception):
    """The input is no preview; the message says what helps."""


@dataclass(frozen=True, kw_only=True)
class State:
    """A resource before or after: its type, its URN, its parent's, and its inputs and outputs."""

    type: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    depends: Mapping[str, Sequence[str]]
    """For each input the URNs of the resources that its value comes from."""

    @property
    def name(self) -> str:
        """The last part of the URN."""
        return name_in_urn(self.urn)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What would be done with one resource: create, update, replace, delete, same..."""

    op: str
    urn: str
    old: State | None
    new: State | None
    reasons: tuple[str, ...]
    """Of a replacement: the inputs that do not fit."""

    @property
    def state(self) -> State:
        """The resource as it will be, or as it was where it goes."""
        state = self.new or self.old
        assert state is not None
        return state

    @property
    def name(self) -> str:
        """The last part of the URN."""
        return name_in_urn(self.urn)

    def values(self, key: str) -> tuple[Any, Any]:
        """Return an input before and after."""
        return (
            None if self.old is None else self.old.inputs.get(key),
            None if self.new is None else self.new.inputs.get(key),
        )


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """A message of the preview: error, warning or info."""

    severity: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A whole preview; `settings` are those of the new stack file, empty where they are not known."""

    settings: Mapping[str, Any]
    steps: Sequence[Step]
    diagnostics: Sequence[Diagnostic]
    counts: Mapping[str, int]

    @property
    def changes(self) -> Iterator[Step]:
        """The steps that do something."""
        return (step for step in self.steps if step.op != "same")


def read_preview(text: str) -> Preview:
    """Read a preview. Raises `ReviewError`."""
    if not text.strip():
        raise ReviewError(
            f"the input is empty: the preview failed before it began, or was not asked for; {_ADVICE}"
        )
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ReviewError(f"the input is no JSON ({error}); {_ADVICE}") from None
    if not isinstance(document, Mapping) or not ({"steps", "diagnostics", "changeSummary"} & document.keys()):
        raise ReviewError(f"the input is JSON, but no preview: it has no `steps`; {_ADVICE}")
    try:
        return _preview(masked(document))
    except (AttributeError, KeyError, TypeError, AssertionError):
        raise ReviewError(f"the input has steps that are not those of a preview; {_ADVICE}") from None


def _preview(document: Mapping[str, Any]) -> Preview:
    steps = [_step(each) for each in document.get("steps") or ()]
    return Preview(
        settings=_settings(document.get("config") or {}),
        steps=[step for step in steps if step.op not in _HALVES],
        diagnostics=[
            Diagnostic(severity=str(each.get("severity", "info")), message=_message(each))
            for each in document.get("diagnostics") or ()
        ],
        counts={str(op): int(count) for op, count in (document.get("changeSummary") or {}).items()},
    )


def _message(diagnostic: Mapping[str, Any]) -> str:
    """Return a message without the word for its severity, which Pulumi puts before it."""
    text = str(diagnostic.get("message", "")).strip()
    return text.removeprefix(f"{diagnostic.get('severity')}:").strip()


def _step(step: Mapping[str, Any]) -> Step:
    found = Step(
        op=str(step["op"]),
        urn=str(step["urn"]),
        old=_state(step.get("oldState")),
        new=_state(step.get("newState")),
        reasons=tuple(str(key) for key in step.get("replaceReasons") or ()),
    )
    assert found.state.type
    return found


def _state(state: Mapping[str, Any] | None) -> State | None:
    if not state:
        return None
    return State(
        type=str(state["type"]),
        urn=str(state["urn"]),
        parent=str(state.get("parent") or ""),
        inputs=dict(state.get("inputs") or {}),
        outputs=dict(state.get("outputs") or {}),
        depends={name: tuple(urns or ()) for name, urns in (state.get("propertyDependencies") or {}).items()},
    )


def _settings(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the mesh of the stack file, which engines write as JSON within the JSON."""
    given = next((each for key, each in config.items() if key.rpartition(":")[2] == _SETTINGS), None)
    try:
        value = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        value = None
    return value if isinstance(value, Mapping) else {}
