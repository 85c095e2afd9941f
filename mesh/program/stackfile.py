"""The part of the stack file that is this program's, as the engine hands it over."""

import json
import os
from typing import Any, Final

import pulumi

from mesh.settings import Problem, SettingsError

__all__ = ["stack_settings"]

_KEY: Final = "mesh"
_GUIDE: Final = "docs/stack-file.md has an example"


def stack_settings() -> Any:
    """Return the value of `PROJECT:mesh`, whatever it is. Raises `pulumi.RunError` without one."""
    given = pulumi.Config().get(_KEY)
    if given is None or not given.strip():
        missing = Problem(path=f"Pulumi.{pulumi.get_stack()}.yaml", message=_missing())
        raise pulumi.RunError(str(SettingsError((missing,))))
    try:
        return json.loads(given)
    except ValueError:
        return given


def _missing() -> str:
    """Say that the key is missing, and which one of those there are may be meant for it."""
    wanted = f"{pulumi.get_project()}:{_KEY}"
    near = next((key for key in _keys() if key.rpartition(":")[2] == _KEY), None)
    has = "" if near is None else f" (it has {near})"
    return f"has no `{wanted}` under `config:`{has}; {_GUIDE}"


def _keys() -> list[str]:
    """The names of all configuration keys: the engine hands them to the program in its environment."""
    try:
        found = json.loads(os.environ.get("PULUMI_CONFIG", "{}"))
    except ValueError:
        return []
    return sorted(found) if isinstance(found, dict) else []
