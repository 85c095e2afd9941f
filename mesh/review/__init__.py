"""Pure: from a preview as JSON to what a reviewer needs. No Pulumi, no network, no disk."""

from mesh.review.blocks import Review
from mesh.review.form import FORMS, LIMIT, as_markdown, as_terminal
from mesh.review.preview import ReviewError, read_preview
from mesh.review.report import make_review

__all__ = ["FORMS", "LIMIT", "Review", "ReviewError", "as_markdown", "as_terminal", "review"]


def review(text: str) -> Review:
    """Return the review of what `pulumi preview --json` has printed. Raises `ReviewError`."""
    return make_review(read_preview(text))
