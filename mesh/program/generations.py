"""Which keys the nodes are given, and which the state has: how they differ, and what does not go together.

Pure but for the state, which it is given.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mesh.names import COMMAND, GENERATIONS, IDENTITY, NODE_TYPE, OWN_KEY, ROTATION, STASH
from mesh.plan import FIRST_VERSION, MeshPlan, key_version
from mesh.program.previous import Previous
from mesh.render import Doors
from mesh.settings import Problem
from mesh.settings.problems import another_value, path_text

__all__ = [
    "NO_ROTATION",
    "Generations",
    "generations_of",
    "given_generations",
    "refuse_generations",
    "replaced",
    "wanted_generations",
]

_Place = tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class Generations:
    """The numbers of keys: for all nodes, for nodes with one of their own, for the pre-shared keys.

    `ssh` is the number of all SSH keys. `out` are the nodes that take no part. `revoked` has the nodes that
    are revoked, each with the version of the key that is not trusted any more. `own` are the nodes that make
    their keys themselves.
    """

    mesh: int = FIRST_VERSION
    nodes: Mapping[str, int] = field(default_factory=dict)
    preshared: int = FIRST_VERSION
    ssh: int = FIRST_VERSION
    out: frozenset[str] = frozenset()
    revoked: Mapping[str, int] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

    def number(self, names: Sequence[str]) -> int:
        """Return a node's own number; `names` are those it may have been recorded by."""
        return next((self.nodes[name] for name in names if name in self.nodes), FIRST_VERSION)

    def version(self, names: Sequence[str]) -> int:
        """Return the version of a node's key."""
        return key_version(self.mesh, self.number(names))

    def same_keys(self, other: "Generations") -> bool:
        """Whether all numbers are the same."""
        return (self.mesh, self.nodes, self.preshared) == (other.mesh, other.nodes, other.preshared)

    @property
    def ever(self) -> bool:
        """Whether any key was ever replaced, or any node is revoked."""
        numbers = (self.mesh, self.preshared, self.ssh, *self.nodes.values())
        return any(each > FIRST_VERSION for each in numbers) or bool(self.revoked)

    def record(self) -> dict[str, Any]:
        """Return what a stash keeps: text and numbers that read as the change in a preview."""
        revoked = {"revoked": dict(sorted(self.revoked.items()))} if self.revoked else {}
        return {
            "mesh": self.mesh,
            "nodes": dict(sorted(self.nodes.items())),
            "preshared": self.preshared,
            **({"ssh": self.ssh} if self.ssh > FIRST_VERSION else {}),
            "out": sorted(self.out),
            **revoked,
            **({"own": sorted(self.own)} if self.own else {}),
        }


NO_ROTATION: Final = Generations()
"""Of a mesh that never rotated: all keys are the first ones."""


def generations_of(kept: object) -> Generations:
    """Read what a stash keeps; of a stash that is not there yet, `NO_ROTATION`."""
    if not isinstance(kept, Mapping):
        return NO_ROTATION
    return Generations(
        mesh=int(kept["mesh"]),
        nodes={str(name): int(number) for name, number in kept["nodes"].items()},
        preshared=int(kept["preshared"]),
        ssh=int(kept.get("ssh", FIRST_VERSION)),
        out=frozenset(kept["out"]),
        revoked={str(name): int(number) for name, number in kept.get("revoked", {}).items()},
        own=frozenset(kept.get("own", ())),
    )


def given_generations(before: Previous) -> Generations:
    """Return the numbers that the state says nodes were given."""
    return generations_of(before.record(STASH, GENERATIONS).get("input"))


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The state before this run, as far as keys go, and the plan."""

    plan: MeshPlan
    before: Previous
    given: Generations
    settled: Generations

    @staticmethod
    def of(plan: MeshPlan, before: Previous) -> "_Known":
        return _Known(
            plan=plan,
            before=before,
            given=given_generations(before),
            settled=generations_of(before.record(STASH, ROTATION).get("input")),
        )

    def names(self, node: str) -> tuple[str, ...]:
        return node, *self.plan.nodes[node].former

    @property
    def nodes(self) -> list[str]:
        return [name for name in self.plan.nodes if self.before.has_key(name)]

    def made_own(self, node: str) -> set[bool]:
        """Return whether a node made its key itself: as the last run recorded, and as the state's parts say.

        Both answers, where they differ after a run that was stopped: no node was given a key of the other
        source then.
        """
        kept = self.before.has_part(STASH, node, IDENTITY)
        made = self.before.has_part(COMMAND, node, OWN_KEY)
        recorded = self.before.has(STASH, GENERATIONS)
        found = {not self.given.own.isdisjoint(self.names(node))} if recorded else set()
        return found | ({made} if kept != made else set())


def wanted_generations(plan: MeshPlan, before: Previous) -> Generations | None:
    """Return the numbers that this run gives; None in a mesh without rotation."""
    if plan.rotation is None:
        return None
    known, wanted = _Known.of(plan, before), plan.rotation
    there = set(known.nodes)
    return Generations(
        mesh=wanted.mesh,
        nodes=wanted.nodes,
        preshared=wanted.preshared,
        ssh=wanted.ssh,
        out=frozenset(wanted.out),
        own=frozenset(name for name in plan.nodes if _makes_own(known, name)),
        revoked={
            name: _revoked(known, name)
            or (known.given.version(known.names(name)) if name in there else plan.nodes[name].key_version)
            for name in wanted.revoked
        },
    )


def _makes_own(known: _Known, name: str) -> bool:
    """Whether the record is to say that a node makes its key: as before of one that takes no part."""
    node, names = known.plan.nodes[name], known.names(name)
    if node.enabled or name not in known.nodes:
        return node.makes_key
    return not known.given.own.isdisjoint(names)


def _revoked(known: _Known, name: str) -> int | None:
    """Return the version of the key that the state says is revoked."""
    found = (known.given.revoked.get(each) for each in known.names(name))
    return next((each for each in found if each is not None), None)


def replaced(was: Generations, plan: MeshPlan, there: Collection[str]) -> bool:
    """Whether nodes get other keys than `was`: of those that take part, and are `there` already."""
    taking_part = [node for name, node in plan.nodes.items() if name in there and node.enabled]
    return bool(taking_part) and (
        was.preshared != plan.preshared_version
        or any(was.version((node.name, *node.former)) != node.key_version for node in taking_part)
    )


def refuse_generations(plan: MeshPlan, before: Previous, doors: Mapping[str, Doors]) -> tuple[Problem, ...]:
    """Return what is wrong with the numbers, given the state; `doors` are those that nodes have committed."""
    known = _Known.of(plan, before)
    if not known.nodes:
        return ()
    found = [*_ends(known), *_lower(known), *_not_trusted(known), *_other_source(known)]
    if not found:
        found = [*_beside(known, doors), *_moved(known, doors)]
    return tuple(
        Problem(path=path_text("mesh", place), message=message, place=place, instead=another_value(*instead))
        for place, message, *instead in found
    )


def _ends(known: _Known) -> Iterator[tuple[Any, ...]]:
    if known.plan.rotation is None and known.given.ever:
        was = known.given
        message = (
            f"is missing, but keys were replaced before (generation {was.mesh}, preshared {was.preshared}, "
            f"ssh {was.ssh}): "
            f"without it, the nodes would get other keys at once, and lose each other; write it again, with "
            f"these numbers"
        )
        yield ("rotation",), message


def _numbers(known: _Known) -> Iterator[tuple[_Place, int, int]]:
    """Yield each number: its place, the one in force, and the one that is wanted."""
    rotation, was = known.plan.rotation, known.given
    if rotation is None:
        return
    yield ("rotation", "generation"), was.mesh, rotation.mesh
    yield ("rotation", "preshared"), was.preshared, rotation.preshared
    yield ("rotation", "ssh"), was.ssh, rotation.ssh
    for name in known.nodes:
        own = rotation.nodes.get(name, FIRST_VERSION)
        yield ("nodes", name, "generation"), was.number(known.names(name)), own


def _lower(known: _Known) -> Iterator[tuple[Any, ...]]:
    for place, was, wanted in _numbers(known):
        if wanted < was:
            message = (
                f"{wanted} is lower than {was}, which is in force: keys that were replaced do not come back; "
                f"write {was}, or a higher number for new keys"
            )
            yield place, message, was


def _not_trusted(known: _Known) -> Iterator[tuple[Any, ...]]:
    rotation = known.plan.rotation
    for name in known.nodes if rotation is not None else ():
        assert rotation is not None
        version = _revoked(known, name)
        if version is None or name in rotation.revoked or known.plan.nodes[name].key_version > version:
            continue
        higher = rotation.nodes.get(name, FIRST_VERSION) + version - known.plan.nodes[name].key_version + 1
        message = (
            f"{name} was revoked, and would come back with the very key that is not trusted; write "
            f"`generation: {higher}` beside, which gives {name} another key"
        )
        yield ("nodes", name, "revoked"), message


def _other_source(known: _Known) -> Iterator[tuple[Any, ...]]:
    """A node whose key is made elsewhere from now on gets another key: that is a rotation."""
    for name in known.nodes:
        node, rotation = known.plan.nodes[name], known.plan.rotation
        if not node.enabled or node.makes_key in (known.made_own(name) or {node.makes_key}):
            continue
        source, had = ("node", "state") if node.makes_key else ("state", "node")
        place = "nodes", name, "keySource"
        given = known.given.version(known.names(name))
        if rotation is None:
            message = (
                f"{source} gives {name} another key, and this mesh has no rotation of keys; add "
                f"`rotation: {{}}` to the mesh and `generation: 2` to {name}, or write {had}"
            )
        elif node.key_version <= given:
            higher = rotation.nodes.get(name, FIRST_VERSION) + given - node.key_version + 1
            message = (
                f"{source} gives {name} another key, which a higher number has to say; write `generation: "
                f"{higher}` beside, or write {had}"
            )
        else:
            continue
        yield place, message, had


def _raised(known: _Known) -> Iterator[tuple[_Place, int]]:
    """Yield the place of each number that gives a node other keys, and the number in force."""
    for place, was, wanted in _numbers(known):
        if wanted > was:
            yield place, was


def _beside(known: _Known, doors: Mapping[str, Doors]) -> Iterator[tuple[Any, ...]]:
    """What must not happen in the run that replaces keys."""
    if not replaced(known.given, known.plan, known.nodes):
        return
    moving = [
        name
        for name, had in doors.items()
        if known.plan.nodes[name].enabled and had.ports != (known.plan.nodes[name].overlay.port,)
    ]
    renamed = _renamed(known)
    for place, was in _raised(known):
        back = f"write {was} here, run `up` until"
        if moving:
            message = f"WireGuard's port moves (mesh.port) on {', '.join(moving)}; {back} no port moves, then"
            yield place, f"{message} replace keys", was
        if renamed:
            names = ", ".join(f"{former} to {name}" for name, former in sorted(renamed.items()))
            yield (
                place,
                f"nodes are renamed in this run ({names}); {back} that is done, then replace keys",
                was,
            )


def _renamed(known: _Known) -> dict[str, str]:
    """Return the former names of nodes that are renamed in this run, by the new ones."""
    return {
        name: former
        for name, node in known.plan.nodes.items()
        for former in node.former
        if known.before.has(NODE_TYPE, former) and not known.before.has(NODE_TYPE, name)
    }


def _moved(known: _Known, doors: Mapping[str, Doors]) -> Iterator[tuple[Any, ...]]:
    """No port moves and no node is renamed while keys are being replaced: nodes would refuse the files."""
    if known.plan.rotation is None or not replaced(known.settled, known.plan, known.nodes):
        return
    if replaced(known.given, known.plan, known.nodes):
        return
    for name, former in _renamed(known).items():
        message = (
            f"{former} is renamed while keys are being replaced; write {former} here, run `up` until the "
            f"rotation is done, then rename the node"
        )
        yield ("nodes", name), message, former
    for name, had in doors.items():
        port = known.plan.nodes[name].overlay.port
        if known.plan.nodes[name].enabled and port not in had.ports:
            message = (
                f"{port} is not the port that the nodes have, and their keys are being replaced; write "
                f"{had.ports[0]}, run `up` until the rotation is done, then move the port"
            )
            yield ("port",), message, had.ports[0]
            return
