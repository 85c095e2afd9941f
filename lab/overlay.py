"""What a rehearsal changes in a stack file that is written for a real cloud; the file itself stays as it is.

The copy with the changes lies in a project folder of its own, in which the engine runs the same program.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

__all__ = ["LOCAL_CLOUD", "CloudAddress", "Overlay", "cloud_of", "overlaid", "write_project"]

_TOKEN: Final = "token"  # noqa: S105 - the name of a key
_ENDPOINT: Final = "endpoint"
_CLOUD: Final = "hcloud"
_SALT: Final = "encryptionsalt"


@dataclass(frozen=True, kw_only=True)
class CloudAddress:
    """Where the lab's cloud listens on loopback, and the token that it takes."""

    port: int
    token: str

    @property
    def url(self) -> str:
        """The endpoint, as the provider wants it."""
        return f"http://127.0.0.1:{self.port}/v1"


LOCAL_CLOUD: Final = CloudAddress(port=8470, token=("lab-token-" * 7)[:64])
"""The cloud of a lab in which no stack file names another one."""


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """The configuration that is rehearsed, and what was changed for that, a line each."""

    config: Mapping[str, Any]
    changes: tuple[str, ...]


def cloud_of(config: Mapping[str, Any]) -> CloudAddress | None:
    """Return the cloud on this machine that a stack's configuration names; None for one elsewhere, or none.

    Raises `ValueError` for a token, or a port, that no lab can have.
    """
    url, token = config.get(f"{_CLOUD}:{_ENDPOINT}"), config.get(f"{_CLOUD}:{_TOKEN}")
    if not isinstance(url, str) or urlsplit(url).hostname not in {"127.0.0.1", "localhost"}:
        return None
    if isinstance(token, str):
        return CloudAddress(port=urlsplit(url).port or 80, token=token)
    raise ValueError(f"{_CLOUD}:{_TOKEN} must be 64 characters of plain text for a rehearsal")


def overlaid(config: Mapping[str, Any], cloud: CloudAddress, find_operator: Callable[[], str]) -> Overlay:
    """Return a configuration for the lab's cloud. `find_operator` finds this machine's address in the lab.

    Where SSH is limited, that address is let in, too: otherwise every node would refuse the change. No secret
    of the file gets through: only its own passphrase opens it, and nothing of it is needed here.
    """
    kept: dict[str, Any] = {}
    operator = find_operator() if any(map(_limits_ssh, config.values())) else ""
    changes = [f"{_CLOUD}:{_ENDPOINT} is {cloud.url}", f"{_CLOUD}:{_TOKEN} is the lab's own token"]
    for key, value in config.items():
        if _is_access(str(key)):
            continue
        if _has_secret(value):
            changes.append(f"{key} is left out: it is encrypted, and the rehearsal does not open secrets")
            continue
        kept[key] = _let_in(value, operator)
        changes += [
            f"{key}.{place} has also {operator}, this machine's address in the lab"
            for place in _changed(value, kept[key])
        ]
    kept[f"{_CLOUD}:{_ENDPOINT}"], kept[f"{_CLOUD}:{_TOKEN}"] = cloud.url, cloud.token
    return Overlay(config=kept, changes=tuple(changes))


def _is_access(key: str) -> bool:
    """Whether a key says where the cloud is and who asks: `hcloud:token`, in the old spelling too."""
    parts = key.split(":")
    return parts[0] == _CLOUD and parts[-1] in {_TOKEN, _ENDPOINT}


def _has_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return set(value) == {"secure"} or any(_has_secret(inner) for inner in value.values())
    return isinstance(value, list) and any(_has_secret(inner) for inner in value)


def _limits_ssh(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    ssh = value.get("ssh")
    return (isinstance(ssh, Mapping) and "from" in ssh) or any(map(_limits_ssh, value.values()))


def _let_in(value: Any, operator: str) -> Any:
    """Return a value in which every `ssh: {from: [...]}` lets this machine in."""
    if not isinstance(value, Mapping):
        return value
    found = {key: _let_in(inner, operator) for key, inner in value.items()}
    ssh = found.get("ssh")
    if isinstance(ssh, Mapping) and isinstance(ssh.get("from"), list) and not _lets_in(ssh["from"], operator):
        found["ssh"] = {**ssh, "from": [*ssh["from"], operator]}
    return found


def _lets_in(networks: list[Any], operator: str) -> bool:
    """Whether one of the networks holds the address; what is no network is the program's to refuse."""
    for network in networks:
        try:
            if ip_address(operator) in ip_network(str(network), strict=False):
                return True
        except ValueError:
            continue
    return not networks


def _changed(before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, Mapping):
        for key, inner in before.items():
            if key == "ssh" and inner != after[key]:
                yield "ssh.from"
            else:
                yield from (f"{key}.{place}" for place in _changed(inner, after[key]))


def write_project(
    folder: Path, project: Mapping[str, Any], *, source: Path, stack: str, overlay: Overlay
) -> None:
    """Write a project of the same program with this stack's file; `source` is the folder of the real one.

    The copy of the stack file keeps the salt that an engine has written into it.
    """
    stacks = folder / "stacks"
    stacks.mkdir(parents=True, exist_ok=True)
    path = stacks / f"Pulumi.{stack}.yaml"
    former = yaml.safe_load(path.read_text()) if path.exists() else None
    salt = former.get(_SALT) if isinstance(former, dict) else None
    _write(path, {**({_SALT: salt} if salt else {}), "config": dict(overlay.config)})
    main = os.path.relpath((source / str(project.get("main") or ".")).resolve(), folder.resolve())
    _write(folder / "Pulumi.yaml", _runs_from(project, source) | {"main": main, "stackConfigDir": "stacks"})


def _runs_from(project: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """Return the project with its virtual environment as a path from anywhere."""
    found = dict(project)
    runtime = project.get("runtime")
    options = runtime.get("options") if isinstance(runtime, Mapping) else None
    if isinstance(runtime, Mapping) and isinstance(options, Mapping) and options.get("virtualenv"):
        whole = str(source / str(options["virtualenv"]))
        found["runtime"] = {**runtime, "options": {**options, "virtualenv": whole}}
    return found


def _write(path: Path, document: Mapping[str, Any]) -> None:
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(yaml.safe_dump(document, sort_keys=False))
    fresh.rename(path)
