"""What the engine cannot tell yet, told from what it never will in this run."""

from typing import Any

import pulumi

from mesh.render import UNKNOWN

__all__ = ["known", "unknown_for_good"]


def known(value: Any) -> Any:
    """Return a value as the files are rendered from it: `UNKNOWN` for one that the engine does not know."""
    return UNKNOWN if isinstance(value, pulumi.output.Unknown) else value


def unknown_for_good(values: Any) -> bool:
    """Whether something is missing that no later step of this run will make: what should have, failed.

    The engine skips what needs it; no text with a gap may come into being.
    """
    return not pulumi.runtime.is_dry_run() and bool(pulumi.output.contains_unknowns(values))
