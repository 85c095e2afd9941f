"""Functions of the program that the engine calls back: resource hooks, error hooks, transforms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from lab.engine.deploy.request import DeployError
from lab.engine.protocol import callback_pb2, callback_pb2_grpc, resource_pb2
from lab.engine.state.model import ResourceState
from lab.engine.values import to_wire

__all__ = ["HookError", "Hooks"]


class HookError(Exception):
    """A hook failed, or is not there."""


@dataclass(frozen=True, kw_only=True)
class _Hook:
    target: str
    token: str
    on_dry_run: bool = True
    ignore_errors: bool = False


class Hooks:
    """The callbacks a program has registered, by name."""

    def __init__(self, *, preview: bool) -> None:
        self._preview = preview
        self._hooks: dict[str, _Hook] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}

    def register(self, request: Any) -> None:
        """Take a RegisterResourceHook or RegisterErrorHook request."""
        if request.name in self._hooks:
            raise DeployError(f"the hook {request.name!r} is registered twice")
        self._hooks[request.name] = _Hook(
            target=request.callback.target,
            token=request.callback.token,
            on_dry_run=getattr(request, "on_dry_run", True),
            ignore_errors=getattr(request, "ignore_errors", False),
        )

    def _find(self, name: str, what: str) -> _Hook:
        hook = self._hooks.get(name)
        if hook is None:
            raise HookError(f'{what} "{name}" was not registered')
        return hook

    async def call(self, target: str, token: str, request: bytes) -> bytes:
        """Call a function of the program. Raises `HookError` when the program has ended."""
        if target not in self._channels:
            self._channels[target] = grpc.aio.insecure_channel(
                target,
                options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
            )
        stub = callback_pb2_grpc.CallbacksStub(self._channels[target])
        try:
            answer = await stub.Invoke(callback_pb2.CallbackInvokeRequest(token=token, request=request))
        except grpc.aio.AioRpcError as error:  # the program has ended
            code = error.code().name.capitalize()
            raise HookError(f"rpc error: code = {code} desc = {error.details()}") from error
        found: bytes = answer.response
        return found

    async def run(
        self, kind: str, state: ResourceState, *, new: ResourceState | None, old: ResourceState | None
    ) -> list[str]:
        """Run the resource hooks of one kind (`before_create`); returns what to warn of.

        Raises `HookError` for one that failed.
        """
        key = "".join(part.capitalize() for part in kind.split("_"))
        warnings = []
        for name in state.resource_hooks.get(key, []):
            hook = self._find(name, "hook")
            if self._preview and not hook.on_dry_run:
                continue
            request = resource_pb2.ResourceHookRequest(
                urn=state.urn, id=_id(state), name=state.name, type=state.type, **_values(kind, new, old)
            )
            answer = resource_pb2.ResourceHookResponse.FromString(
                await self.call(hook.target, hook.token, request.SerializeToString())
            )
            if answer.error:
                if not hook.ignore_errors:
                    raise HookError(f'{kind.partition("_")[0]} hook "{name}" failed: {answer.error}')
                warnings.append(f'{key} hook "{name}" failed: {answer.error}')
        return warnings

    async def retry(
        self,
        operation: str,
        errors: list[str],
        *,
        new: ResourceState | None,
        old: ResourceState | None,
    ) -> bool:
        """Ask the error hooks whether to try again; `errors` has the newest first. Raises `HookError`."""
        state = new or old
        assert state is not None
        again = False
        for name in state.resource_hooks.get("OnError", []):
            hook = self._find(name, "error hook")
            request = resource_pb2.ErrorHookRequest(
                urn=state.urn, id=_id(old or state), name=state.name, type=state.type,
                failed_operation=operation, errors=errors,
                new_inputs=to_wire(new.inputs) if new is not None else None,
                old_inputs=to_wire(old.inputs) if old is not None else None,
                old_outputs=to_wire(old.outputs) if old is not None else None,
            )  # fmt: skip
            answer = resource_pb2.ErrorHookResponse.FromString(
                await self.call(hook.target, hook.token, request.SerializeToString())
            )
            if answer.error:
                raise HookError(f'error hook "{name}" failed: {answer.error}')
            again = again or answer.retry
        return again

    async def close(self) -> None:
        """Close the connections to the program."""
        for channel in self._channels.values():
            await channel.close()


def _id(state: ResourceState) -> str:
    return state.id if isinstance(state.id, str) else ""


def _values(kind: str, new: ResourceState | None, old: ResourceState | None) -> Mapping[str, Any]:
    """What a hook of this kind gets to see."""
    found: dict[str, Any] = {}
    if new is not None and "delete" not in kind:
        found["new_inputs"] = to_wire(new.inputs)
        if kind.startswith("after"):
            found["new_outputs"] = to_wire(new.outputs)
    if old is not None and "create" not in kind:
        found["old_inputs"] = to_wire(old.inputs)
        found["old_outputs"] = to_wire(old.outputs)
    return found
