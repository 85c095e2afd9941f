"""Files with keys in them: each is rendered at one place, of the committed generation and the key store.

`/etc` links to them. Nothing but people and programs of others reads them, and nothing at boot does: what is
committed is the generation, which only names keys, so that a commit stays the renaming of one symlink.
"""

from __future__ import annotations

from ..system.run import replace_link
from .managed import Applied, Managed, applied_as
from .mending import damage, mend
from .wgconf import complete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..places import Places

__all__ = ["collect_leftovers", "link_target", "links_to_us", "put_rendered", "rendered_damage"]


def link_target(places: Places, row: Managed) -> str:
    """Return where the path of a file that is applied by a link must link to."""
    return f"{places.current if row.applied is Applied.LINK else places.state}/{row.name}"


def _former_link(places: Places, row: Managed) -> str:
    """Return where agents before this one linked it to: they put keys into generations."""
    return f"{places.current}/{row.name}"


def links_to_us(places: Places, row: Managed) -> bool:
    """Tell whether a file's path is a link of ours."""
    path = places.at(row.path)
    return path.is_symlink() and str(path.readlink()) in (link_target(places, row), _former_link(places, row))


def _texts(files: Mapping[str, str], keys: Mapping[str, str]) -> dict[str, bytes]:
    return {row.name: complete(files[row.path], keys).encode() for row in applied_as(Applied.RENDERED)}


def rendered_damage(places: Places, files: Mapping[str, str], keys: Mapping[str, str]) -> dict[Path, str]:
    """Say which rendered files are not what the committed files and the keys make of them, and how."""
    return {places.state / name: words for name, words in damage(places.state, _texts(files, keys)).items()}


def put_rendered(places: Places, files: Mapping[str, str], keys: Mapping[str, str]) -> dict[str, str]:
    """Write those rendered files of the committed generation that differ; returns what was wrong, by name.

    A link of an agent before this one goes to them from now on. Raises `OSError`.
    """
    found = mend(places.state, _texts(files, keys))
    for row in applied_as(Applied.RENDERED):
        if links_to_us(places, row):
            target = link_target(places, row)
            if str(places.at(row.path).readlink()) != target:
                replace_link(places.at(row.path), target)
    return found


def collect_leftovers(places: Places) -> None:
    """Remove what a killed write of a rendered file left beside it, keys and all. Raises `OSError`."""
    for row in applied_as(Applied.RENDERED):
        for leftover in places.state.glob(f".{row.name}.*.new"):
            leftover.unlink(missing_ok=True)
