"""The one question that every value of the stack file is asked first: is it text at all?"""

from collections.abc import Callable

from mesh.settings.meant import accepts
from mesh.settings.problems import refuse, show

__all__ = ["text"]


def text(value: object, what: str, field: Callable[[object], object]) -> str:
    """Return `value` if it is text; `what` says what to give instead, `field` takes what may be given."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        if not accepts(field, value[0]):
            raise refuse(f"{show(value)} is a list; give {what}, without brackets")
        raise refuse(
            f"{show(value)} is a list; give {what}: write {show(value[0])}, without brackets", value[0]
        )
    said = f"{show(value)} is not text; give {what}, in quotes if need be"
    written = _written(value)
    if written is not None and accepts(field, written):
        raise refuse(f"{said}: write '{written}'", written)
    raise refuse(said)


def _written(value: object) -> str | None:
    """Return a number as it stands in the file; None of what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if value == value // 1 else str(value)
