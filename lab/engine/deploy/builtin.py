"""The provider every engine has built in: `Stash`, and references to stacks of the same backend.

As in pulumi/pulumi, pkg/resource/deploy/builtins.go.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lab.engine.provider import (
    CheckFailure,
    CheckResult,
    DiffResult,
    Provider,
    ProviderError,
    ReadResult,
    Resource,
    Values,
)
from lab.engine.values import contains_secret, plain, same

__all__ = ["READ_OUTPUTS", "READ_RESOURCES", "STACK_REFERENCE", "BuiltinProvider"]

STACK_REFERENCE = "pulumi:pulumi:StackReference"
STASH = "pulumi:index:Stash"
READ_OUTPUTS = "pulumi:pulumi:readStackOutputs"
"""The built-in function that says what a stack's outputs were; the deployment answers it."""
READ_RESOURCES = "pulumi:pulumi:readStackResourceOutputs"
"""The built-in function that says what a stack's state has; the deployment answers it."""


class BuiltinProvider(Provider):
    """Keeps values. `output` stays what the input was when the stash was created or replaced.

    `stack_outputs` returns the outputs of a stack by its name, as the backend has them now. It raises
    `ProviderError` for an unknown stack.
    """

    accepts_secrets = True
    config_defaults: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, stack_outputs: Callable[[str], Mapping[str, Any]]) -> None:
        self._stack_outputs = stack_outputs

    async def configure(self, config: Values) -> None:
        """Nothing to configure."""

    async def check(self, urn: str, type_: str, olds: Values | None, news: Values) -> CheckResult:
        """Require an input."""
        if type_ != STASH:
            raise ProviderError(f"{urn}: this engine has no built-in resource {type_!r}")
        if "input" not in news:
            return CheckResult(inputs=news, failures=[CheckFailure(property="input", reason="missing input")])
        return CheckResult(inputs={"input": news["input"]})

    async def diff(self, old: Resource, news: Values, ignore_changes: Sequence[str]) -> DiffResult:
        """Any other input, or another secret mark on it, is an update."""
        changed = not same(dict(old.inputs), dict(news))
        return DiffResult(changes=changed, diffs=["input"] if changed else ())

    async def create(self, urn: str, type_: str, inputs: Values, *, preview: bool) -> tuple[str, Values]:
        """Keep the input as the output."""
        identifier = "" if preview else str(uuid.uuid4())
        return identifier, {"input": inputs["input"], "output": inputs["input"]}

    async def read(self, resource: Resource) -> ReadResult | None:
        """A stash is what the state says; a reference has what the other stack says now."""
        if resource.type == STACK_REFERENCE:
            outputs = self._referenced(plain(resource.outputs.get("name") or resource.inputs["name"]))
            return ReadResult(id=resource.id, inputs=resource.inputs, outputs=outputs)
        return ReadResult(id=resource.id, inputs=resource.inputs, outputs=resource.outputs)

    def _referenced(self, name: str) -> Values:
        outputs = self._stack_outputs(name)
        secret = sorted(key for key, value in outputs.items() if contains_secret(value))
        return {"name": name, "outputs": dict(outputs), "secretOutputNames": secret}

    async def update(self, old: Resource, news: Values, *, preview: bool) -> Values:
        """Take the new input, keep the output."""
        return {"input": news["input"], "output": old.outputs["output"]}

    async def delete(self, resource: Resource) -> None:
        """Nothing to remove."""

    async def invoke(self, token: str, args: Values) -> Mapping[str, Any]:
        """There are two functions, and they are not asked here."""
        raise ProviderError(f"this engine has no built-in function {token!r}")
