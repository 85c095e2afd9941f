"""Whether a mesh is right: asked of the program's own checks, with the limits of every provider."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from mesh.edit.edit import Check
from mesh.plan import PlanError, plan_mesh
from mesh.program.machines import KINDS
from mesh.settings import SettingsError, parse_settings
from mesh.settings.problems import path_text

__all__ = ["checker"]


def checker(stack: str | None) -> Check:
    """Return the check for the mesh of a stack."""
    return partial(_mistakes, stack)


def _mistakes(stack: str | None, mesh: Mapping[Any, Any]) -> str | None:
    """Return what is wrong with a mesh. What Pulumi has encrypted in it cannot be judged."""
    try:
        plan_mesh(parse_settings(mesh, stack=stack, kinds=KINDS))
    except SettingsError as error:
        hidden = tuple(_encrypted(mesh, ()))
        left = tuple(each for each in error.problems if not each.path.startswith(hidden))
        return str(SettingsError(left)) if left else None
    except PlanError as error:
        return str(error)
    return None


def _encrypted(value: Any, path: tuple[int | str, ...]) -> Iterator[str]:
    if isinstance(value, Mapping):
        if set(value) == {"secure"}:
            yield path_text("mesh", path)
        for key, each in value.items():
            yield from _encrypted(each, (*path, str(key)))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _encrypted(each, (*path, index))
