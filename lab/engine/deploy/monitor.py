"""The two gRPC services a program talks to: the resource monitor and the engine."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2

from lab.engine.deploy.course import Course
from lab.engine.deploy.deployment import Deployment, Registered
from lab.engine.deploy.events import Events
from lab.engine.deploy.generator import BailError
from lab.engine.deploy.goal import Goal, refuse_unknown
from lab.engine.deploy.operation import Operation
from lab.engine.deploy.request import DeployError
from lab.engine.deploy.transforms import Transforms
from lab.engine.protocol import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc
from lab.engine.provider import ProviderError
from lab.engine.values import contains_unknown, from_wire, to_wire

__all__ = ["serve"]

_FEATURES: Final = (
    *("secrets", "resourceReferences", "outputValues", "aliasSpecs", "deletedWith", "replaceWith"),
    *("replacementTrigger", "transforms", "invokeTransforms", "resourceHooks", "errorHooks"),
)
_FEATURE_NUMBERS: Final = (
    *("SECRETS", "RESOURCE_REFERENCES", "OUTPUT_VALUES", "ALIAS_SPECS", "REPLACEMENT_TRIGGER"),
    *("DELETED_WITH", "REPLACE_WITH", "TRANSFORMS", "INVOKE_TRANSFORMS", "RESOURCE_HOOKS", "ERROR_HOOKS"),
)
_SEVERITIES: Final = {0: "debug", 1: "info", 2: "warning", 3: "error"}
# Result.SKIP, which the SDK's own copy of the protocol does not name yet
_SKIP: Final = resource_pb2.Result.ValueType(2)
_INVOKE_FIELDS: Final = {
    *("tok", "args", "provider", "version", "acceptResources", "sourcePosition", "stackTrace"),
    *("parentStackTraceHandle", "accepts_byte_string", "dependsOn", "parent", "pluginDownloadURL"),
}


class _Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    def __init__(self, operation: Operation, deployment: Deployment, info: Mapping[str, Any]) -> None:
        self._operation = operation
        self._deployment = deployment
        self._info = info
        self._transforms = Transforms(operation.hooks)
        self._under_way: set[asyncio.Future[Registered]] = set()
        self.shutdown = asyncio.Event()

    async def GetDeploymentInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        features = [
            resource_pb2.ResourceMonitorFeature.Value(f"RESOURCE_MONITOR_FEATURE_{name}")
            for name in _FEATURE_NUMBERS
        ]
        return resource_pb2.DeploymentInfo(**self._info, supportedFeatures=features)

    async def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: N802
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURES)

    async def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            asked, own = Goal.of(request), list(request.transforms)
            goal = await self._transforms.apply(self._deployment.inherited(asked), own)
            self._transforms.remember(self._deployment.urn(goal), goal, own)
            registered = await self._to_its_end(self._deployment.register(goal))
        except BailError:
            await asyncio.Event().wait()
        except DeployError as error:
            await self._refuse(context, error)
        return _answer(registered, keep_secrets=request.acceptSecrets, custom=request.custom)

    async def _to_its_end(self, work: Coroutine[Any, Any, Registered]) -> Registered:
        """Do what a request asks for, also when the program that asked ends meanwhile."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Future[Registered]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # the one who asked has it, if there is one

    async def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            await self._deployment.register_outputs(request.urn, from_wire(request.outputs))
        except DeployError as error:
            await self._refuse(context, error)
        return empty_pb2.Empty()

    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            refuse_unknown(request, _INVOKE_FIELDS, request.tok)
            args, provider, version = await self._transforms.invoke_args(
                request.tok, from_wire(request.args), request.provider, request.version
            )
            if contains_unknown(args):
                return resource_pb2.ResourceInvokeResponse(unknown=True)
            answer = await self._deployment.invoke(request.tok, args, provider, version, request.parent)
        except (DeployError, ProviderError) as error:
            await context.abort(
                grpc.StatusCode.UNKNOWN, f"invocation of {request.tok} returned an error: {error}"
            )
        return resource_pb2.ResourceInvokeResponse(**{"return": to_wire(answer)})

    async def RegisterResourceHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._register_hook(request, context)

    async def RegisterErrorHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._register_hook(request, context)

    async def _register_hook(self, request: Any, context: Any) -> Any:
        try:
            self._operation.hooks.register(request)
        except DeployError as error:
            await self._refuse(context, error)
        return empty_pb2.Empty()

    async def RegisterStackTransform(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._transforms.add_for_stack(request)
        return empty_pb2.Empty()

    async def RegisterStackInvokeTransform(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._transforms.add_for_invokes(request)
        return empty_pb2.Empty()

    async def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._operation.course.program_done.set()
        await self.shutdown.wait()
        return empty_pb2.Empty()

    async def ReadResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            read = await self._to_its_end(self._deployment.read(Goal.of_read(request), request.id))
        except BailError:
            await asyncio.Event().wait()
        except DeployError as error:
            await self._refuse(context, error)
        answer = _answer(read, keep_secrets=request.acceptSecrets, custom=True)
        return resource_pb2.ReadResourceResponse(
            urn=answer.urn, id=answer.id, properties=answer.object, result=answer.result,
            unknown=read.failed or read.skipped,
        )  # fmt: skip

    async def Call(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._refuse(context, DeployError(f"this engine does not call methods ({request.tok})"))

    async def RegisterPackage(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._refuse(
            context, DeployError(f"this engine does not parameterize packages ({request.name})")
        )

    async def _refuse(self, context: Any, error: DeployError) -> None:
        self._operation.events.diagnostic("error", str(error))
        self._operation.course.refuse()
        await context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _answer(registered: Registered, *, keep_secrets: bool, custom: bool) -> Any:
    state = registered.state
    values = state.outputs if custom and not (registered.failed or registered.skipped) else state.inputs
    if registered.unknown:
        values = {}
    result = resource_pb2.Result.SUCCESS
    if registered.failed:
        result = resource_pb2.Result.FAIL
    elif registered.skipped:
        result = _SKIP
    return resource_pb2.RegisterResourceResponse(
        urn=state.urn,
        id=state.id if isinstance(state.id, str) else "",
        object=to_wire(values, keep_secrets=keep_secrets),
        result=result,
        unknown=registered.unknown,
    )


class _Engine(engine_pb2_grpc.EngineServicer):
    def __init__(self, course: Course, events: Events) -> None:
        self._course = course
        self._events = events
        self._root = ""

    async def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        severity = _SEVERITIES.get(request.severity, "info")
        if not self._course.stopped or severity != "error" or self._course.refused:
            self._events.diagnostic(severity, request.message, request.urn, ephemeral=request.ephemeral)
        return empty_pb2.Empty()

    async def GetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    async def SetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()


class Served:
    """The running services: their address, and how they end."""

    def __init__(self, server: grpc.aio.Server, monitor: _Monitor, address: str) -> None:
        self._server = server
        self._monitor = monitor
        self.address = address

    def release(self) -> None:
        """Let the program go on to its end."""
        self._monitor.shutdown.set()

    async def close(self) -> None:
        """Answer nothing more."""
        self.release()
        await self._server.stop(None)


async def serve(operation: Operation, deployment: Deployment, info: Mapping[str, Any]) -> Served:
    """Start both services on a free port of loopback."""
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    )
    monitor = _Monitor(operation, deployment, info)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)
    engine_pb2_grpc.add_EngineServicer_to_server(_Engine(operation.course, operation.events), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return Served(server, monitor, f"127.0.0.1:{port}")
