"""Runs the program against a monitor that notes what is registered and answers as an engine would."""

import asyncio
import base64
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pulumi
from google.protobuf import json_format, struct_pb2
from nacl.public import PrivateKey
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_pulumi_func

from mesh.plan import MeshPlan, fingerprint, plan_mesh
from mesh.program import KINDS, Mesh
from mesh.program.previous import Previous
from mesh.settings import parse_settings
from mesh.settings.machines import KNOWN

PROJECT, STACK = "wireguard-mesh", "test"


@dataclass(frozen=True)
class Registration:
    """One resource as the program asked for it; `object` may hold secret and unknown marks."""

    urn: str
    request: Any

    @property
    def type(self) -> str:
        return str(self.request.type)

    @property
    def name(self) -> str:
        return str(self.request.name)

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs as JSON, with the wire's own marks for secrets and unknowns."""
        value: dict[str, Any] = json_format.MessageToDict(self.request.object)
        return value

    @property
    def dependencies(self) -> set[str]:
        """The names of the resources this one waits for."""
        return {str(urn).rpartition("::")[2] for urn in self.request.dependencies}

    @property
    def known_as(self) -> list[str]:
        """The URNs that the engine looks for, its own first."""
        stem = self.urn.rpartition("::")[0]
        return [self.urn, *(f"{stem}::{alias.spec.name}" for alias in self.request.aliases)]

    @property
    def deleted_with(self) -> str:
        return str(self.request.deletedWith).rpartition("::")[2]

    def changed_since(self, before: "Registration") -> set[str]:
        """The inputs that are others than before, unless the engine is told to ignore that."""
        ignored = {*self.request.ignoreChanges}
        both = self.inputs.keys() | before.inputs.keys()
        return {key for key in both - ignored if self.inputs.get(key) != before.inputs.get(key)}

    def plain(self) -> list[str]:
        """All text of the inputs that is not marked secret."""
        return list(_texts(self.inputs))


def is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get(rpc._special_sig_key) == rpc._special_secret_sig


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_secret(value):
        return
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


@dataclass
class Recording:
    """Everything one run registered, by name, and what the engine would keep of it."""

    resources: dict[str, Registration] = field(default_factory=dict)
    state: dict[str, struct_pb2.Struct] = field(default_factory=dict)
    mesh: Any = None
    broken: set[str] = field(default_factory=set)

    def of_type(self, suffix: str) -> list[Registration]:
        return [each for each in self.resources.values() if each.type.endswith(suffix)]

    def __getitem__(self, name: str) -> Registration:
        return self.resources[name]


class _Nothing(mocks.Mocks):
    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"the program calls no function, but {args.token}")

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise AssertionError(f"{args.name} was not answered")


class _Monitor(mocks.MockMonitor):
    def __init__(
        self,
        recording: Recording,
        existing: Mapping[str, struct_pb2.Struct],
        *,
        preview: bool,
        replaced: Collection[str],
        failed: Collection[str],
    ) -> None:
        super().__init__(_Nothing())
        self._recording = recording
        self._existing = existing
        self._preview = preview
        self._replaced = replaced
        self._failed = failed
        self._broken: set[str] = set()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        parent_type = str(request.parent).split("::")[2] + "$" if request.parent else ""
        urn = f"urn:pulumi:{STACK}::{PROJECT}::{parent_type}{request.type}::{request.name}"
        if request.type == "pulumi:pulumi:Stack":
            urn = f"urn:pulumi:{STACK}::{PROJECT}::{request.type}::{request.name}"
            return resource_pb2.RegisterResourceResponse(urn=urn)
        assert urn not in {each.urn for each in list(self._recording.resources.values())}, f"{urn} twice"
        registration = Registration(urn, request)
        self._recording.resources[request.name] = registration
        was = next((each for each in registration.known_as if each in self._existing), urn)
        if request.name in self._failed or self._broken & {*request.dependencies}:
            self._broken.add(urn)
            self._recording.broken.add(request.name)
            if was in self._existing:
                self._recording.state[urn] = self._existing[was]
            return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.Result.FAIL)
        answer = self._answer(was, request)
        self._recording.state[urn] = answer
        kept = was in self._existing and request.name not in self._replaced
        exists = not self._preview or kept
        called = was.rpartition("::")[2]
        number = str(len(called) * 1000 + sum(called.encode()) % 1000)
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=number if request.custom and exists else "", object=answer
        )

    def _answer(self, urn: str, request: Any) -> struct_pb2.Struct:
        """What the resource is afterwards: its inputs, and what only the engine or the cloud can say."""
        answer = struct_pb2.Struct()
        answer.CopyFrom(request.object)
        old = None if request.name in self._replaced else self._existing.get(urn)
        if request.type == "pulumi:index:Stash":
            if old is not None and "input" in request.ignoreChanges:
                answer.CopyFrom(old)
            else:
                answer["output"] = request.object["input"] if old is None else old["output"]
        elif request.type == "hcloud:index/primaryIp:PrimaryIp" and (old is not None or not self._preview):
            octet = sum(urn.rpartition("::")[2].encode()) % 250 + 1
            four = request.object["type"] == "ipv4"
            answer["ipAddress"] = f"192.0.2.{octet}" if four else f"2001:db8:0:{octet:x}::"
        elif request.name.endswith("-own-key"):
            if old is not None and "triggers" in request.ignoreChanges:
                answer.CopyFrom(old)
            elif old is not None and old["triggers"] == answer["triggers"]:
                answer["stdout"] = old["stdout"]
            elif not self._preview:
                answer["stdout"] = _made(urn, *json_format.MessageToDict(answer)["triggers"])
        elif request.type == "hcloud:index/server:Server" and (old is not None or not self._preview):
            answer["status"] = "running" if old is None else old["status"]
        elif ":remote:" in request.type and old is not None:
            _keep_what_is_ignored(answer, old, request.ignoreChanges)
        return answer


def _keep_what_is_ignored(new: struct_pb2.Struct, old: struct_pb2.Struct, ignored: Iterable[str]) -> None:
    if old.fields.get("triggers") == new.fields.get("triggers"):  # else it is replaced
        for name in {*ignored} & {*old}:
            new[name] = old[name]


def _made(urn: str, server: str, version: float) -> str:
    """What a node answers that makes its key itself: another server, or another version, another key."""
    secret = hashlib.sha256(f"{urn} {server} {version}".encode()).digest()
    public = base64.b64encode(bytes(PrivateKey(secret).public_key)).decode()
    return f"MADE {version:.0f} {fingerprint(secret)} {public}"


def _plan(mesh: Mapping[str, Any]) -> MeshPlan:
    """Plan a mesh of any size: without the limits of the cloud."""
    return plan_mesh(parse_settings(mesh, kinds={**KINDS, **KNOWN}))


def run(
    mesh: Mapping[str, Any],
    *,
    existing: Recording | None = None,
    preview: bool = False,
    replaced: Collection[str] = (),
    failed: Collection[str] = (),
    beside: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Recording:
    """Run the program for one mesh; `existing` is the run before, `replaced` what is made anew by name.

    What has `failed`, by name, fails, and the engine skips all that depends on it (`--continue-on-error`).
    `beside` are further meshes by name.
    """
    recording = Recording()
    state = existing.state if existing else {}
    monitor = _Monitor(recording, state, preview=preview, replaced=replaced, failed=failed)

    def program() -> None:
        recording.mesh = Mesh("mesh", _plan(mesh), previous=previous_of(existing))
        for name, other in beside.items():
            Mesh(name, _plan(other), previous=previous_of(existing))

    with own_loop() as loop:
        mocks.set_mocks(_Nothing(), PROJECT, STACK, preview, monitor=monitor)
        loop.run_until_complete(run_pulumi_func(program))
    return recording


@contextmanager
def own_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop with a root resource of its own: nothing of one run is waited for in another.

    What is under way at the end comes to its end, or is cancelled.
    """
    settings.ROOT.set(None)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        if left := asyncio.all_tasks(loop):
            loop.run_until_complete(asyncio.wait(left, timeout=10))
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        settings.SETTINGS.outputs.clear()  # where the SDK keeps outputs that failed
        asyncio.set_event_loop(None)
        loop.close()


def previous_of(existing: Recording | None) -> Previous:
    """What the program is told of the run before."""
    if existing is None:
        return Previous()
    records = {
        (each.type, each.name): _bare(json_format.MessageToDict(existing.state[each.urn]))
        for each in existing.resources.values()
        if each.urn in existing.state
    }
    return Previous(records=records)


def _bare(value: Any) -> Any:
    """The value without the wire's marks for secrets."""
    if is_secret(value):
        return _bare(value["value"])
    if isinstance(value, dict):
        return {name: _bare(inner) for name, inner in value.items()}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def is_kept_secret(output: pulumi.Output[Any]) -> bool:
    """Whether the engine is told that an output is a secret, once the run is over."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(output.is_secret())
    finally:
        loop.close()


def value_of(output: pulumi.Output[Any]) -> Any:
    """What an output holds, once the run is over."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(output.future())
    finally:
        loop.close()
