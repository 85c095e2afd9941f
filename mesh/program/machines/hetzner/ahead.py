"""What the cloud and the state say before the first step: wishes that cannot be done are refused."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pulumi

from mesh.plan import NodePlan
from mesh.program.machines.base import Ahead
from mesh.program.machines.hetzner.api import CloudAccess
from mesh.program.machines.hetzner.catalog import (
    CatalogError,
    labels_of_servers,
    read_networks,
    read_offers,
)
from mesh.program.machines.hetzner.connected import (
    existing_networks,
    network_refusals,
    refused_families,
    refused_networks,
)
from mesh.program.machines.hetzner.groups import full_groups
from mesh.program.machines.hetzner.model import wanted
from mesh.program.machines.hetzner.neighbours import is_of, taken
from mesh.program.machines.hetzner.records import (
    PLACEMENT_GROUP,
    address_record,
    families_of,
    present,
    server_record,
)
from mesh.program.machines.hetzner.wishes import Wish, doubts, refusals
from mesh.program.previous import Previous
from mesh.settings import Problem, SettingsError

__all__ = ["look_up"]

_KEYS: Final = ("location", "type", "image")
_SPREAD: Final = "spread-"
_NAMED: Final = 5  # servers that a message names
_TOKEN_LENGTH: Final = 64  # the provider refuses any other, in words of its own
_THERE: Final = "the cloud already has {count} of this stack's {all} servers ({names}), but this state "
_BRING_BACK: Final = (
    "Delete nothing. Check where the state is kept (`pulumi whoami --verbose`, `pulumi stack ls`), or "
    "bring back a backup of the state with `pulumi stack import --file FILE`."
)
_LOST_STATE: Final = (
    f"{_THERE}does not know these servers or their addresses: the state is lost, is too old, or "
    f"belongs to something else. Nothing was changed. {_BRING_BACK}"
)
_FIRST_RUN: Final = (
    f"{_THERE}has no finished run. If the first run was stopped, continue. Otherwise the state is lost "
    f"or belongs to something else. {_BRING_BACK}"
)


def look_up(ahead: Ahead) -> None:
    """Check what can only be known of the cloud and of the state.

    Raises:
        SettingsError: something that the stack file wishes cannot be done.
        pulumi.RunError: the state is not the one that this cloud's servers are in, or nobody can tell.

    """
    wishes = [_wish(ahead, node) for node in ahead.nodes.values()]
    refused = (
        *full_groups(ahead.nodes, _groups(wishes, ahead.previous)),
        *refused_networks(ahead.nodes),
        *(problem for wish in wishes for problem in _families(wish, ahead)),
    )
    if refused:
        raise SettingsError(refused)
    new = [wish for wish in wishes if _counts(wish, ahead)]
    access = CloudAccess.configured()
    # without a token of the right length the provider says what is wrong, and asks nobody
    if access.token is None or len(access.token) != _TOKEN_LENGTH:
        return
    if new:
        _look_up(access, new, ahead)
    _look_up_networks(access, ahead)


def _families(wish: Wish, ahead: Ahead) -> Iterator[Problem]:
    """Yield the families that a server which stays cannot get."""
    node = ahead.nodes[wish.node]
    if node.enabled and not wish.is_made:
        yield from refused_families(node, families_of(server_record(ahead.previous, node.name)))


def _look_up_networks(access: CloudAccess, ahead: Ahead) -> None:
    """Refuse networks that should exist already, and do not, or are other ones."""
    names = existing_networks(ahead.nodes)
    if not names:
        return
    try:
        problems = tuple(network_refusals(ahead.nodes, read_networks(access, names)))
    except CatalogError as error:
        pulumi.log.warn(f"could not ask the cloud for the networks {', '.join(names)}: {error}")
        return
    if problems:
        raise SettingsError(problems)


def _groups(wishes: Sequence[Wish], previous: Previous) -> Mapping[str, int]:
    """Return the number of the placement group that each server is in that is there and stays."""
    numbers = {}
    for kind, name in previous.records:
        if kind == PLACEMENT_GROUP and name.startswith(_SPREAD):
            identifier = previous.record(kind, name).get("id")
            if identifier is not None:
                numbers[int(identifier)] = int(name.removeprefix(_SPREAD))
    staying = {wish.node: server_record(previous, wish.node) for wish in wishes if not wish.is_made}
    return {
        node: numbers[int(server["placementGroupId"])]
        for node, server in staying.items()
        if server.get("placementGroupId") and int(server["placementGroupId"]) in numbers
    }


def _counts(wish: Wish, ahead: Ahead) -> bool:
    """Whether a wish is one of this run: the server of a node that is not enabled stays as it is."""
    return wish.is_new and (ahead.nodes[wish.node].enabled or wish.present is None)


def _wish(ahead: Ahead, node: NodePlan) -> Wish:
    machine = wanted(node)
    return Wish(
        node=node.name,
        location=machine.location,
        type=machine.type,
        image=machine.image,
        paths={key: _path(ahead.raw, node.name, key) for key in _KEYS},
        present=present(ahead.previous, node.name),
    )


def _path(raw: Any, node: str, key: str) -> str:
    """Return where a node's value is given: with the node, or among the defaults."""
    nodes = raw.get("nodes") if isinstance(raw, Mapping) else None
    own = nodes.get(node) if isinstance(nodes, Mapping) else None
    return f"mesh.nodes.{node}.{key}" if isinstance(own, Mapping) and key in own else f"mesh.defaults.{key}"


def _look_up(access: CloudAccess, wishes: Sequence[Wish], ahead: Ahead) -> None:
    try:
        offers = read_offers(access, (wish.image for wish in wishes))
        _refuse_what_is_there(access, ahead)
    except CatalogError as error:
        _not_looked_up(error, wishes)
        return
    problems = refusals(wishes, offers)
    if problems:
        raise SettingsError(problems)
    for doubt in doubts(wishes, offers):
        pulumi.log.warn(ahead.names.said(str(doubt)))


def _not_looked_up(error: CatalogError, wishes: Sequence[Wish]) -> None:
    """A preview goes on without; a run that would make or change servers does not begin."""
    nodes = ", ".join(wish.node for wish in wishes)
    words = f"could not ask the cloud for the location, type and image of {nodes}: {error}"
    if error.denied:
        raise pulumi.RunError(f"{words}: check hcloud:token (`pulumi config set --secret hcloud:token`)")
    if not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(
            f"{words}. Nothing was changed. Check that the cloud's API runs and can be reached."
        )
    pulumi.log.warn(f"{words}. `up` asks again, and does not begin without an answer")


def _refuse_what_is_there(access: CloudAccess, ahead: Ahead) -> None:
    """Servers that are there although the state has not even what is made before them.

    Those of others have the name that a server of this mesh would get. Its own are of a state that is lost.
    """
    previous = ahead.previous
    unknown = [
        name
        for name in ahead.nodes
        if not server_record(previous, name) and not address_record(previous, name)
    ]
    if previous.unread is not None or not unknown:
        return
    there = labels_of_servers(access)
    called = {name: ahead.names.in_cloud(ahead.stack, name) for name in unknown}
    others = tuple(taken(called, there, ahead.stack, ahead.names))
    if others:
        raise SettingsError(others)
    found = [name for name in called.values() if is_of(there.get(name, {}), ahead.stack, ahead.names)]
    if found:
        _refuse_a_lost_state(found, ahead)


def _refuse_a_lost_state(found: Sequence[str], ahead: Ahead) -> None:
    """Refuse the servers of this mesh that the state does not know.

    A run that was stopped while a server was made leaves its address in the state: that is another case. Of a
    first run that was stopped the engine does not say what it left, so that is told and not refused.
    """
    names = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
    facts = {"count": len(found), "all": len(ahead.nodes), "names": names}
    if ahead.previous.records:
        raise pulumi.RunError(_LOST_STATE.format(**facts))
    pulumi.log.warn(_FIRST_RUN.format(**facts))
