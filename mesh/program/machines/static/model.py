"""Pure: what the stack file says of a server that is there already, and by what it is known."""

import base64
import hashlib
from typing import Final

from mesh.plan import NodePlan
from mesh.settings.static import StaticMachine

__all__ = ["fingerprint", "host_of", "identity_of", "is_identity", "key_of", "wanted"]

_SIGN: Final = "SHA256:"


def wanted(node: NodePlan) -> StaticMachine:
    """Return what the stack file says of a node's server."""
    assert isinstance(node.machine, StaticMachine)
    return node.machine


def host_of(node: NodePlan) -> str:
    """Return the address of a node's server; the settings' check has seen that there is one."""
    found = wanted(node).host
    assert found is not None
    return found


def key_of(node: NodePlan) -> str:
    """Return the public host key that a node's server has at first contact."""
    found = wanted(node).host_key
    assert found is not None
    return found


def identity_of(node: NodePlan) -> str:
    """Return what this server has and no other one: the fingerprint of its own host key.

    Its address is no part of that: a server that moves to another address is still the same.
    """
    return fingerprint(key_of(node))


def is_identity(value: object) -> bool:
    """Tell whether a value is the identity of such a server: a cloud's servers have numbers."""
    return isinstance(value, str) and value.startswith(_SIGN)


def fingerprint(line: str) -> str:
    """Return the fingerprint of a public key as `ssh-keygen -l` prints it: SHA-256 in base64."""
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return f"{_SIGN}{base64.b64encode(digest).decode().rstrip('=')}"
