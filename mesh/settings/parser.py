"""Reads the value of `wireguard-mesh:mesh`, and words everything that is wrong with it."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mesh.names import FIRST_MESH
from mesh.settings.base import Model
from mesh.settings.checks import CHECKS
from mesh.settings.egress import check_egress_families
from mesh.settings.endpoints import check_endpoints
from mesh.settings.findings import Keys, findings
from mesh.settings.machines import KNOWN, MachineKind, MachineModels, models_of
from mesh.settings.models import Settings
from mesh.settings.problems import Problem, SettingsError, Told, path_text, show
from mesh.settings.raw import Finding
from mesh.settings.rotation import with_revoked

__all__ = ["parse_settings"]


def parse_settings(
    raw: object,
    *,
    where: str = "mesh",
    stack: str | None = None,
    mesh: str = FIRST_MESH,
    kinds: Mapping[str, MachineKind] = KNOWN,
) -> Settings:
    """Check the value of `wireguard-mesh:mesh` and return it as settings.

    `where` is what the paths in messages start with; `stack` and `mesh` are the names of
    stack and mesh; `kinds` are the providers
    that nodes may be at, with their keys and their limits. Raises `SettingsError` with every problem.
    """
    if not isinstance(raw, Mapping):
        example = "{cidr: 10.10.0.0/24, nodes: {web-1: {address: 10.10.0.1}}}"
        message = f"{show(raw)} is not a mapping with cidr and nodes; write {example}"
        problem = Problem(path=where, message=message, place=())
        raise SettingsError((problem,))
    raw = with_revoked(raw)
    models = models_of(kinds)
    filled = models.filled(raw)
    settings, details = _validated(filled, models)
    # a key that is no text is reported by the check of names
    readable = [each for each in details if "[key]" not in each["loc"]]
    found: list[Finding | Problem] = [*findings(readable, raw, Keys(filled, models))]
    for kind, names in models.used(filled):
        own = {name: node for name, node in raw["nodes"].items() if str(name) in names}
        found += kind.check({**raw, "nodes": own}, stack, mesh)
    for check in CHECKS:
        found += check(raw)
    if settings is not None and not found:
        found += check_endpoints(settings, raw)
        found += check_egress_families(settings)
    if found or settings is None:
        named = tuple(dict.fromkeys(each for each in found if isinstance(each, Problem)))
        others = [each for each in found if not isinstance(each, Problem)]
        ordered = sorted(_once(others), key=lambda finding: _place(raw, finding[0]))
        raise SettingsError(named + tuple(_problem(where, *finding) for finding in ordered))
    return settings


def _once(found: list[Finding]) -> list[Finding]:
    """Leave out what is found twice: by the words, as a value to write may be one that has no hash."""
    return list(
        {(path, told.text if isinstance(told, Told) else told): (path, told) for path, told in found}.values()
    )


def _problem(where: str, place: tuple[int | str, ...], told: str | Told) -> Problem:
    said = told if isinstance(told, Told) else Told(told)
    return Problem(path=path_text(where, place), message=said.text, place=place, instead=said.instead)


def _validated(raw: Mapping[Any, Any], models: MachineModels) -> tuple[Settings | None, list[ErrorDetails]]:
    """Read nodes and defaults by the models of their kinds, and the whole by its own."""
    details: list[ErrorDetails] = []

    def read(model: type[Model], value: object, *path: str) -> object:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            details.extend({**each, "loc": (*path, *each["loc"])} for each in error.errors())
            return None

    filled = dict(raw)
    filled["defaults"] = read(models.defaults, raw.get("defaults", {}), "defaults")
    nodes = raw.get("nodes")
    if isinstance(nodes, Mapping):
        each = {
            name: read(models.node(node if isinstance(node, Mapping) else {}), node, "nodes", str(name))
            for name, node in nodes.items()
        }
        filled["nodes"] = {name: node for name, node in each.items() if node is not None}
    if filled["defaults"] is None:
        filled["defaults"] = models.defaults()
    return read(Settings, filled), details  # type: ignore[return-value]


def _place(raw: Any, path: tuple[int | str, ...]) -> tuple[int, ...]:
    """Return where a path stands in the file, as numbers that sort; what is not there comes last."""
    place: list[int] = []
    for part in path:
        if isinstance(raw, Mapping):
            keys = [str(key) for key in raw]
            place.append(keys.index(str(part)) if str(part) in keys else len(keys))
            raw = next((value for key, value in raw.items() if str(key) == str(part)), None)
        elif isinstance(part, int):  # an entry of a list
            place.append(part)
            raw = raw[part]
    return tuple(place)
