"""Whether the cloud has what nodes are to be made of, type, image and location, and whether they fit.

Pure: what the cloud has on offer is looked up elsewhere (`catalog.py`).
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

from mesh.settings import Problem

__all__ = ["ImageOffer", "Offers", "Present", "TypeOffer", "Wish", "doubts", "refusals"]

# Names of types and locations are short: cx23 and cx33 are no slip of the hand.
_ALIKE: Final = 0.7


@dataclass(frozen=True, kw_only=True)
class TypeOffer:
    """A server type: architecture, disk in GB, where it is sold, where just now, and where not for long."""

    architecture: str
    disk: int
    sold: frozenset[str]
    in_stock: frozenset[str]
    until: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ImageOffer:
    """An image: the architectures it exists for, the disk it needs in GB, and until when it can be taken."""

    architectures: frozenset[str]
    disk: int
    usable: bool = True
    until: str | None = None


@dataclass(frozen=True, kw_only=True)
class Offers:
    """What the cloud has: its locations, its types by name, and the images that were asked for.

    `image_names` are all that are known, for suggestions.
    """

    locations: tuple[str, ...]
    types: Mapping[str, TypeOffer]
    images: Mapping[str, ImageOffer]
    image_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Present:
    """What a server is now; `disk` in GB. None where it is not known."""

    location: str | None = None
    type: str | None = None
    image: str | None = None
    disk: int | None = None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a node is to be made of, and the server it has now; None when it is still to be made.

    `paths` say where in the stack file each of `location`, `type` and `image` is given.
    """

    node: str
    location: str
    type: str
    image: str
    paths: Mapping[str, str]
    present: Present | None = None

    @property
    def is_made(self) -> bool:
        """Whether a server is made for it: the first one, or another one elsewhere."""
        return self.present is None or self.present.location not in {None, self.location}

    @property
    def is_resized(self) -> bool:
        """Whether the server it has becomes one of another type."""
        return not self.is_made and self.present is not None and self.present.type != self.type

    @property
    def is_new(self) -> bool:
        """Whether anything in it differs from the server that is there, so that it must be looked up."""
        present = self.present
        known = None if present is None else (present.location, present.type, present.image)
        return known != (self.location, self.type, self.image)


def refusals(wishes: Iterable[Wish], offers: Offers) -> tuple[Problem, ...]:
    """Return what cannot be done, each with its place in the stack file, and nothing twice."""
    return _problems((wish, _refused(wish, offers)) for wish in wishes)


def doubts(wishes: Iterable[Wish], offers: Offers) -> tuple[Problem, ...]:
    """Return what can be done today and may fail or end soon."""
    return _problems((wish, _doubted(wish, offers)) for wish in wishes)


def _problems(found: Iterable[tuple[Wish, Iterable[tuple[str, str]]]]) -> tuple[Problem, ...]:
    problems = (
        Problem(path=wish.paths[key], message=message) for wish, said in found for key, message in said
    )
    return tuple(dict.fromkeys(problems))


def _refused(wish: Wish, offers: Offers) -> Iterator[tuple[str, str]]:
    if wish.location not in offers.locations:
        yield (
            "location",
            f"the cloud has no location {wish.location}; {_near(wish.location, offers.locations)}",
        )
    kind = offers.types.get(wish.type)
    if kind is None:
        near = _near(wish.type, offers.types)
        yield "type", f"the cloud has no server type {wish.type}; {near}"
    elif wish.location in offers.locations and (wish.is_made or wish.is_resized):
        yield from _not_sold(wish, kind, offers)
    image = offers.images.get(wish.image)
    if image is None:
        yield "image", f"the cloud has no image {wish.image}; {_near(wish.image, offers.image_names)}"
    elif wish.is_made and kind is not None:
        yield from _image_does_not_fit(wish, kind, image)
    if wish.is_resized and kind is not None:
        yield from _cannot_become(wish, kind, offers)


def _not_sold(wish: Wish, kind: TypeOffer, offers: Offers) -> Iterator[tuple[str, str]]:
    if wish.location not in kind.sold:
        places = ", ".join(place for place in offers.locations if place in kind.sold) or "nowhere any more"
        there = ", ".join(
            name
            for name, other in offers.types.items()
            if wish.location in other.in_stock and other.architecture == kind.architecture
        )
        message = (
            f"{wish.type} is not sold in {wish.location} ({wish.node}); it is sold in {places}; "
            f"{wish.location} has {there or 'no type of this architecture'}"
        )
        yield "type", message
    elif wish.present is not None and wish.location not in kind.in_stock:
        lost = "its server would be deleted" if wish.is_made else "its server would be powered off"
        message = (
            f"{wish.type} is sold out in {wish.location} at the moment, but {lost} for the change "
            f"({wish.node}); try again later, or choose another type"
        )
        yield "type", message


def _image_does_not_fit(wish: Wish, kind: TypeOffer, image: ImageOffer) -> Iterator[tuple[str, str]]:
    if not image.usable:
        message = f"{wish.image} cannot be used: not ready, or no longer on offer; choose another image"
        yield "image", message
    elif kind.architecture not in image.architectures:
        has = " and ".join(sorted(image.architectures))
        message = (
            f"{wish.image} is made for {has}, but {wish.type} ({wish.node}) is {kind.architecture}; choose "
            f"another image, or another type"
        )
        yield "image", message
    elif image.disk > kind.disk:
        message = (
            f"{wish.image} needs a disk of {image.disk} GB, and {wish.type} ({wish.node}) has {kind.disk}; "
            f"take a larger type"
        )
        yield "image", message


def _cannot_become(wish: Wish, kind: TypeOffer, offers: Offers) -> Iterator[tuple[str, str]]:
    present = wish.present
    assert present is not None
    now = offers.types.get(present.type or "")
    if now is not None and now.architecture != kind.architecture:
        message = (
            f"{wish.node} is {now.architecture} ({present.type}), and {wish.type} is {kind.architecture}: "
            f"a server cannot change its architecture; choose another type, or add a new node and take "
            f"this node out"
        )
        yield "type", message
        return
    disk = present.disk or (None if now is None else now.disk)
    if disk is not None and kind.disk < disk:
        message = (
            f"{wish.node} has a disk of {disk} GB, {wish.type} has {kind.disk}, and a disk never shrinks; "
            f"choose a type with a disk as large, or add a new node and take this node out"
        )
        yield "type", message


def _doubted(wish: Wish, offers: Offers) -> Iterator[tuple[str, str]]:
    kind, image = offers.types.get(wish.type), offers.images.get(wish.image)
    if kind is not None and (wish.is_made or wish.is_resized) and wish.location in kind.sold:
        if wish.location not in kind.in_stock and wish.present is None:
            message = (
                f"{wish.type} is sold out in {wish.location} at the moment: creating {wish.node} will "
                f"probably fail; choose another type or location, or try again later"
            )
            yield "type", message
        if wish.location in kind.until:
            yield "type", f"{wish.type} is sold in {wish.location} only until {kind.until[wish.location]}"
    if image is not None and wish.is_made and image.until is not None:
        yield "image", f"{wish.image} can be used only until {image.until}"


def _near(word: str, known: Iterable[str]) -> str:
    words = list(known)
    near = difflib.get_close_matches(word, words, n=len(words) or 1, cutoff=_ALIKE)
    listed = f"it has {', '.join(words)}" if words else "it has none"
    # of several that are as near, the one that begins alike: cx33 rather than cx23 for cx32
    best = max(near, key=lambda each: _alike(each, word), default=None)
    return listed if best is None else f"did you mean {best}? {listed}"


def _alike(one: str, other: str) -> int:
    """How many characters two words have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
