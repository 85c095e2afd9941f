"""No private key gets out of a preview: what looks like one is replaced before anything reads it.

Engines mask what is marked as secret. This is for what should have been, and for previews with secrets shown.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["MASK", "masked"]

MASK: Final = "[secret]"
"""What both engines show for a secret."""

_SPECIAL: Final = "4dabf18193072939515e22adb298388d"  # marks a special value in a state (resource.SigKey)
_BEGINS: Final = re.compile(r"-----BEGIN[A-Z ]* PRIVATE KEY-----")
_PEM: Final = re.compile(
    r"-----BEGIN[A-Z ]* PRIVATE KEY-----.*?(?:-----END[A-Z ]* PRIVATE KEY-----|\Z)", re.DOTALL
)
# A WireGuard key is base64 of 32 bytes (whitepaper 5.4). Only a public one has its name before it.
_KEY: Final = re.compile(r"(?<![\w+/])(PublicKey\s*=\s*)?([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)(?![\w+/=])")
# An API token at Hetzner: 64 letters and digits. A digest in hex has no capital letters.
_TOKEN: Final = re.compile(r"(?<![\w+/])(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{64}(?![\w+/=])")


def masked(value: Any) -> Any:
    """Return a value of JSON in which private keys, pre-shared keys and tokens are replaced by `MASK`."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        if _SPECIAL in value:
            return MASK
        return {_text(str(name)): masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [masked(each) for each in value]
    return value


def _text(text: str) -> str:
    if _BEGINS.search(text):
        text = _PEM.sub(MASK, text)
    if len(text) < 44:
        return text
    text = _KEY.sub(lambda found: found[0] if found[1] else MASK, text)
    return _TOKEN.sub(MASK, text)
