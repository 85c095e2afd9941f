"""What pydantic finds wrong with a mesh, in words for the person who wrote it, each with a remedy."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from pydantic_core import ErrorDetails

from mesh.settings.addresses import address
from mesh.settings.base import Model
from mesh.settings.groups import policy_members_in
from mesh.settings.keys import meant_key, unknown_key
from mesh.settings.machines import MachineModels
from mesh.settings.models import Rollout, Rotation, Settings, Ssh
from mesh.settings.problems import REMOVED, Instead, Told, another_value, show
from mesh.settings.raw import Finding, nodes, read
from mesh.settings.references import named
from mesh.settings.room import free_addresses

__all__ = ["Keys", "findings"]

_Path = tuple[int | str, ...]

_EXAMPLES: Final = {
    "cidr": "10.10.0.0/24",
    "address": "10.10.0.1",
    "nodes": "{web-1: {address: 10.10.0.1}}",
    "clients": "{laptop: {address: 10.10.0.200, to: [bastion]}}",
    "to": "[bastion]",
}
_RULE: Final = {"from": "[web]", "to": "[db]", "allow": "[tcp/5432]"}
_NETWORK: Final = {"cidr": "10.0.0.0/16"}
_TEST: Final = {"from": "web", "to": "db", "port": "tcp/5432", "expect": "allow"}
_WHOLE: Final[Mapping[str, str]] = {
    "ssh": "{from: [203.0.113.0/24]}",
    "defaults": "{trustedInterfaces: [docker0]}",
    "rollout": "{canary: web-1}",
    "rotation": "{generation: 2}",
    "policy": "{from: [web], to: [db], allow: [tcp/5432]}",
    "policyTests": "{from: web, to: db, port: tcp/5432, expect: allow}",
    "networks": "{backbone: {cidr: 10.0.0.0/16}}",
}


class Keys:
    """The keys that a mapping may have, at every place of a mesh."""

    def __init__(self, filled: Mapping[Any, Any], models: MachineModels) -> None:
        self._filled = filled
        self._models = models

    def at(self, path: _Path) -> list[str]:
        """Return the keys a mapping at this place may have."""
        if path == ("defaults",):
            return _keys(self._models.defaults)
        if path[:1] == ("nodes",):
            node = next(node for name, node in self._filled["nodes"].items() if str(name) == path[1])
            return sorted(_keys(self._models.node(node)), key=lambda key: key != "address")
        model: type[Model] = Settings
        for part in path:
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            found = _model_in(fields[part].annotation) if part in fields else None
            model = found or model
        return _keys(model)

    def homes(self, path: _Path) -> dict[str, str]:
        """Return where keys belong that have one place only, and not this one."""
        shared = _keys(self._models.defaults)
        places = {
            "defaults or the node": shared if path[:1] != ("nodes",) else [],
            "the node": [key for key in self._own() if key not in shared],
            "ssh": _keys(Ssh),
            "rollout": _keys(Rollout),
            "rotation": _keys(Rotation),
            "the mesh": _keys(Settings),
            "the client": ["publicKey"],
        }
        counted = [key for keys in places.values() for key in keys]
        here = "the mesh" if not path else str(path[0])
        return {
            key: place
            for place, keys in places.items()
            for key in keys
            if counted.count(key) == 1 and place != here
        }

    def _own(self) -> list[str]:
        return _keys(self._models.node({}))


def _keys(model: type[Model]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[Model] | None:
    """Return the model that a field holds, alone or in a list, a mapping or an option."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def findings(details: Sequence[ErrorDetails], raw: Mapping[Any, Any], keys: Keys) -> Iterator[Finding]:
    """Yield what is wrong, in words. A key that is missing because it is misspelled is told once."""
    unknown: dict[_Path, list[object]] = {}
    for each in details:
        if _is_unknown(each):
            unknown.setdefault(each["loc"][:-1], []).append(each["loc"][-1])
    for each in details:
        path = each["loc"]
        if _is_unknown(each):
            beside = _beside(raw, path[:-1])
            told = unknown_key(path[-1], keys.at(path[:-1]), beside=beside, homes=keys.homes(path[:-1]))
            yield (*path[:-1], str(path[-1])), told
        elif each["type"] != "missing":
            yield path, _told(each, raw)
        elif not any(meant_key(key, keys.at(path[:-1])) == path[-1] for key in unknown.get(path[:-1], ())):
            yield path, _missing(path, raw)


def _is_unknown(details: ErrorDetails) -> bool:
    return details["type"] in {"extra_forbidden", "invalid_key"}


def _beside(raw: Any, path: _Path) -> Collection[str]:
    """Return the keys of the mapping at a place."""
    for part in path:
        if isinstance(raw, Mapping):
            raw = next((value for key, value in raw.items() if str(key) == str(part)), None)
        elif isinstance(raw, list | tuple) and isinstance(part, int):
            raw = raw[part]
    return {str(key) for key in raw} if isinstance(raw, Mapping) else ()


def _told(details: ErrorDetails, raw: Mapping[Any, Any]) -> Told:
    path, value, kind = details["loc"], details["input"], details["type"]
    if kind == "mesh":
        context = details["ctx"]
        instead: tuple[Instead, ...] = context["instead"]
        told = Told(str(context["text"]), instead)
        members = _known_names(path, raw)
        return told if members is None else named(value, told, members)
    if kind == "bool_type":
        return _no_switch(value)
    if kind == "model_type":
        return _no_mapping(path, value, raw)
    if kind == "dict_type":
        return _no_networks(value) if path[0] == "networks" else _no_members(str(path[0]), value)
    if kind == "too_short":
        leave = ", or leave it out for the default" if path[0] in {"ssh", "links"} else ""
        return Told(f"is empty; list at least one entry{leave}", (REMOVED,) if leave else ())
    return Told(f"{show(value)}: {details['msg']}")


def _known_names(path: _Path, raw: Mapping[Any, Any]) -> Collection[str] | None:
    """Return the names of which the value at a path must be one; None where it is no such value."""
    in_rule = path[0] == "policy" and len(path) == 4 and path[2] in {"from", "to"}
    if in_rule or (path[0] == "policyTests" and path[-1] in {"from", "to"}):
        return policy_members_in(raw)
    if path == ("rollout", "canary"):
        return list(map(str, nodes(raw)))
    if path[0] == "nodes" and len(path) == 3 and path[2] in {"relay", "egress"}:
        return [str(name) for name in nodes(raw) if name != path[1]]
    if path[-1] == "network" and path[0] in {"nodes", "defaults"}:
        networks = raw.get("networks")
        return list(map(str, networks)) if isinstance(networks, Mapping) and networks else None
    return None


def _missing(path: _Path, raw: Mapping[Any, Any]) -> Told:
    known = {"policy": _RULE, "policyTests": _TEST, "networks": _NETWORK}.get(str(path[0]), _EXAMPLES)
    example = known[str(path[-1])]
    instead: tuple[Instead, ...] = ()
    free = free_addresses(raw).get(str(path[1])) if path[-1] == "address" else None
    if free is not None:
        example, instead = str(free), another_value(str(free))
    return Told(f"is missing and required, such as `{path[-1]}: {example}`", instead)


def _no_mapping(path: _Path, value: object, raw: Mapping[Any, Any]) -> Told:
    said = f"{show(value)} is not a mapping of keys and values"
    if path[0] == "clients":
        return _no_client(said, value, free_addresses(raw).get(str(path[1])))
    if path[0] == "nodes":
        given = read(address, value)
        free = free_addresses(raw).get(str(path[1]))
        own = str(given or free or "10.10.0.1")
        instead = another_value({"address": own}) if given or free else ()
        return Told(f"{said}; write {{address: {own}}}", instead)
    if path[0] == "networks":
        return Told(f"{said}; write {{cidr: 10.0.0.0/16}}")
    if value is None and len(path) == 1:
        return Told(f"{said}; leave it out for the defaults", (REMOVED,))
    merged = _merged(value)
    if merged is not None and len(path) == 1:
        return Told(f"{said}; write its keys without `- `", another_value(merged))
    return Told(f"{said}; write for example {_WHOLE[str(path[0])]}")


def _no_networks(value: object) -> Told:
    remedy = () if value is not None else (REMOVED,)
    said = f"{show(value)} is not a mapping of network names"
    return Told(f"{said}; write networks: {_WHOLE['networks']}, or leave it out", remedy)


def _no_client(said: str, value: object, free: object) -> Told:
    own = read(address, value) or free or "10.10.0.200"
    return Told(f"{said}; write {{address: {own}, to: [bastion]}}, with the nodes that it has tunnels to")


def _no_members(section: str, value: object) -> Told:
    said = f"{show(value)} is not a mapping of {section.removesuffix('s')} names"
    if section != "nodes" and value is None:
        return Told(f"{said}; leave it out, or write {section}: {_EXAMPLES[section]}", (REMOVED,))
    named = _by_name(value)
    if named is None:
        return Told(f"{said}; write {section}: {_EXAMPLES[section]}")
    name, node = next(iter(named.items()))
    return Told(f"{said}; write names as keys: {name}: {show(node)}", another_value(named))


def _by_name(value: object) -> dict[str, Any] | None:
    """Return a list of nodes as a mapping: entries with a `name`, or with the name as their only key."""
    found: dict[str, Any] = {}
    for entry in value if isinstance(value, list) else ():
        if not isinstance(entry, Mapping):
            return None
        only = next(iter(entry.values())) if len(entry) == 1 else None
        if isinstance(only, Mapping):
            name, node = next(iter(entry.items()))
        elif isinstance(entry.get("name"), str):
            name, node = entry["name"], {key: inner for key, inner in entry.items() if key != "name"}
        else:
            return None
        if str(name) in found:
            return None
        found[str(name)] = node
    return found or None


def _merged(value: object) -> dict[Any, Any] | None:
    """Return a list of mappings as one mapping; None of anything else, and where a key would be lost."""
    if not isinstance(value, list) or not value or not all(isinstance(each, Mapping) for each in value):
        return None
    merged = {key: inner for each in value for key, inner in each.items()}
    return merged if len(merged) == sum(map(len, value)) else None


_SWITCHES: Final = {
    **dict.fromkeys(("yes", "on", "true", "y", "1", "enabled"), True),
    **dict.fromkeys(("no", "off", "false", "n", "0", "disabled"), False),
}


def _no_switch(value: object) -> Told:
    said = f"{show(value)} is neither true nor false"
    known = isinstance(value, str) or (isinstance(value, int | float) and value in (0, 1))
    better = (
        _SWITCHES.get(str(int(value) if isinstance(value, float) else value).strip().lower())
        if known
        else None
    )
    if better is None:
        return Told(f"{said}; write one of them")
    quotes = ", without quotes" if isinstance(value, str) else ""
    return Told(f"{said}; write {str(better).lower()}{quotes}", another_value(better))
