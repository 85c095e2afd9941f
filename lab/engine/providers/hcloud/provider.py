"""The `hcloud` provider: the official client behind Pulumi's resource types."""

import asyncio
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

from hcloud import APIException, Client, HCloudException
from hcloud.actions import ActionException
from requests import RequestException

from lab.engine.provider import (
    UNKNOWN,
    CheckFailure,
    CheckResult,
    DiffResult,
    PartialFailureError,
    Provider,
    ProviderError,
    ReadResult,
    Resource,
    Values,
)
from lab.engine.providers.diffs import compare
from lab.engine.providers.hcloud.firewall import Firewall, FirewallAttachment
from lab.engine.providers.hcloud.functions import FUNCTIONS
from lab.engine.providers.hcloud.network import Network, NetworkSubnet, ServerNetwork
from lab.engine.providers.hcloud.resource import Kind, patiently
from lab.engine.providers.hcloud.server import Server
from lab.engine.providers.hcloud.shape import meaning, plain, shaped
from lab.engine.providers.hcloud.simple import PlacementGroup, PrimaryIp, SshKey

__all__ = ["KINDS", "HcloudProvider"]

KINDS: Final[Mapping[str, Kind]] = {
    kind.token: kind
    for kind in (
        *(SshKey(), PlacementGroup(), PrimaryIp(), Firewall(), FirewallAttachment()),
        *(Network(), NetworkSubnet(), ServerNetwork(), Server()),
    )
}
_TOKEN_LENGTH: Final = 64
_REQUEST_SECONDS: Final = 60
# Waits between looks at an action, in seconds: short for the lab, kind to the rate limit in the long run.
_FIRST_LOOK: Final = 0.1
_LOOK_GROWTH: Final = 1.3
_LONGEST_LOOK: Final = 2.0
_LOOKS: Final = 900  # about half an hour
_CALLS: Final = 10  # at the same time: as many connections as requests keeps open
_REMEDIES: Final = {
    "unauthorized": "check hcloud:token",
    "resource_limit_exceeded": "raise the project's limit, or create fewer resources",
    "resource_unavailable": "try another location or server type, or try again later",
    "rate_limit_exceeded": "wait: the limit allows one more request each second",
    "protected": "remove the protection first",
}
_STOPPED: Final = "the operation was stopped"
T = TypeVar("T")


class HcloudProvider(Provider):
    """Resources of one project, addressed by its token."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._endpoint = ""
        self._closing = threading.Event()
        self._threads = ThreadPoolExecutor(_CALLS, "hcloud")

    async def configure(self, config: Values) -> None:
        """Take `token` and `endpoint`; without them HCLOUD_TOKEN and HCLOUD_ENDPOINT count."""
        token = str(config.get("token") or os.environ.get("HCLOUD_TOKEN") or "")
        if len(token) != _TOKEN_LENGTH:
            raise ProviderError(
                f"hcloud:token has {len(token)} characters, but a token has {_TOKEN_LENGTH}: "
                "set the token with `pulumi config set --secret hcloud:token`"
            )
        endpoint = (
            config.get("endpoint") or os.environ.get("HCLOUD_ENDPOINT") or "https://api.hetzner.cloud/v1"
        )
        self._endpoint = str(endpoint)
        self._client = Client(
            token=token,
            api_endpoint=self._endpoint,
            poll_interval=self._wait,
            poll_max_retries=_LOOKS,
            timeout=_REQUEST_SECONDS,
        )

    async def close(self) -> None:
        """Stop waiting for actions; what is asked from now on fails."""
        self._closing.set()
        self._threads.shutdown(wait=False)

    def _wait(self, retries: int) -> float:
        """Wait before the next look at an action, here, where closing can end it; nothing remains to wait."""
        if self._closing.wait(min(_LONGEST_LOOK, _FIRST_LOOK * _LOOK_GROWTH ** min(retries, 20))):
            raise _ClosedError(_STOPPED)
        return 0

    def _open(self, work: Callable[[Client], T], client: Client) -> T:
        """Begin work that has waited for a thread, if the provider is not closed by now."""
        if self._closing.is_set():
            raise _ClosedError(_STOPPED)
        return work(client)

    async def check(self, urn: str, type_: str, olds: Values | None, news: Values) -> CheckResult:
        """Refuse what is missing or not known here; fill in defaults and a name."""
        kind = self._kind(type_)
        given = shaped(kind, news)
        failures = [
            CheckFailure(property=name, reason="this engine's hcloud provider does not know it")
            for name in sorted(set(given) - kind.known)
        ]
        failures += [
            CheckFailure(property=name, reason="Missing required argument")
            for name in kind.required
            if name not in given
        ]
        failures += kind.problems(given)
        added = {name: value for name, value in kind.defaults.items() if name not in given}
        if "name" in kind.known and "name" not in given:
            former = (olds or {}).get("name")
            added["name"] = former or f"{urn.rsplit('::', 1)[1]}-{secrets.token_hex(4)[:7]}"
        return CheckResult(inputs={"__defaults": sorted(added), **given, **added}, failures=failures)

    async def diff(self, old: Resource, news: Values, ignore_changes: Sequence[str]) -> DiffResult:  # noqa: ARG002
        """Compare inputs by the kind's rules."""
        kind = self._kind(old.type)
        before, after = _comparable(kind, old.inputs, news)
        found = compare(before, after, replaces=lambda name: name in kind.replaces)
        keys = [name for name in found.diffs if name in kind.replaces]
        # a name that was given cannot be held by two at once
        first = (
            bool(keys)
            and "name" in kind.known
            and "name" not in news.get("__defaults", ())
            and old.inputs.get("name") == news.get("name")
        )
        return replace(found, replaces=keys, delete_before_replace=first)

    async def create(self, urn: str, type_: str, inputs: Values, *, preview: bool) -> tuple[str, Values]:
        """Make it; one that exists but is not as asked is recorded. Raises `PartialFailureError` for that."""
        kind = self._kind(type_)
        wanted = plain(inputs)
        if preview:
            return "", {"id": UNKNOWN, **dict.fromkeys(kind.computed, UNKNOWN), **kind.planned(wanted)}
        what = f"{kind.noun} {wanted.get('name', urn.rsplit('::', 1)[1])}"
        made = await self._call(what, "create", lambda client: kind.create(client, wanted))
        try:
            await self._call(what, "create", lambda _client: made.finish())
            outputs = await self._call(what, "read", lambda client: kind.read(client, made.id, wanted))
        except ProviderError as error:
            known = {"id": made.id, **kind.planned(wanted)}
            raise PartialFailureError(str(error), id=made.id, outputs=known) from error
        return made.id, {"id": made.id, **outputs}

    async def discard(self, type_: str, inputs: Values) -> bool | None:
        """Find it by its name, and remove it if it has the very labels it was to get."""
        kind = self._kind(type_)
        name, labels = inputs.get("name"), dict(inputs.get("labels") or {})
        if kind.collection is None or not name:
            return None

        def work(client: Client) -> bool:
            found = getattr(client, str(kind.collection)).get_by_name(name)
            if found is None or dict(found.labels or {}) != labels:
                return False
            # it is locked for as long as the cloud still works on it
            patiently(["locked", "conflict"], lambda: kind.delete(client, str(found.id), inputs), tries=8)
            return True

        return await self._call(f"{kind.noun} {name}", "remove the half-made", work)

    async def update(self, old: Resource, news: Values, *, preview: bool) -> Values:
        """Change it in place."""
        kind = self._kind(old.type)
        before, after = _comparable(kind, old.inputs, news)
        if preview:
            return {**old.outputs, **kind.planned(after)}
        what = f"{kind.noun} {after.get('name', old.id)}"
        await self._call(what, "update", lambda client: kind.update(client, old.id, before, after))
        outputs = await self._call(what, "read", lambda client: kind.read(client, old.id, after))
        return {"id": old.id, **outputs}

    async def read(self, resource: Resource) -> ReadResult | None:
        """Look it up; inputs follow what the cloud says."""
        kind = self._kind(resource.type)
        what = f"{kind.noun} {resource.inputs.get('name', resource.id)}"
        asked = plain(resource.inputs)
        try:
            outputs = await self._call(what, "read", lambda client: kind.read(client, resource.id, asked))
        except _GoneError:
            return None
        inputs = {
            name: outputs[name]
            if name in kind.known - kind.write_only
            and name in outputs
            and meaning(kind, name, outputs[name]) != meaning(kind, name, asked[name])
            else value
            for name, value in resource.inputs.items()
        }
        return ReadResult(id=resource.id, inputs=inputs, outputs={"id": resource.id, **outputs})

    async def delete(self, resource: Resource) -> None:
        """Remove it; gone already is fine where the real provider thinks so. Raises `ProviderError`."""
        kind = self._kind(resource.type)
        what = f"{kind.noun} {resource.inputs.get('name', resource.id)}"
        try:
            await self._call(
                what, "delete", lambda client: kind.delete(client, resource.id, plain(resource.inputs))
            )
        except _GoneError:
            if not kind.gone_is_deleted:
                raise

    async def invoke(self, token: str, args: Values) -> Values:
        """Look something up."""
        function = FUNCTIONS.get(token)
        if function is None:
            raise ProviderError(f"this engine's hcloud provider has no function {token!r}")
        return await self._call(token, "look up", lambda client: function(client, args))

    @staticmethod
    def _kind(type_: str) -> Kind:
        if type_ not in KINDS:
            raise ProviderError(f"this engine's hcloud provider has no resource {type_!r}")
        return KINDS[type_]

    async def _call(self, what: str, verb: str, work: Callable[[Client], T]) -> T:
        """Run a blocking call of the client; its failures become readable. Raises `ProviderError`."""
        client = self._client
        if client is None:
            raise ProviderError(f"{what}: the provider's configuration is not known yet")
        if self._closing.is_set():
            raise ProviderError(f"could not {verb} {what}: {_STOPPED}")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._open, work, client)
        except APIException as error:
            if error.code == "not_found" and verb in {"read", "delete"}:
                raise _GoneError(f"could not {verb} {what}: {error.message} ({error.code})") from error
            raise ProviderError(_explained(what, verb, error)) from error
        except ActionException as error:
            reason: Any = error.action.error or {}
            raise ProviderError(f"could not {verb} {what}: {reason.get('message', str(error))}") from error
        except _ClosedError as error:
            raise ProviderError(f"could not {verb} {what}: {error}") from error
        except (RequestException, HCloudException) as error:
            raise ProviderError(
                f"could not {verb} {what}: no answer from {self._endpoint} ({type(error).__name__}); "
                "check that the cloud runs and can be reached"
            ) from error


class _GoneError(ProviderError):
    """The resource is not there any more."""


class _ClosedError(HCloudException):
    """The engine has ended the operation."""


def _comparable(kind: Kind, old: Values, new: Values) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return old and new inputs such that what differs is what is to be changed."""
    # the real provider leaves defaults out of its inputs
    before, after = {**kind.defaults, **plain(old)}, plain(new)
    for name, value in before.items():
        kept = name not in after and name in kind.kept
        equal = name in after and meaning(kind, name, value) == meaning(kind, name, after[name])
        if kept or equal or name in kind.unmanaged(after):
            after[name] = value
    return before, after


def _explained(what: str, verb: str, error: APIException) -> str:
    details: Any = error.details
    fields = details.get("fields") or [] if isinstance(details, dict) else []
    reasons = "; ".join(
        f"{f['name']}: {', '.join(f.get('messages') or [])}" for f in fields if f.get("messages")
    )
    text = f"could not {verb} {what}: {error.message} ({error.code})"
    remedy = reasons or _REMEDIES.get(str(error.code))
    return f"{text}: {remedy}" if remedy else text
