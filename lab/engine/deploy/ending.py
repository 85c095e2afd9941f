"""The end of an operation: what nobody asked for is deleted, each resource after all that need it."""

import asyncio

from lab.engine.deploy.executor import StepError
from lab.engine.deploy.generator import BailError
from lab.engine.deploy.graph import Graph
from lab.engine.deploy.operation import Operation
from lab.engine.deploy.steps import Op, Step
from lab.engine.state.model import ResourceState

__all__ = ["delete_the_rest"]


async def delete_the_rest(operation: Operation) -> None:
    """Delete what is left of the state before (step_generator.go, GenerateDeletes and ScheduleDeletes).

    What a program has registered for a destroy goes, too. Raises `BailError` where more would go than was
    targeted.
    """
    if not operation.request.snapshot.resources:
        return  # nor what a program registers to destroy an empty stack (performPostSteps)
    snapshot = [*operation.journal.news(), *operation.journal.base()]
    graph = Graph(snapshot)
    kept, deletes = _plan(operation, snapshot, graph)
    _refuse_untargeted(operation, deletes)
    for step in kept:
        await operation.executor.take(step)
    await _Deletes(operation, snapshot, graph, deletes).run()


def _plan(operation: Operation, snapshot: list[ResourceState], graph: Graph) -> tuple[list[Step], list[Step]]:
    """Return the steps for what stays as it is not targeted, and those for what goes."""
    generator, targets = operation.generator, operation.generator.targets
    urns = {record.urn: None for record in snapshot}
    allowed = forbidden = None
    if targets.by_targets:
        allowed = graph.closure_of_dependents(targets.targeted(urns))
    elif targets.by_excludes:
        forbidden = graph.closure_of_dependencies(
            targets.excluded(urns), dependents=targets.exclude_dependents
        )
    made = set(generator.made)
    kept, deletes = [], []
    for record in operation.journal.base():
        operated = generator.sets.operated(generator.aliases.current(record.urn))
        included = record.urn in allowed if allowed is not None else record.urn not in (forbidden or ())
        if not included:
            if not operated:
                kept.append(Step(op=Op.SAME, old=record, new=record, untargeted=True))
        elif record.delete or not operated:
            deletes.append(_delete_step(record))
    for record in operation.journal.news():
        included = record.urn in allowed if allowed is not None else record.urn not in (forbidden or ())
        if record.urn in made and included:
            deletes.append(_delete_step(record))
    generator.sets.deleted.update(step.urn for step in deletes)
    return kept, deletes


def _delete_step(record: ResourceState) -> Step:
    if record.delete:
        op = Op.DISCARD_REPLACED if record.external else Op.DELETE_REPLACED
        return Step(op=op, old=record, logical=False)
    if record.pending_replacement:
        return Step(op=Op.REMOVE_PENDING, old=record, logical=False)
    return Step(op=Op.DISCARD if record.external else Op.DELETE, old=record)


def _refuse_untargeted(operation: Operation, deletes: list[Step]) -> None:
    refused = [step.urn for step in deletes if not operation.generator.targets.may_go(step.urn)]
    for urn in refused:
        operation.generator.error(
            f"Resource '{urn}' will be destroyed but was not specified in --target list.\n"
            "Either include resource in --target list or pass --target-dependents to proceed.",
            urn,
        )
    if refused and not operation.request.preview:
        raise BailError


class _Deletes:
    """Deletes in waves: a wave begins when the one before has ended (ScheduleDeletes)."""

    def __init__(
        self, operation: Operation, snapshot: list[ResourceState], graph: Graph, steps: list[Step]
    ) -> None:
        self._operation = operation
        self._steps = {id(step.old): step for step in steps}
        self._needs: dict[int, set[int]] = {}
        self._depth: dict[int, int] = {}
        # a state lists each resource after all that it needs
        for place, record in enumerate(snapshot):
            key = id(record)
            if key in self._steps:
                around = (id(snapshot[other]) for other in graph.dependencies(place))
                self._needs[key] = {other for other in around if other in self._steps}
                self._depth[key] = 1 + max((self._depth[other] for other in self._needs[key]), default=-1)

    async def run(self) -> None:
        """Delete; what a resource needs that could not be deleted stays."""
        kept: set[int] = set()
        for depth in sorted(set(self._depth.values()), reverse=True):
            if self._operation.course.stopped:
                return
            wave = [key for key, found in self._depth.items() if found == depth]
            going = [key for key in wave if key not in kept]
            gone = set(await asyncio.gather(*(self._delete(key) for key in going)))
            for key in wave:
                if key not in gone:
                    kept |= self._needs[key]

    async def _delete(self, key: int) -> int | None:
        operation = self._operation
        try:
            await operation.executor.take(self._steps[key])
        except StepError as error:
            if error.protected:
                operation.course.step_failed = True
            else:
                operation.course.fail_step()
            return None
        operation.course.heed_hooks()
        return key
