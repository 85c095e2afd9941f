"""What a refused text was probably meant to be: without slips of keyboard, editor or word processor."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Final

from pydantic_core import PydanticCustomError

from mesh.leaks import has_secret

__all__ = ["accepts", "meant", "plain"]

# Letters of Cyrillic that look like Latin ones (Unicode TR 39), and what word processors put
# in place of hyphens, slashes, dots and quotes.
_CYRILLIC: Final = (
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0423\u0406"
    "\u0405\u0408\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u0455\u0458\u0501"
)
_LATIN: Final = "ABEKMHOPCTXYISJaeopcxyisjd"
_ALIKE: Final = str.maketrans(
    {
        **dict(zip(_CYRILLIC, _LATIN, strict=True)),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2044\u2215\uff0f", "/"),
        **dict.fromkeys("\u2024\u3002\uff0e", "."),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019\u201a\u201b", ""),
    }
)
_INVISIBLE: Final = frozenset(
    {"Cf", "Cc"}
)  # Unicode categories: zero-width spaces, joiners, control characters


_asking: ContextVar[bool] = ContextVar("asking", default=False)


def plain(given: str) -> str:
    """Return a text in ASCII as far as can be: without what is invisible, accents or quotes around it."""
    alike = unicodedata.normalize("NFKD", given.translate(_ALIKE)).translate(_ALIKE)
    seen = (
        " " if letter.isspace() else letter
        for letter in alike
        if letter.isspace() or unicodedata.category(letter) not in _INVISIBLE
    )
    ascii_only = "".join(letter for letter in seen if not unicodedata.combining(letter))
    return ascii_only.strip().strip("'\"`").strip()


def accepts(field: Callable[[object], object], value: object) -> bool:
    """Whether a field takes a value that it would propose; no while it is being asked that already.

    Fields ask this when they refuse a value. What they say of a proposal is of no interest.
    """
    if _asking.get():
        return False
    token = _asking.set(True)
    try:
        field(value)
    except PydanticCustomError:
        return False
    finally:
        _asking.reset(token)
    return True


def meant(given: str, field: Callable[[object], object], *more: str) -> str | None:
    """Return what `given` is without slips, where the field takes that; None where nothing helps.

    `more` are further guesses, in the order of their likelihood. Nothing is guessed from a secret.
    """
    if has_secret(given):
        return None
    return next((guess for guess in _guesses(given, more) if guess != given and accepts(field, guess)), None)


def _guesses(given: str, more: tuple[str, ...]) -> Iterator[str]:
    tidy = plain(given)
    yield from (given.strip(), tidy, tidy.lower())
    for guess in more:
        yield from (guess, guess.lower())
    yield from (tidy.strip(",;. ").lower(), re.sub(r"\s+", "", tidy).lower())
