"""The one question that every value of the stack file is asked first: is it text at all?"""

from mesh.settings.problems import refuse, show

__all__ = ["text"]


def text(value: object, what: str) -> str:
    """Return `value` if it is text; `what` says what to give instead."""
    if not isinstance(value, str):
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            raise refuse(f"{show(value)} is a list; give {what}: write {show(value[0])}, without brackets")
        raise refuse(f"{show(value)} is not text; give {what}, in quotes if need be")
    return value
