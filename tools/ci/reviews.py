"""A preview of the engine, as the review that a person reads."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.ci.engine import Ran, engine, mesh
from tools.ci.redact import redacted
from tools.ci.texts import LIMIT_BYTES

__all__ = ["PreviewError", "Review", "digest_in", "digest_mark", "review"]

_STILL: Final = frozenset(("same", "read", "refresh"))
_WHOLE_BYTES: Final = 1_000_000_000
# The stashes of a mesh that say which keys the nodes are given, and which are in force.
_NUMBERS: Final = re.compile(
    r"\bwireguard-mesh:index:Mesh\$pulumi:index:Stash::([^:]+\.)?(generations|rotation)$"
)
_DIGEST: Final = "<!-- wireguard-mesh: digest "


class PreviewError(Exception):
    """The engine, or the review of its preview, failed; the message holds the errors, without secrets."""


@dataclass(frozen=True)
class Review:
    """What a run of `up` would do: `text` in Markdown, cut to a number of bytes.

    `digest` is the SHA-256 of the whole review in hex: equal reviews have equal consequences. `changes` says
    whether anything would change, `rotates` whether keys would, or still have to on some nodes.
    """

    text: str
    digest: str
    changes: bool
    rotates: bool


def digest_mark(digest: str) -> str:
    """Return an invisible line of Markdown that holds a digest."""
    return f"{_DIGEST}{digest} -->"


def digest_in(text: str) -> str | None:
    """Return the digest that an earlier run wrote into a text; None when there is none."""
    _, found, after = text.rpartition(_DIGEST)
    return after[:64] if found else None


def review(stack: str, folder: Path, *options: str, limit: int = LIMIT_BYTES) -> Review:
    """Preview the stack, with these options of the engine, and review the preview. Raises `PreviewError`.

    `folder` is for the preview's document, which stays on this machine; `limit` is in bytes.
    """
    ran = engine("preview", "--json", *options, stack=stack)
    document = _document(ran)
    if document is None or ran.code != 0:
        raise PreviewError(_errors(ran, document))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "preview.json"
    file.touch(mode=0o600)
    file.write_text(ran.out)
    text = whole = _reviewed(file, _WHOLE_BYTES)
    if len(whole.encode()) > limit:
        text = _reviewed(file, limit)
    changes = document.get("changeSummary") or {}
    return Review(
        text=text,
        digest=hashlib.sha256(whole.encode()).hexdigest(),
        changes=any(count for operation, count in changes.items() if operation not in _STILL),
        rotates=any(
            step.get("op") not in _STILL and _NUMBERS.search(str(step.get("urn")))
            for step in document.get("steps") or ()
        ),
    )


def _reviewed(file: Path, limit: int) -> str:
    ran = mesh("review", str(file), "--format", "markdown", "--limit", str(limit))
    if ran.code != 0:
        raise PreviewError(redacted(ran.said or ran.out) or "`mesh review` failed and said nothing")
    return redacted(ran.out).strip()


def _document(ran: Ran) -> dict[str, Any] | None:
    try:
        found = json.loads(ran.out)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _errors(ran: Ran, document: dict[str, Any] | None) -> str:
    """Return what went wrong: the engine's errors from its document, or else all that the engine printed."""
    told = [
        str(each.get("message", "")).strip()
        for each in (document or {}).get("diagnostics") or ()
        if each.get("severity") == "error"
    ]
    parts = told if document is not None else [ran.out.strip()]
    text = "\n".join(part for part in (*parts, ran.said.strip()) if part)
    return redacted(text) or f"the engine ended with exit code {ran.code} and said nothing"
