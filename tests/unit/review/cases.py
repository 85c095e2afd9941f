"""One small mesh, and the changes of it that are recorded: what a stack file would say next."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["CASES", "MESH", "Case"]

MESH: Final[dict[str, Any]] = {
    "cidr": "10.10.0.0/24",
    "ssh": {"from": ["203.0.113.0/24"]},
    "nodes": {
        "web-1": {"address": "10.10.0.1", "groups": ["web"], "public": ["tcp/443"]},
        "web-2": {"address": "10.10.0.2", "groups": ["web"], "public": ["tcp/443"]},
        "db-1": {"address": "10.10.0.11", "groups": ["db"], "location": "nbg1"},
    },
    "policy": [
        {"from": ["web"], "to": ["db"], "allow": ["tcp/5432"]},
        {"from": ["db"], "to": ["web"], "allow": ["tcp/8080-8090", "icmp"]},
    ],
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A preview: of which mesh, with which resources `replace`d, `first` before there is anything."""

    name: str
    mesh: Mapping[str, Any]
    replace: tuple[str, ...] = ()
    first: bool = False
    fails: bool = False


def _with(**changes: Any) -> dict[str, Any]:
    """Return the mesh with other keys; of `nodes` only the keys that are said, None takes one out."""
    mesh = deepcopy(MESH)
    for name, keys in changes.pop("nodes", {}).items():
        if keys is None:
            del mesh["nodes"][name]
        else:
            mesh["nodes"].setdefault(name, {}).update(keys)
    return {**mesh, **changes}


def _renamed(former: str, name: str) -> dict[str, Any]:
    nodes = {name if each == former else each: keys for each, keys in MESH["nodes"].items()}
    return {**MESH, "nodes": {**nodes, name: {**nodes[name], "formerly": [former]}}}


_WEB_3: Final = {"address": "10.10.0.3", "groups": ["web"], "public": ["tcp/443"]}
_OPENED: Final = {"from": ["web-1"], "to": ["db"], "allow": ["udp/53"]}

CASES: Final = (
    Case(name="first-up", mesh=MESH, first=True),
    Case(name="nothing", mesh=MESH),
    Case(name="node-added", mesh=_with(nodes={"web-3": _WEB_3})),
    Case(name="node-removed", mesh=_with(nodes={"web-2": None})),
    Case(name="node-renamed", mesh=_renamed("web-2", "web-9")),
    Case(name="node-resized", mesh=_with(nodes={"web-1": {"type": "cx33"}})),
    Case(name="node-moved", mesh=_with(nodes={"db-1": {"location": "hel1"}})),
    Case(name="node-disabled", mesh=_with(nodes={"web-2": {"enabled": False}})),
    Case(name="policy-opened", mesh=_with(policy=[*MESH["policy"], _OPENED])),
    Case(name="policy-closed", mesh=_with(policy=MESH["policy"][:1])),
    Case(name="public-opened", mesh=_with(nodes={"db-1": {"public": ["tcp/8443"]}})),
    Case(
        name="key-replaced",
        mesh=MESH,
        replace=("pulumi:index:Stash::web-1-identity",),
    ),
    Case(name="ssh-from", mesh=_with(ssh={"from": ["203.0.113.0/24", "198.51.100.7"]})),
    Case(name="failed", mesh=_with(nodes={"web-1": {"type": "cx999"}}), fails=True),
)
