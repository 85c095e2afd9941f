"""The version of Pulumi's format a state has: 3, or 4 when it uses something older readers would lose."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["refusal", "stamp", "stamp_of_text"]

_PLAIN: Final = 3
_WITH_FEATURES: Final = 4
# pulumi/pulumi, pkg/resource/stack/deployment.go: what a resource's record has -> the feature's name.
_FEATURES: Final = {
    "resourceHooks": "hooks",
    "replaceWith": "replaceWith",
    "refreshBeforeUpdate": "refreshBeforeUpdate",
    "taint": "taint",
    "viewOf": "views",
}
_UNDERSTOOD: Final = {"hooks", "replaceWith"}


def stamp(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands beside a deployment: its version, and the features that version 4 names."""
    used = {
        feature
        for resource in deployment.get("resources") or []
        for name, feature in _FEATURES.items()
        if resource.get(name)
    }
    return _stamp(used)


def stamp_of_text(deployment: str) -> dict[str, Any]:
    """Return the same for a deployment as compact JSON text, in which `"name":` stands for a key only."""
    return _stamp({feature for name, feature in _FEATURES.items() if f'"{name}":' in deployment})


def _stamp(used: set[str]) -> dict[str, Any]:
    return {"version": _WITH_FEATURES, "features": sorted(used)} if used else {"version": _PLAIN}


def refusal(document: Mapping[str, Any]) -> str | None:
    """Return why this engine cannot read a state, None if it can."""
    version = document["version"]
    if version not in {_PLAIN, _WITH_FEATURES}:
        return f"has version {version}, but this engine reads only versions {_PLAIN} and {_WITH_FEATURES}"
    strange = sorted(set(document.get("features") or ()) - _UNDERSTOOD)
    return f"uses {', '.join(strange)}, but this engine does not support that" if strange else None
