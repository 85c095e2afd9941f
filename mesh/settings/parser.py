"""Reads the value of `wireguard-mesh:mesh`, and words everything that is wrong with it."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mesh.names import FIRST_MESH
from mesh.settings.base import Model
from mesh.settings.checks import CHECKS
from mesh.settings.keys import unknown_key
from mesh.settings.machines import KNOWN, MachineKind, MachineModels, models_of
from mesh.settings.models import Settings
from mesh.settings.problems import Problem, SettingsError, path_text, show
from mesh.settings.raw import Finding

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
        problem = Problem(path=where, message=f"{show(raw)} is not a mapping with cidr and nodes")
        raise SettingsError((problem,))
    models = models_of(kinds)
    filled = models.filled(raw)
    settings, details = _validated(filled, models)
    # a key that is no text is reported by the check of names
    known = partial(_known_keys, filled, models)
    found: list[Finding | Problem] = [_finding(each, known) for each in details if "[key]" not in each["loc"]]
    for kind, names in models.used(filled):
        own = {name: node for name, node in raw["nodes"].items() if str(name) in names}
        found += kind.check({**raw, "nodes": own}, stack, mesh)
    for check in CHECKS:
        found += check(raw)
    if found or settings is None:
        named = tuple(dict.fromkeys(each for each in found if isinstance(each, Problem)))
        findings = [each for each in found if not isinstance(each, Problem)]
        ordered = sorted(dict.fromkeys(findings), key=lambda finding: _place(raw, finding[0]))
        raise SettingsError(
            named + tuple(Problem(path=path_text(where, path), message=message) for path, message in ordered)
        )
    return settings


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


_EXAMPLES: Final = {"cidr": "10.10.0.0/24", "address": "10.10.0.1", "nodes": "{web-1: {address: 10.10.0.1}}"}


_RULE_EXAMPLES: Final = {"from": "[web]", "to": "[db]", "allow": "[tcp/5432]"}
_TEST_EXAMPLES: Final = {"from": "web", "to": "db", "port": "tcp/5432", "expect": "allow"}


def _missing(details: ErrorDetails) -> str:
    path = details["loc"]
    known = {"policy": _RULE_EXAMPLES, "policyTests": _TEST_EXAMPLES}.get(str(path[0]), _EXAMPLES)
    return f"is missing and required, such as `{path[-1]}: {known[str(path[-1])]}`"


def _no_mapping(details: ErrorDetails) -> str:
    path, value = details["loc"], details["input"]
    said = f"{show(value)} is not a mapping of keys and values"
    if len(path) == 2 and path[0] == "nodes":
        given = value if isinstance(value, str) and re.fullmatch(r"[0-9.]{7,15}", value) else "10.10.0.1"
        return f"{said}; write {{address: {given}}}"
    return f"{said}; leave it out for the defaults" if value is None and len(path) == 1 else said


def _no_nodes(details: ErrorDetails) -> str:
    said = f"{show(details['input'])} is not a mapping of node names"
    return f"{said}; write nodes: {_EXAMPLES['nodes']}"


def _no_switch(details: ErrorDetails) -> str:
    value = details["input"]
    meant = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
    better = meant.get(value.strip().lower()) if isinstance(value, str) else None
    helps = "write one of them" if better is None else f"write {better}, without quotes"
    return f"{show(value)} is neither true nor false; {helps}"


_MESSAGES: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "missing": _missing,
    "mesh": lambda details: str(details["ctx"]["text"]),
    "model_type": _no_mapping,
    "dict_type": _no_nodes,
    "bool_type": _no_switch,
    "too_short": lambda details: (
        "is empty; list at least one entry"
        + (", or leave it out for the default" if details["loc"][0] == "ssh" else "")
    ),
}


def _finding(details: ErrorDetails, known: Callable[[tuple[int | str, ...]], list[str]]) -> Finding:
    path = details["loc"]
    if details["type"] in {"extra_forbidden", "invalid_key"}:
        return (*path[:-1], str(path[-1])), unknown_key(path[-1], known(path[:-1]))
    describe = _MESSAGES.get(details["type"])
    return path, describe(details) if describe else f"{show(details['input'])}: {details['msg']}"


def _known_keys(filled: Mapping[Any, Any], models: MachineModels, path: tuple[int | str, ...]) -> list[str]:
    """Return the keys a mapping at this place may have."""
    if path == ("defaults",):
        return _keys(models.defaults)
    if path[:1] == ("nodes",):
        node = next(node for name, node in filled["nodes"].items() if str(name) == path[1])
        return sorted(_keys(models.node(node)), key=lambda key: key != "address")
    model: type[Model] = Settings
    for part in path:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        found = _model_in(fields[part].annotation) if part in fields else None
        model = found or model
    return _keys(model)


def _keys(model: type[Model]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[Model] | None:
    """Return the model that a field holds, alone or in a list, a mapping or an option."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
