"""What is looked at before anything is dialled: connections, and the sources of copies."""

from collections.abc import Mapping
from typing import Any, Final

from lab.engine.provider import Archive, Asset, CheckFailure, ProviderError, Values

__all__ = ["differs", "refusals", "with_defaults"]

_DEFAULTS: Final = {"port": 22, "user": "root", "dialErrorLimit": 10, "perDialTimeout": 15}
_KNOWN: Final = {
    *_DEFAULTS,
    *("host", "hostKey", "privateKey", "privateKeyPassword", "password", "agentSocketPath", "proxy"),
}


def with_defaults(connection: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what a connection leaves open. Raises `ProviderError` for a field it does not know."""
    unknown = set(connection) - _KNOWN
    if unknown:
        raise ProviderError(f"connection: unknown field {', '.join(sorted(unknown))}")
    filled = {**_DEFAULTS, **connection}
    if isinstance(connection.get("proxy"), Mapping):
        filled["proxy"] = with_defaults(connection["proxy"])
    return filled


def refusals(inputs: Values) -> list[CheckFailure]:
    """Say what is wrong with the source of a copy, as far as it is known."""
    source = inputs.get("source")
    if isinstance(source, Asset) and source.path is None and source.text is None:
        reason = "asset must be a path-based file asset or a text asset"
        return [CheckFailure(property="asset", reason=reason)]
    if isinstance(source, Archive) and source.path is None:
        return [CheckFailure(property="archive", reason="archive must be a path to a file or directory")]
    return []


def differs(former: Values, news: Values) -> bool:
    """Whether there is another content or another place; other changes copy nothing."""
    old, new = former.get("source"), news["source"]
    same_place = former.get("remotePath") == news["remotePath"]
    return not (same_place and isinstance(old, Asset | Archive) and old.sha256 == new.sha256)
