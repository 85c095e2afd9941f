"""Transforms: functions of the program that change a registration before it is decided."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lab.engine.deploy.goal import Alias, Goal, aliases_of, hooks_of, hooks_to_wire, timeouts_of
from lab.engine.deploy.hooks import Hooks
from lab.engine.deploy.request import DeployError
from lab.engine.protocol import alias_pb2, resource_pb2
from lab.engine.values import from_wire, to_wire, value_from_wire, value_to_wire

__all__ = ["Transforms"]


class Transforms:
    """Applies a resource's own transforms, then those of its parents, then the stack's."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._stack: list[Any] = []
        self._invokes: list[Any] = []
        self._of: dict[str, tuple[str, list[Any]]] = {}

    def add_for_stack(self, callback: Any) -> None:
        """Take a transform of every resource."""
        self._stack.append(callback)

    def add_for_invokes(self, callback: Any) -> None:
        """Take a transform of every function call."""
        self._invokes.append(callback)

    def remember(self, urn: str, goal: Goal, own: list[Any]) -> None:
        """Keep a resource's own transforms for its children."""
        self._of[urn] = (goal.parent, own)

    def _inherited(self, parent: str) -> list[Any]:
        found: list[Any] = []
        while parent in self._of:
            parent, callbacks = self._of[parent]
            found += callbacks
        return found

    async def apply(self, goal: Goal, own: list[Any]) -> Goal:
        """Return the registration as the transforms leave it."""
        for callback in (*own, *self._inherited(goal.parent), *self._stack):
            request = resource_pb2.TransformRequest(
                type=goal.type, name=goal.name, custom=goal.custom, parent=goal.parent,
                properties=to_wire(goal.properties), options=_options(goal),
            )  # fmt: skip
            answer = resource_pb2.TransformResponse.FromString(
                await self._hooks.call(callback.target, callback.token, request.SerializeToString())
            )
            goal = _changed(goal, answer)
        return goal

    async def invoke_args(
        self, token: str, args: dict[str, Any], provider: str, version: str
    ) -> tuple[dict[str, Any], str, str]:
        """Return a function call's arguments, provider and version as the transforms leave them."""
        for callback in self._invokes:
            options = resource_pb2.TransformInvokeOptions(provider=provider, version=version)
            request = resource_pb2.TransformInvokeRequest(token=token, args=to_wire(args), options=options)
            answer = resource_pb2.TransformInvokeResponse.FromString(
                await self._hooks.call(callback.target, callback.token, request.SerializeToString())
            )
            if answer.HasField("args"):
                args = from_wire(answer.args)
            if answer.HasField("options"):
                provider, version = answer.options.provider, answer.options.version
        return args, provider, version


def _options(goal: Goal) -> Any:
    optional: dict[str, Any] = {
        "protect": goal.protect,
        "retain_on_delete": goal.retain_on_delete,
        "delete_before_replace": goal.delete_before_replace,
        "custom_timeouts": _timeouts(goal.custom_timeouts),
        "hooks": hooks_to_wire(goal.hooks),
        "replacement_trigger": (
            None if goal.replacement_trigger is None else value_to_wire(goal.replacement_trigger)
        ),
    }
    return resource_pb2.TransformResourceOptions(
        depends_on=goal.dependencies,
        ignore_changes=goal.ignore_changes,
        replace_on_changes=goal.replace_on_changes,
        version=goal.version,
        aliases=[_alias(alias) for alias in goal.aliases],
        provider=goal.provider,
        deleted_with=goal.deleted_with,
        additional_secret_outputs=goal.additional_secret_outputs,
        providers=goal.providers,
        replace_with=goal.replace_with,
        hide_diff=[path for (path,) in goal.hide_diff],
        **{name: value for name, value in optional.items() if value is not None},
    )


def _alias(alias: Alias) -> Any:
    if alias.urn:
        return alias_pb2.Alias(urn=alias.urn)
    spec = alias_pb2.Alias.Spec(
        name=alias.name, type=alias.type, stack=alias.stack, project=alias.project
    )  # fmt: skip
    if alias.no_parent:
        spec.noParent = True
    elif alias.parent:
        spec.parentUrn = alias.parent
    return alias_pb2.Alias(spec=spec)


def _timeouts(seconds: Mapping[str, float] | None) -> Any:
    if not seconds:
        return None
    texts = {operation: f"{value:g}s" for operation, value in seconds.items()}
    return resource_pb2.RegisterResourceRequest.CustomTimeouts(**texts)


def _changed(goal: Goal, answer: Any) -> Goal:
    if answer.HasField("properties"):
        goal = replace(goal, properties=from_wire(answer.properties))
    if not answer.HasField("options"):
        return goal
    options = answer.options
    if getattr(options, "import"):
        raise DeployError(f"{goal.type} {goal.name}: this engine does not know the option 'import'")

    def given(name: str) -> Any:
        return getattr(options, name) if options.HasField(name) else None

    trigger = given("replacement_trigger")
    return replace(
        goal,
        dependencies=sorted(set(options.depends_on)),
        protect=given("protect"),
        ignore_changes=list(options.ignore_changes),
        replace_on_changes=list(options.replace_on_changes),
        version=options.version,
        aliases=aliases_of(options.aliases),
        provider=options.provider,
        custom_timeouts=timeouts_of(options.custom_timeouts),
        retain_on_delete=given("retain_on_delete"),
        deleted_with=options.deleted_with,
        delete_before_replace=given("delete_before_replace"),
        additional_secret_outputs=list(options.additional_secret_outputs),
        providers=dict(options.providers),
        hooks=hooks_of(options.hooks) if options.HasField("hooks") else {},
        hide_diff=[[path] for path in options.hide_diff],
        replace_with=list(options.replace_with),
        replacement_trigger=None if trigger is None else value_from_wire(trigger),
    )
