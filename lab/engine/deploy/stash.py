"""The provider every engine has built in: `pulumi:index:Stash`."""

import uuid
from collections.abc import Mapping, Sequence
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
from lab.engine.values import same

__all__ = ["READ_OUTPUTS", "READ_RESOURCES", "BuiltinProvider"]

STASH = "pulumi:index:Stash"
READ_OUTPUTS = "pulumi:pulumi:readStackOutputs"
"""The built-in function that says what a stack's outputs were; the deployment answers it."""
READ_RESOURCES = "pulumi:pulumi:readStackResourceOutputs"
"""The built-in function that says what a stack's state has; the deployment answers it."""


class BuiltinProvider(Provider):
    """Keeps values. `output` stays what the input was when the stash was created or replaced."""

    accepts_secrets = True
    config_defaults: Mapping[str, Any] = MappingProxyType({})

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
        """A stash is what the state says."""
        return ReadResult(id=resource.id, inputs=resource.inputs, outputs=resource.outputs)

    async def update(self, old: Resource, news: Values, *, preview: bool) -> Values:
        """Take the new input, keep the output."""
        return {"input": news["input"], "output": old.outputs["output"]}

    async def delete(self, resource: Resource) -> None:
        """Nothing to remove."""

    async def invoke(self, token: str, args: Values) -> Mapping[str, Any]:
        """There are two functions, and they are not asked here."""
        raise ProviderError(f"this engine has no built-in function {token!r}")
