"""Remedies that can be applied literally: doing so on a copy, and keeping those that help."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from mesh.settings.problems import Instead, Problem

__all__ = ["mended", "proven"]

_MOST = 50  # problems whose remedies are tried: each costs a reading of the whole mesh


def mended(raw: Any, place: Sequence[int | str], remedy: Instead) -> Any:
    """Return a copy of a mesh with a remedy applied at the place of the mistake. Raises `LookupError`."""
    changed = copy.deepcopy(raw)
    if not place:
        return remedy.write if remedy.kind == "value" else changed
    owner = changed
    for part in place[:-1]:
        owner = owner[part]
    if remedy.kind == "value":
        owner[place[-1]] = remedy.write
    elif remedy.kind == "remove":
        del owner[place[-1]]
    else:
        renamed = {remedy.write if key == place[-1] else key: value for key, value in owner.items()}
        owner.clear()
        owner.update(renamed)
    return changed


def proven(
    raw: Any, problems: Sequence[Problem], check: Callable[[Any], Sequence[Problem]]
) -> Iterator[Problem]:
    """Yield the problems with those remedies alone that leave fewer problems; `check` finds them all."""
    for index, problem in enumerate(problems):
        place = problem.place
        if place is None or not problem.instead or index >= _MOST:
            yield replace(problem, instead=())
            continue
        helps = [one for one in problem.instead if len(check(mended(raw, place, one))) < len(problems)]
        yield replace(problem, instead=tuple(helps))
