"""The nodes that a preview speaks of: what becomes of each, and its files before and after."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from mesh.names import APPLY, COMMAND, FIRST_MESH, NODE_TYPE, name_in_urn
from mesh.review.elements import NotUnderstoodError
from mesh.review.evaluate import Firewall
from mesh.review.files import FIREWALL, Tunnel, read_files, read_tunnel
from mesh.review.preview import UNKNOWN, Preview, Step

__all__ = ["SIDES", "Files", "NodeChange", "Side", "read_disabled", "read_nodes"]

Side = Literal["before", "after"]
"""Of a preview: what there is, or what there will be."""
SIDES: Final[tuple[Side, Side]] = ("before", "after")

_STACK: Final = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of a node, path -> content; read as tunnel and firewall when asked.

    `tunnel` and `firewall` raise `NotUnderstoodError`.
    """

    content: Mapping[str, str]

    @cached_property
    def tunnel(self) -> Tunnel:
        """What `wg0.conf` says."""
        return read_tunnel(self.content)

    @cached_property
    def firewall(self) -> Firewall:
        """What the table says."""
        if FIREWALL not in self.content:
            raise NotUnderstoodError(f"no {FIREWALL}")
        return Firewall(self.content[FIREWALL])


@dataclass(frozen=True, kw_only=True)
class NodeChange:
    """One node of a mesh and the steps on its resources.

    `former` is its name before. `before` and `after` are its files, None where there are none; `hidden` are
    the sides (`before`, `after`) whose files are not known before `up`. `touched` says whether the preview
    changes its files at all: if not, both sides are as they are, and not in the preview.
    """

    name: str
    former: str
    mesh: str
    steps: Sequence[Step]
    before: Files | None = None
    after: Files | None = None
    hidden: frozenset[str] = field(default_factory=frozenset)
    touched: bool = False

    def step(self, kind: str, part: str) -> Step | None:
        """Return the step on a resource of this type named after the node."""
        return next(
            (
                step
                for step in self.steps
                if step.state.type == kind and step.name.endswith(f"{self.name}-{part}")
            ),
            None,
        )

    def of_type(self, kind: str) -> Iterator[Step]:
        """Yield the steps on resources of a type."""
        return (step for step in self.steps if step.state.type == kind)

    def on(self, side: Side) -> Files | None:
        """Return its files on one side."""
        return self.before if side == "before" else self.after

    @property
    def op(self) -> str:
        """What becomes of the node itself: create, delete, or same."""
        own = next((step.op for step in self.steps if step.state.type == NODE_TYPE), "same")
        return own if own in {"create", "delete"} else "same"


def read_nodes(preview: Preview) -> dict[str, NodeChange]:
    """Return the nodes that have steps, by their URNs."""
    steps: dict[str, list[Step]] = {}
    for step in preview.steps:
        urn = step.urn if step.state.type == NODE_TYPE else step.state.parent
        if _is_node(urn):
            steps.setdefault(urn, []).append(step)
    return {urn: _node(urn, found) for urn, found in sorted(steps.items())}


def read_disabled(preview: Preview) -> frozenset[tuple[str, str]]:
    """Return the nodes that were out of their mesh before, as (prefix of the mesh, name).

    The outputs of the stack say so, as far as the program exports its nodes; both engines always write them.
    """
    stack = next((step.old for step in preview.steps if step.state.type == _STACK and step.old), None)
    outputs = {} if stack is None else stack.outputs
    found = set()
    for record in (outputs, *outputs.values()):
        nodes = record.get("nodes") if isinstance(record, Mapping) else None
        if isinstance(record, Mapping) and isinstance(nodes, Mapping):
            mesh = record.get("mesh")
            prefix = mesh if isinstance(mesh, str) and mesh != FIRST_MESH else ""
            found |= {
                (prefix, str(name))
                for name, node in nodes.items()
                if isinstance(node, Mapping) and node.get("enabled") is False
            }
    return frozenset(found)


def _is_node(urn: str) -> bool:
    return urn.rpartition("::")[0].endswith((f"::{NODE_TYPE}", f"${NODE_TYPE}"))


def _node(urn: str, steps: Sequence[Step]) -> NodeChange:
    prefix, _, name = name_in_urn(urn).rpartition(".")
    former = next(
        (
            name_in_urn(step.old.urn if step.state.type == NODE_TYPE else step.old.parent).rpartition(".")[2]
            for step in steps
            if step.old is not None and step.old.urn != step.urn
        ),
        name,
    )
    applied = next(
        (step for step in steps if step.state.type == COMMAND and step.name.endswith(f"-{APPLY}")), None
    )
    if applied is None:
        return NodeChange(name=name, former=former, mesh=prefix, steps=steps)
    before, after = applied.values("stdin")
    texts = {"before": before, "after": after}
    return NodeChange(
        name=name,
        former=former,
        mesh=prefix,
        steps=steps,
        before=_files(before),
        after=_files(after),
        hidden=frozenset(side for side, text in texts.items() if text is not None and _files(text) is None),
        touched=True,
    )


def _files(text: object) -> Files | None:
    if not isinstance(text, str) or text == UNKNOWN:
        return None
    return Files(content=read_files(text))
