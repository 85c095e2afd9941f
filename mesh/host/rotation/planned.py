"""The plans of rotations on disk: each lies in the folder of the generation whose commit begins it."""

from __future__ import annotations

from ..system.run import sync_folder
from .plan import parse_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Optional

    from ..places import Places
    from .plan import Plan

__all__ = ["PLAN", "committed_plan", "planned_key_names", "read_plan", "remove_plans"]

PLAN = "rotation.json"
"""The plan's name in a generation's folder."""


def read_plan(folder: Path) -> Optional[Plan]:
    """Read the plan of a generation's folder, or of `current`; None where there is none, or it is damaged."""
    try:
        return parse_plan((folder / PLAN).read_bytes())
    except OSError:
        return None


def committed_plan(places: Places) -> Optional[Plan]:
    """Return the plan of the committed generation, where it is damaged its copy; None where there is none."""
    if not places.plan.exists():
        return None
    try:
        return read_plan(places.current) or parse_plan(places.plan_copy.read_bytes())
    except OSError:
        return None


def planned_key_names(places: Places) -> set[str]:
    """Return the fingerprints of all keys that any plan on disk names."""
    plans = [committed_plan(places), *(read_plan(folder) for folder in places.generations.iterdir())]
    return {name for plan in plans if plan for name in plan.key_names()}


def remove_plans(places: Places) -> None:
    """Take all plans away, that of the committed generation last: then the rotation is over.

    A generation to which the node may go back must not begin it again. Raises `OSError`.
    """
    folders = [*places.generations.iterdir(), places.current]
    for path in (folder / PLAN for folder in folders if folder.resolve() != places.current.resolve()):
        path.unlink(missing_ok=True)
    if places.plan.exists():
        places.plan.unlink()
        sync_folder(places.plan.parent)
