"""What is known before the first step: wishes that cannot be done are refused, and losses are told."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pulumi

from mesh.plan import MeshPlan
from mesh.plan.dangers import Before, dangers
from mesh.plan.groups import full_groups
from mesh.plan.wishes import Present, Wish, doubts, refusals
from mesh.program.catalog import CatalogError, read_offers, servers_of_stack
from mesh.program.power import CloudAccess
from mesh.program.previous import Previous, PreviousNode
from mesh.settings import SettingsError

__all__ = ["look_ahead"]

_KEYS: Final = ("location", "type", "image")
_PLACEMENT_GROUP: Final = "hcloud:index/placementGroup:PlacementGroup"
_SPREAD: Final = "spread-"
_NAMED: Final = 5  # servers that a message names
_TOKEN_LENGTH: Final = 64  # the provider refuses any other, in words of its own
_THERE: Final = "the cloud has {count} of this stack's {all} servers already ({names}), and this state "
_BRING_BACK: Final = (
    "Delete nothing. See where the state is kept (`pulumi whoami --verbose`, `pulumi stack ls`), or bring "
    "back a copy of it with `pulumi stack import --file FILE`."
)
_LOST_STATE: Final = (
    f"{_THERE}knows nothing of them, not even of their addresses: the state is lost, older than the cloud, "
    f"or another one. Nothing was changed. {_BRING_BACK}"
)
_FIRST_RUN: Final = (
    f"{_THERE}has seen no run come to its end. If the first run was stopped, go on. If it was not, the state "
    f"is lost or another one. {_BRING_BACK}"
)


def look_ahead(plan: MeshPlan, raw: Any, previous: Previous) -> Mapping[str, str]:
    """Check what can only be known of the cloud and of the state; return what each node is told to lose.

    `raw` is the stack file's value, for the places in it.

    Raises:
        SettingsError: something that the stack file wishes cannot be done.
        pulumi.RunError: the state is not the one that this cloud's servers are in, or nobody can tell.

    """
    wishes = [_wish(name, plan, raw, previous) for name in plan.nodes]
    full = tuple(full_groups(plan, _groups(wishes, previous)))
    if full:
        raise SettingsError(full)
    new = [wish for wish in wishes if _counts(wish, plan)]
    access = CloudAccess.configured()
    # without a token of the right length the provider says what is wrong, and asks nobody
    if new and access.token is not None and len(access.token) == _TOKEN_LENGTH:
        _look_up(access, new, plan, previous)
    told = dangers(plan, {name: _before(node) for name, node in previous.nodes.items()})
    for words in told.values():
        pulumi.log.warn(words)
    if previous.unread is not None:
        pulumi.log.warn(
            f"what this stack had could not be read ({previous.unread}): what a change deletes or cuts off "
            f"is not told in words; read the steps"
        )
    return told


def _groups(wishes: Sequence[Wish], previous: Previous) -> Mapping[str, int]:
    """Return the number of the placement group that each server is in that is there and stays."""
    numbers = {}
    for kind, name in previous.resources:
        if kind == _PLACEMENT_GROUP and name.startswith(_SPREAD):
            identifier = previous.record(kind, name).get("id")
            if identifier is not None:
                numbers[int(identifier)] = int(name.removeprefix(_SPREAD))
    staying = {wish.node: previous.node(wish.node).server for wish in wishes if not wish.is_made}
    return {
        node: numbers[int(server["placementGroupId"])]
        for node, server in staying.items()
        if server.get("placementGroupId") and int(server["placementGroupId"]) in numbers
    }


def _counts(wish: Wish, plan: MeshPlan) -> bool:
    """Whether a wish is one of this run: the server of a node that is not enabled stays as it is."""
    return wish.is_new and (plan.nodes[wish.node].enabled or wish.present is None)


def _wish(name: str, plan: MeshPlan, raw: Any, previous: Previous) -> Wish:
    node = plan.nodes[name]
    return Wish(
        node=name,
        location=node.machine.location,
        type=node.machine.type,
        image=node.machine.image,
        paths={key: _path(raw, name, key) for key in _KEYS},
        present=_present(previous.node(name)),
    )


def _path(raw: Any, node: str, key: str) -> str:
    """Return where a node's value is given: with the node, or among the defaults."""
    nodes = raw.get("nodes") if isinstance(raw, Mapping) else None
    own = nodes.get(node) if isinstance(nodes, Mapping) else None
    return f"mesh.nodes.{node}.{key}" if isinstance(own, Mapping) and key in own else f"mesh.defaults.{key}"


def _present(node: PreviousNode) -> Present | None:
    server = node.server
    if not server:
        return None
    return Present(
        location=server.get("location"),
        type=server.get("serverType"),
        image=None if server.get("image") is None else str(server["image"]),
        disk=int(server["primaryDiskSize"]) if server.get("primaryDiskSize") else None,
    )


def _before(node: PreviousNode) -> Before:
    return Before(
        has_server=bool(node.server),
        location=node.server.get("location") or node.address.get("location"),
        type=node.server.get("serverType"),
        public_ip=node.address.get("ipAddress"),
        address=node.outputs.get("address"),
        enabled=node.outputs.get("enabled"),
    )


def _look_up(access: CloudAccess, wishes: Sequence[Wish], plan: MeshPlan, previous: Previous) -> None:
    try:
        offers = read_offers(access, (wish.image for wish in wishes))
        _refuse_a_lost_state(access, plan, previous)
    except CatalogError as error:
        _not_looked_up(error, wishes)
        return
    problems = refusals(wishes, offers)
    if problems:
        raise SettingsError(problems)
    for doubt in doubts(wishes, offers):
        pulumi.log.warn(str(doubt))


def _not_looked_up(error: CatalogError, wishes: Sequence[Wish]) -> None:
    """A preview goes on without; a run that would make or change servers does not begin."""
    nodes = ", ".join(wish.node for wish in wishes)
    words = f"whether the cloud has what {nodes} is to be made of could not be looked up: {error}"
    if error.denied:
        raise pulumi.RunError(f"{words}: check hcloud:token (`pulumi config set --secret hcloud:token`)")
    if not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(f"{words}. Nothing was changed; is it running and reachable?")
    pulumi.log.warn(f"{words}. `up` asks again, and does not begin without an answer")


def _refuse_a_lost_state(access: CloudAccess, plan: MeshPlan, previous: Previous) -> None:
    """Servers that are there although the state has not even what is made before them.

    A run that was stopped while a server was made leaves its address in the state: that is another case. Of a
    first run that was stopped the engine does not say what it left, so that is told and not refused.
    """
    unknown = [
        name for name in plan.nodes if not previous.node(name).server and not previous.node(name).address
    ]
    if previous.unread is not None or not unknown:
        return
    stack = pulumi.get_stack()
    there = set(servers_of_stack(access, stack))
    found = [f"{stack}-{name}" for name in unknown if f"{stack}-{name}" in there]
    if not found:
        return
    names = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
    facts = {"count": len(found), "all": len(plan.nodes), "names": names}
    if previous.resources:
        raise pulumi.RunError(_LOST_STATE.format(**facts))
    pulumi.log.warn(_FIRST_RUN.format(**facts))
