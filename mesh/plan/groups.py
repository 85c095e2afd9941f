"""Placement groups: chosen by address, and kept by servers whose nodes got another one since."""

from collections.abc import Iterator, Mapping
from typing import Final

from mesh.plan.hetzner import placement_group_of
from mesh.plan.model import MeshPlan
from mesh.settings import Problem

__all__ = ["full_groups"]

_MOST: Final = 10  # servers in a spread group, Hetzner Cloud documentation


def full_groups(plan: MeshPlan, members: Mapping[str, int]) -> Iterator[Problem]:
    """Yield the nodes whose server would be the eleventh of its group.

    `members` has the group that each server is in that is there and stays; the other nodes get one now.
    """
    count: dict[int, int] = {}
    for name, group in members.items():
        if name in plan.nodes:
            count[group] = count.get(group, 0) + 1
    for name, node in plan.nodes.items():
        if name in members:
            continue
        group = placement_group_of(node)
        count[group] = count.get(group, 0) + 1
        if count[group] > _MOST:
            stayed = ", ".join(
                other
                for other, kept in members.items()
                if kept == group and other in plan.nodes and placement_group_of(plan.nodes[other]) != group
            )
            yield Problem(
                path=f"mesh.nodes.{name}.address",
                message=(
                    f"{node.overlay.first.ip} would make {name} the eleventh server of its placement group, "
                    f"which has room for {_MOST}: {stayed} got another address and stayed in it; give an "
                    f"address of another ten"
                ),
            )
