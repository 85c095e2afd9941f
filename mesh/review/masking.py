"""No private key gets out of a preview: what looks like one is replaced before anything reads it.

Engines mask what is marked as secret. This is for what should have been, and for previews with secrets shown.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from mesh.leaks import PRIVATE_KEY, TOKEN, WIREGUARD_KEY, has_secret

__all__ = ["MASK", "masked"]

MASK: Final = "[secret]"
"""What both engines show for a secret."""

_SPECIAL: Final = "4dabf18193072939515e22adb298388d"  # marks a special value in a state (resource.SigKey)
# Only a public key has its name before it.
_KEY: Final = re.compile(rf"(PublicKey\s*=\s*)?{WIREGUARD_KEY.pattern}")


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
    if not has_secret(text):
        return text
    text = PRIVATE_KEY.sub(MASK, text)
    text = _KEY.sub(lambda found: found[0] if found[1] else MASK, text)
    return TOKEN.sub(MASK, text)
