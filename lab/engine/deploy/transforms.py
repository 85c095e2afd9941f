"""Transforms: functions of the program that change a registration before it is decided."""

from dataclasses import replace
from typing import Any

from pulumi.runtime.proto import resource_pb2

from lab.engine.deploy.goal import Goal
from lab.engine.deploy.hooks import Hooks
from lab.engine.values import from_wire, to_wire

__all__ = ["Transforms"]


class Transforms:
    """Applies a resource's own transforms, then those of its parents, then the stack's."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._stack: list[Any] = []
        self._invokes: list[Any] = []

    def add_for_stack(self, callback: Any) -> None:
        """Take a transform of every resource."""
        self._stack.append(callback)

    def add_for_invokes(self, callback: Any) -> None:
        """Take a transform of every function call."""
        self._invokes.append(callback)

    async def apply(self, goal: Goal, own: list[Any]) -> Goal:
        """Return the registration as the transforms leave it."""
        for callback in (*own, *self._stack):
            request = resource_pb2.TransformRequest(
                type=goal.type, name=goal.name, custom=goal.custom, parent=goal.parent,
                properties=to_wire(goal.properties), options=_options(goal),
            )  # fmt: skip
            answer = resource_pb2.TransformResponse.FromString(
                await self._hooks.call(callback.target, callback.token, request.SerializeToString())
            )
            goal = _changed(goal, answer)
        return goal

    async def invoke_args(self, token: str, args: dict[str, Any]) -> dict[str, Any]:
        """Return a function call's arguments as the transforms leave them."""
        for callback in self._invokes:
            request = resource_pb2.TransformInvokeRequest(
                token=token, args=to_wire(args), options=resource_pb2.TransformInvokeOptions()
            )
            answer = resource_pb2.TransformInvokeResponse.FromString(
                await self._hooks.call(callback.target, callback.token, request.SerializeToString())
            )
            args = from_wire(answer.args)
        return args


def _options(goal: Goal) -> Any:
    options = resource_pb2.TransformResourceOptions(
        depends_on=goal.dependencies,
        protect=goal.protect,
        ignore_changes=goal.ignore_changes,
        replace_on_changes=goal.replace_on_changes,
        version=goal.version,
        provider=goal.provider,
        retain_on_delete=goal.retain_on_delete,
        deleted_with=goal.deleted_with,
        additional_secret_outputs=goal.additional_secret_outputs,
        providers=goal.providers,
        replace_with=goal.replace_with,
    )
    if goal.delete_before_replace is not None:
        options.delete_before_replace = goal.delete_before_replace
    return options


def _changed(goal: Goal, answer: Any) -> Goal:
    properties = from_wire(answer.properties)
    if not answer.HasField("options"):
        return replace(goal, properties=properties)
    options = answer.options
    return replace(
        goal,
        properties=properties,
        dependencies=sorted(set(options.depends_on)),
        protect=options.protect if options.HasField("protect") else goal.protect,
        ignore_changes=list(options.ignore_changes),
        replace_on_changes=list(options.replace_on_changes),
        version=options.version or goal.version,
        provider=options.provider or goal.provider,
        retain_on_delete=(
            options.retain_on_delete if options.HasField("retain_on_delete") else goal.retain_on_delete
        ),
        deleted_with=options.deleted_with,
        additional_secret_outputs=list(options.additional_secret_outputs),
        replace_with=list(options.replace_with),
        delete_before_replace=(
            options.delete_before_replace
            if options.HasField("delete_before_replace")
            else goal.delete_before_replace
        ),
    )
