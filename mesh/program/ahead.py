"""What is known before the first step: wishes that cannot be done are refused, and losses are told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulumi

from mesh.names import BOOTSTRAP, COMMAND, FIRST_MESH, KEYS, OWN_KEY, MeshNames
from mesh.plan import MeshPlan, NodePlan
from mesh.plan.dangers import Before, Loss, dangers, refused
from mesh.program.access import committed_doors
from mesh.program.former import former_names, refuse_names_in_use
from mesh.program.generations import refuse_generations
from mesh.program.machines import PROVIDERS, Ahead, Provider
from mesh.program.previous import Previous
from mesh.program.renumbering import plan_renumbering
from mesh.settings import SettingsError

__all__ = ["look_ahead"]


def look_ahead(
    plan: MeshPlan,
    raw: Any,
    previous: Previous,
    *,
    mesh: str = FIRST_MESH,
    providers: Mapping[str, Provider] = PROVIDERS,
) -> Mapping[str, str]:
    """Check what can only be known of the providers and of the state; return what each node is told to lose.

    `raw` is the stack file's value, for the places in it; `mesh` is the mesh's name.

    Raises:
        SettingsError: something that the stack file wishes cannot be done, or would delete what is protected.
        pulumi.RunError: the state is not the one that the servers there are in, or nobody can tell.

    """
    names = MeshNames(mesh)
    refuse_names_in_use(plan, previous.of(names))
    before = previous.of(names, former_names(plan))
    for name, nodes in nodes_by_provider(plan).items():
        ahead = Ahead(stack=pulumi.get_stack(), names=names, nodes=nodes, raw=raw, previous=before)
        providers[name].look_ahead(ahead)
    doors = {name: found for name in plan.nodes if (found := committed_doors(before, name)) is not None}
    ends = plan_renumbering(plan, doors, before.out).ends
    was = {
        name: replace(
            _before(name, plan, before, providers),
            ends=tuple(str(each) for each in ends.get(name, ())) if name in doors else None,
        )
        for name in before.nodes
    }
    wrong = refused(plan, was) + refuse_generations(plan, before, doors)
    if wrong:
        raise SettingsError(wrong)
    for provider, each in providers.items():
        stay = {name for name, node in plan.nodes.items() if node.provider == provider}
        each.look_back(before.nodes.keys() - stay, before, names)
    told = dangers(plan, was)
    for words in told.values():
        pulumi.log.warn(names.said(words))
    if previous.unread is not None:
        pulumi.log.warn(
            f"could not read the stack's former state ({previous.unread}), so this run cannot warn of "
            f"deletions and cut-offs: read the steps"
        )
    return told


def nodes_by_provider(plan: MeshPlan) -> dict[str, dict[str, NodePlan]]:
    """Return the nodes at each provider that there are nodes at."""
    found: dict[str, dict[str, NodePlan]] = {}
    for name, node in plan.nodes.items():
        found.setdefault(node.provider, {})[name] = node
    return found


def _before(name: str, plan: MeshPlan, previous: Previous, providers: Mapping[str, Provider]) -> Before:
    outputs = previous.node(name)
    return Before(
        loss=_loss(name, plan.nodes.get(name), previous, providers),
        address=outputs.get("address"),
        address6=outputs.get("address6"),
        enabled=outputs.get("enabled"),
        routes=tuple(outputs.get("routes") or ()),
        egress=outputs.get("egress"),
        reaches=None if outputs.get("reaches") is None else frozenset(outputs["reaches"]),
    )


def _loss(name: str, node: NodePlan | None, previous: Previous, providers: Mapping[str, Provider]) -> Loss:
    """Ask whoever has the node's machine."""
    for provider, each in providers.items():
        there = node if node is not None and node.provider == provider else None
        loss = each.loss(name, there, previous)
        if loss is None:
            continue
        if node is not None and there is None:
            return Loss(leaves=f"moves from {provider} to {node.provider}: {loss.everything}")
        return loss
    is_made = any(previous.has_part(COMMAND, name, step) for step in (KEYS, OWN_KEY, BOOTSTRAP))
    return Loss() if is_made else Loss(everything="it has no server yet")
