"""The `command` provider: what all its resources have in common.

Semantics: pulumi/pulumi-command 1.2.1. Any changed input but `triggers` is an update, which runs
`update` or, where there is none, `create` again; `triggers` replace. Nothing is read back.
"""

import secrets
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from lab.engine.provider import (
    UNKNOWN,
    CheckFailure,
    CheckResult,
    DiffResult,
    Provider,
    ProviderError,
    ReadResult,
    Resource,
    Values,
)
from lab.engine.providers.command import local
from lab.engine.providers.command.inputs import differs, refusals, with_defaults
from lab.engine.providers.diffs import compare
from lab.engine.values import mark_secret

__all__ = ["CommandProvider"]

_LOCAL: Final = "command:local:Command"
_REMOTE: Final = "command:remote:Command"
_COPY: Final = "command:remote:CopyToRemote"
_CREDENTIALS: Final = {"password", "privateKey", "privateKeyPassword"}
_REQUIRED: Final = {_LOCAL: (), _REMOTE: ("connection",), _COPY: ("connection", "remotePath", "source")}


class CommandProvider(Provider):
    """Commands and copies; needs no configuration."""

    # seen with pulumi-command 1.2.1: an unknown in a secret is decoded as the zero value of its type
    loses_unknown_secrets = True

    config_defaults: Mapping[str, Any] = MappingProxyType(
        {"__internal": {}, "__pulumi-go-provider-version": "v1.5.0"}
    )

    async def configure(self, config: Values) -> None:
        """Nothing to configure."""

    async def check(self, urn: str, type_: str, olds: Values | None, news: Values) -> CheckResult:  # noqa: ARG002
        """Refuse what is missing; fill in the defaults of a connection."""
        if type_ not in _REQUIRED:
            raise ProviderError(f"{urn}: this engine's command provider has no resource {type_!r}")
        inputs = dict(news)
        failures = [
            CheckFailure(property=name, reason=f"Missing required property '{name}'")
            for name in _REQUIRED[type_]
            if name not in inputs
        ]
        if isinstance(inputs.get("connection"), Mapping):
            inputs["connection"] = _sealed(with_defaults(inputs["connection"]))
        if type_ == _COPY:
            failures += refusals(inputs)
        return CheckResult(inputs=inputs, failures=failures)

    async def diff(self, old: Resource, news: Values, ignore_changes: Sequence[str]) -> DiffResult:  # noqa: ARG002
        """Compare inputs; only `triggers` replace."""
        return compare(old.inputs, news, replaces=lambda name: name == "triggers")

    async def create(self, urn: str, type_: str, inputs: Values, *, preview: bool) -> tuple[str, Values]:
        """Run `create`, or copy. In a preview a command has a throw-away id."""
        name = urn.rsplit("::", 1)[1]
        if type_ == _COPY:
            if not preview:
                await _copy(inputs)
            return "" if preview else secrets.token_hex(4), dict(inputs)
        identifier = f"{name}{secrets.token_hex(4)}"
        if preview:
            return identifier, {**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}
        outputs = await self._run(type_, inputs.get("create"), inputs, {})
        return identifier, {**inputs, **outputs}

    async def update(self, old: Resource, news: Values, *, preview: bool) -> Values:
        """Run `update`, or `create` again."""
        if old.type == _COPY:
            if not preview and differs(old.outputs, news):
                await _copy(news)
            return dict(news)
        if preview:
            # another value of an input that was there, or an unknown one, makes what depends on it unknown
            changed = any(news.get(name) != value for name, value in old.inputs.items())
            changed = changed or any(value is UNKNOWN for value in news.values())
            former = {name: old.outputs.get(name, "") for name in ("stdout", "stderr")}
            return {**news, **(dict.fromkeys(former, UNKNOWN) if changed else former)}
        command = news.get("update", news.get("create"))
        return {**news, **await self._run(old.type, command, news, old.outputs)}

    async def delete(self, resource: Resource) -> None:
        """Run the `delete` in the state, over the connection in the state."""
        if resource.type != _COPY and resource.inputs.get("delete") is not None:
            await self._run(resource.type, resource.inputs["delete"], resource.inputs, resource.outputs)

    async def read(self, resource: Resource) -> ReadResult | None:
        """A command is what the state says: nothing is looked up."""
        return ReadResult(id=resource.id, inputs=resource.inputs, outputs=resource.outputs)

    async def invoke(self, token: str, args: Values) -> Values:
        """Run a command at once (`local.run`)."""
        if token != "command:local:run":  # noqa: S105 - the name of a function
            raise ProviderError(f"this engine's command provider has no function {token!r}")
        if "command" not in args:
            raise ProviderError(f"{token}: missing required argument 'command'")
        return {**args, **await local.run(args["command"], args, {})}

    @staticmethod
    async def _run(type_: str, command: str | None, inputs: Values, former: Values) -> dict[str, str]:
        if command is None:
            return {name: former.get(name, "") for name in ("stdout", "stderr")}
        if type_ == _LOCAL:
            return await local.run(command, inputs, former)
        from lab.engine.providers.command import remote  # noqa: PLC0415 - a run that dials nobody needs no SSH

        return await remote.run(command, inputs, former)


async def _copy(inputs: Values) -> None:
    from lab.engine.providers.command.copy import copy_to_remote  # noqa: PLC0415 - likewise

    await copy_to_remote(inputs)


def _sealed(connection: Mapping[str, Any]) -> dict[str, Any]:
    """Mark a connection's credentials, as the real provider does: whole or not, each is a secret."""
    sealed = {
        name: mark_secret(value) if name in _CREDENTIALS else value for name, value in connection.items()
    }
    if isinstance(connection.get("proxy"), Mapping):
        sealed["proxy"] = _sealed(connection["proxy"])
    return sealed
