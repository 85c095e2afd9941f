"""Pure: what the tunnel's interface is to be."""

from __future__ import annotations

from ..records import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional

    from .device import Device, Link

__all__ = ["Before", "Wanted"]


@dataclass(frozen=True)
class Wanted:
    """An interface with the names of its keys; `keys` are all names that must be in the key store."""

    device: Device
    link: Link
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Before:
    """What the committed files make of the device, None where nothing is committed.

    `former` has the public keys that peers had until a rotation of keys, by those they get.
    """

    device: Optional[Device]
    former: Mapping[str, str]
