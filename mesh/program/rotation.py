"""The rotation of keys as the engine sees it: a gate before anything is declared, a report at the end.

Two stashes say which keys the nodes are given, and (last of all) which are in force on all of them, so that a
preview shows a rotation in two rows, whatever its size. No step of a node waits for another node: the nodes
replace their keys by themselves, pair by pair.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pulumi

from mesh.names import GENERATIONS, ROTATION, STASH, MeshNames
from mesh.outputs import NodeOutputs
from mesh.plan import MeshPlan
from mesh.program.access import Access
from mesh.program.commands import Commands
from mesh.program.dates import KeyDates, key_dates
from mesh.program.generations import (
    Generations,
    generations_of,
    given_generations,
    replaced,
    wanted_generations,
)
from mesh.program.node import Node, WayIn
from mesh.program.previous import Previous
from mesh.program.settling import (
    Dialled,
    Put,
    Urns,
    look_ahead,
    refuse_silent,
    refuse_under_way,
    wait_until_settled,
)
from mesh.program.sources import made_key

__all__ = ["REPORT", "Rotation", "plan_rotation"]

REPORT: Final = "wireguard-mesh-rotation-report"
"""The name of the hook."""

_MADE: Final = "made"
"""In the record: the public keys of the nodes that make their keys themselves."""

_Hook = Callable[[pulumi.ResourceHookArgs], Coroutine[Any, Any, None]]


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """The rotation of one mesh in this run: the numbers that are wanted, and what the state has.

    `dates` are the days of the keys; None in a mesh whose keys may have any age.
    """

    names: MeshNames
    plan: MeshPlan
    before: Previous
    wanted: Generations
    access: Mapping[str, Access] = field(repr=False)
    dates: KeyDates | None = None

    @property
    def _there(self) -> frozenset[str]:
        """The nodes that the state has a key of."""
        return frozenset(name for name in self.plan.nodes if self.before.has_key(name))

    @property
    def _given(self) -> Generations:
        """The keys that the state says nodes were given."""
        return given_generations(self.before)

    @property
    def stranded(self) -> list[str]:
        """The devices whose configuration has keys that this run replaces."""
        had, there, nodes = self._given, self._there, self.plan.nodes
        return [
            name
            for name, client in self.plan.clients.items()
            if replaced(
                had, replace(self.plan, nodes={peer.name: nodes[peer.name] for peer in client.peers}), there
            )
        ]

    @property
    def warnings(self) -> list[str]:
        """What the user is to know before: devices that are cut off, and keys that are too old."""
        found = []
        if self.stranded:
            found.append(
                f"{', '.join(self.stranded)}: nodes get other keys, and a device knows only those "
                f"that it was given. Once `up` is done, these devices need their configuration again "
                f"(`mesh client NAME`)."
            )
        if self.dates and self.dates.old:
            found.append(str(self.dates.old))
        return found

    def begin(self, parent: pulumi.Resource) -> pulumi.Stash:
        """Ask the nodes, then declare which keys they are given, and since when. Raises `pulumi.RunError`."""
        self.require_settled()
        for words in self.warnings:
            pulumi.log.warn(words, parent)
        options = pulumi.ResourceOptions(parent=parent)
        record = {**self.wanted.record(), **(self.dates.record() if self.dates else {})}
        return pulumi.Stash(self.names.of(GENERATIONS), input=record, opts=options)

    def last(
        self,
        generations: pulumi.Stash,
        ways: Mapping[str, WayIn],
        nodes: Mapping[str, Node],
        commands: Mapping[str, Commands],
        *,
        parent: pulumi.Resource,
    ) -> None:
        """Declare what comes after all nodes: it is done when no key is being replaced any more."""

        async def all_returned() -> dict[str, Any]:
            # no dependencies: of a resource that depends on a failed one, the engine would not ask the hook
            for each in commands.values():
                await each.apply.urn.future()
                await each.apply.stdout.future()
            found = {name: await _made(node) for name, node in sorted(nodes.items()) if node.makes_key}
            # of one that failed the key that all knew before: the run that has another one sees a difference
            public = {name: key or self._made_before(name) for name, key in found.items()}
            made = {name: key for name, key in public.items() if key is not None}
            return {**self.wanted.record(), **({_MADE: made} if made else {})}

        record: pulumi.Input[dict[str, Any]] = pulumi.Output.from_input(all_returned())
        asked = pulumi.ResourceHook(self.names.of(REPORT), self.wait_and_report(ways, nodes, commands))
        pulumi.Stash(
            self.names.of(ROTATION),
            input=record,
            opts=pulumi.ResourceOptions(
                parent=parent,
                depends_on=[generations],
                hooks=pulumi.ResourceHookBinding(before_create=[asked], before_update=[asked]),
            ),
        )

    def require_settled(self) -> None:
        """Refuse to replace keys while the nodes replace the ones before. Raises `pulumi.RunError`.

        No preview asks. Before anything is declared, so that the stack's outputs stay as they are: where a
        resource fails, the engine keeps outputs of what comes after it as unknown.
        """
        if pulumi.runtime.is_dry_run():
            return
        if self.before.unread:
            raise pulumi.RunError(
                f"{self.names.said('keys')}: the engine did not say what the state has "
                f"({self.before.unread}), so nobody can tell which keys the nodes have. Nothing was changed. "
                f"Run up again."
            )
        given, settled = self._given, generations_of(self.before.record(STASH, ROTATION).get("input"))
        raised, back = replaced(given, self.plan, self._there), self._back(given)
        dialled = {name: each for name, each in self._as_before().items() if raised or name in back}
        if not dialled:
            return
        with ThreadPoolExecutor(1) as apart:  # Pulumi's own loop runs here
            asked = apart.submit(lambda: asyncio.run(look_ahead(dialled, Urns(self.before), back)))
        answers, what = asked.result(), self.names.said("keys")
        if raised:
            refuse_under_way(answers.without(back), done=settled.same_keys(given), what=what)
            refuse_silent(answers, self._makers, what=what)

    @property
    def _makers(self) -> frozenset[str]:
        """The nodes that have a key and make another one themselves in this run."""
        nodes = {name: self.plan.nodes[name] for name in self._there}
        made = {name: made_key(node, self.before) for name, node in nodes.items()}
        return frozenset(
            name
            for name, node in nodes.items()
            if node.makes_key and node.enabled
            if (had := made[name]) is None or had.version != node.key_version
        )

    def _as_before(self) -> dict[str, Dialled]:
        found = {}
        for name, node in self.plan.nodes.items():
            had = self.access[name].committed
            if not node.enabled or had is None or had.host_key is None:
                continue
            key = next(
                (had.private_keys[each] for each in had.management_keys if each in had.private_keys), None
            )
            if key is not None:
                outputs = self._outputs(name, had.address, self.access[name].port, had.host_key)
                found[name] = Dialled(node=outputs, ssh_private_key=key)
        return found

    def wait_and_report(
        self, ways: Mapping[str, WayIn], nodes: Mapping[str, Node], commands: Mapping[str, Commands]
    ) -> _Hook:
        """Return the hook that waits until all nodes have the new keys, and says who does not, and why.

        It raises `pulumi.RunError`. Where no key was replaced, it asks nobody.
        """

        async def wait(args: pulumi.ResourceHookArgs) -> None:
            was = _had(args)
            if not (replaced(was, self.plan, self._there) or self._back(was) or self._made_anew(args)):
                return
            taking_part = [name for name, node in self.plan.nodes.items() if node.enabled]
            dialled = {
                name: Dialled(node=self._outputs(name, address, int(port), host_key), ssh_private_key=key)
                for name in taking_part
                if all(known := [await _value(each) for each in _parts(ways[name])])
                for address, port, host_key, key in [known]
            }
            put = {
                name: Put(
                    document=await _document(commands[name]),
                    public_key=await _value(nodes[name].public_key),
                    canary=name == self.plan.canary,
                )
                for name in taking_part
            }
            port = next(node.overlay.next_port or 0 for node in self.plan.nodes.values())
            await wait_until_settled(dialled, put, Urns(self.before), port=port, what=self.names.said("keys"))

        return wait

    def _back(self, was: Generations) -> frozenset[str]:
        """Return the nodes that take part again and may have missed the replacement of a key."""
        nodes = self.plan.nodes
        return frozenset(
            name
            for name in self._there
            if self.wanted.ever and nodes[name].enabled and {name, *nodes[name].former} & was.out
        )

    def _made_before(self, node: str) -> Any:
        """Return the public key that a node had made, by the last run's record; None where it has none."""
        had = _made_in(self.before.record(STASH, ROTATION))
        return next((had[name] for name in (node, *self.plan.nodes[node].former) if name in had), None)

    def _made_anew(self, args: pulumi.ResourceHookArgs) -> bool:
        """Whether a node has made another key than the one that all had before, as a new server does."""
        wanted = _made_in(args.new_inputs or {})
        before = {name: self._made_before(name) for name in wanted}
        return any(before[name] not in {None, key} for name, key in wanted.items())

    def _outputs(self, name: str, address: str, port: int, host_key: str) -> NodeOutputs:
        return NodeOutputs(
            name=name,
            address=str(self.plan.nodes[name].overlay.first.ip),
            public_ip=address,
            public_key="",
            host_key=host_key,
            enabled=True,
            ssh_port=port,
        )


def plan_rotation(
    names: MeshNames, plan: MeshPlan, before: Previous, access: Mapping[str, Access]
) -> Rotation | None:
    """Return the rotation of a mesh in this run; None of one that does not rotate its keys."""
    wanted = wanted_generations(plan, before)
    if wanted is None:
        return None
    dates = key_dates(plan, before)
    return Rotation(names=names, plan=plan, before=before, wanted=wanted, access=access, dates=dates)


def _had(args: pulumi.ResourceHookArgs) -> Generations:
    """Return what the state had in this stash; the first keys where it is made now."""
    return generations_of((args.old_inputs or {}).get("input"))


def _made_in(kept: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the public keys in the record of a run."""
    record = kept.get("input")
    made = record.get(_MADE) if isinstance(record, Mapping) else None
    return made if isinstance(made, Mapping) else {}


async def _made(node: Node) -> Any:
    """Return the public key of a node that makes its key; None where that failed."""
    public = await _value(node.public_key)
    return pulumi.output.UNKNOWN if public is None and pulumi.runtime.is_dry_run() else public


def _parts(way: WayIn) -> tuple[pulumi.Input[Any], ...]:
    return way.address, way.port, way.host_key, way.private_key


async def _value(given: pulumi.Input[Any]) -> Any:
    """Return what an output holds; None where its resource failed."""
    return await pulumi.Output.from_input(given).future()


async def _document(commands: Commands) -> str | None:
    """Return the files that this run has put on a node; None where that failed."""
    answer, document = await _value(commands.apply.stdout), await _value(commands.apply.stdin)
    return document if isinstance(answer, str) and isinstance(document, str) else None
