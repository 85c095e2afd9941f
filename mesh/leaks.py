"""What looks like a secret in a text, so that no message and no review repeats it. Imports no other room."""

import re
from typing import Final

__all__ = ["PRIVATE_KEY", "TOKEN", "WIREGUARD_KEY", "has_secret"]

PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN[A-Z ]* PRIVATE KEY-----.*?(?:-----END[A-Z ]* PRIVATE KEY-----|\Z)", re.DOTALL
)
"""A private key in PEM, or what is left of one."""
WIREGUARD_KEY: Final = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
"""Base64 of 32 bytes: every WireGuard key (whitepaper 5.4), private, pre-shared or public."""
TOKEN: Final = re.compile(
    # Hetzner Cloud: 64 letters and digits. A digest has no capitals, a public SSH key begins with AAAA.
    r"(?<![\w+/])(?!AAAA)(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{64}(?![\w+/=])"
    r"|\bpul-[0-9a-f]{40}\b"  # Pulumi Cloud
    r"|\bgh[opsu]_[A-Za-z0-9]{36}|\bgithub_pat_\w{50}"
)
"""A token of Hetzner Cloud, of Pulumi Cloud or of GitHub."""


def has_secret(text: str) -> bool:
    """Whether a text holds what looks like a private key, a pre-shared key or a token."""
    return "PRIVATE KEY" in text or bool(WIREGUARD_KEY.search(text) or TOKEN.search(text))
