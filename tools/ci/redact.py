"""No secret leaves a job in a comment, an issue, a summary or a log.

Engine and program mark their secrets. This is the second lock: errors of other programs pass here, too.
"""

import os
import re
from typing import Final

from tools.ci.runner import ACCESS

__all__ = ["redacted"]

_HIDDEN: Final = "***"
_TERMINAL: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_SHAPES: Final = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    # A token of Hetzner Cloud: 64 letters and digits. A SHA-256 in hex has no capitals.
    re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z0-9]*[A-Z])(?=[A-Za-z0-9]*[a-z])[A-Za-z0-9]{64}(?![A-Za-z0-9])"),
    re.compile(r"\bpul-[0-9a-f]{40}\b"),  # an access token of Pulumi Cloud
    re.compile(r"(?<=://)[^/@\s:]+:[^/@\s]+(?=@)"),  # user and password in an address
)


def redacted(text: str) -> str:
    """Return the text without this job's secrets, and without control characters of a terminal."""
    text = _TERMINAL.sub("", text)
    values = (line for name in (*ACCESS, "GH_TOKEN") for line in os.environ.get(name, "").split("\n"))
    for value in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(value, _HIDDEN)
    for shape in _SHAPES:
        text = shape.sub(_HIDDEN, text)
    return text
