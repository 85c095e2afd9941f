"""A project and its stacks as files: Pulumi.yaml and Pulumi.<stack>.yaml."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from lab.engine.layout import removed, replaced

if TYPE_CHECKING:
    from lab.engine.state.secrets import Crypter

__all__ = ["Config", "Project", "ProjectError", "StackFile"]

_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}


class ProjectError(Exception):
    """A project or stack file is not as it should be; the message names the file and the place."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """What Pulumi.yaml says: name, where stack files are, the program's Python, the config's schema."""

    folder: Path
    name: str
    stack_folder: Path
    virtualenv: Path | None
    main: Path
    schema: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def find(start: Path) -> "Project":
        """Read the project in a folder or above it. Raises `ProjectError`."""
        for folder in (start, *start.parents):
            path = folder / "Pulumi.yaml"
            if path.exists():
                return Project._read(path)
        raise ProjectError(f"no Pulumi.yaml project file found in {start} or above it")

    @staticmethod
    def _read(path: Path) -> "Project":
        document = _load(path)
        runtime = document.get("runtime")
        options: Mapping[str, Any] = {}
        if isinstance(runtime, dict):
            options, runtime = runtime.get("options") or {}, runtime.get("name")
        if not isinstance(document.get("name"), str):
            raise ProjectError(f"{path}: name is missing")
        if runtime != "python":
            raise ProjectError(f"{path}: runtime is {runtime!r}; this engine runs python")
        config = document.get("config")
        stack_folder = document.get("stackConfigDir") or (config if isinstance(config, str) else ".")
        virtualenv = options.get("virtualenv")
        return Project(
            folder=path.parent,
            name=document["name"],
            stack_folder=path.parent / stack_folder,
            virtualenv=path.parent / virtualenv if virtualenv else None,
            main=path.parent / (document.get("main") or "."),
            schema=config if isinstance(config, dict) else {},
        )

    def stack_file(self, stack: str) -> "StackFile":
        """Return a stack's file, which need not exist yet."""
        return StackFile(self.stack_folder / f"Pulumi.{stack}.yaml")


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is given twice, as Pulumi's own reader does; PyYAML alone keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        first: dict[tuple[str, str], int] = {}
        for key, _value in node.value:
            line = key.start_mark.line + 1
            name = (key.tag, str(key.value))
            if name in first:
                raise yaml.constructor.ConstructorError(
                    problem=f'line {line}: mapping key "{key.value}" already defined at line {first[name]}'
                )
            first[name] = line
        return super().construct_mapping(node, deep)


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open() as text:  # its name goes into the message
            document = yaml.load(text, _UniqueKeys) or {}  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise ProjectError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(document, dict):
        raise ProjectError(f"{path}: not a mapping")
    return document


class StackFile:
    """Pulumi.<stack>.yaml: the encryption salt and the configuration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._document = _load(path) if path.exists() else {}

    @property
    def salt(self) -> str | None:
        """The `encryptionsalt`."""
        value = self._document.get("encryptionsalt")
        return value if isinstance(value, str) else None

    @property
    def config(self) -> dict[str, Any]:
        """The raw configuration, `secure:` values as they are."""
        return dict(self._document.get("config") or {})

    def set_salt(self, salt: str) -> None:
        """Write the salt; everything else in the file stays as it is, comments too."""
        self._document["encryptionsalt"] = salt
        self._write(f"encryptionsalt: {salt}\n{self._text()}")

    def set(self, path: list[str | int], value: Any) -> None:
        """Set one configuration value; the rest of the file stays as it is. Raises `IndexError`."""
        self._rewrite(replaced(self._text(), ["config", *path], value))

    def remove(self, path: list[str | int]) -> None:
        """Remove one configuration value; the rest of the file stays as it is."""
        self._rewrite(removed(self._text(), ["config", *path]))

    def _text(self) -> str:
        return self.path.read_text() if self.path.exists() else ""

    def _rewrite(self, text: str) -> None:
        self._write(text)
        self._document = _load(self.path)

    def _write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(text)
        fresh.rename(self.path)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A stack's configuration, decrypted: full key -> text, as programs get it (structures as JSON)."""

    values: Mapping[str, str]
    secret_keys: frozenset[str]

    @staticmethod
    def read(project: Project, stack_file: StackFile, crypter: "Crypter") -> "Config":
        """Decrypt the configuration, fill in the project's defaults, check types. Raises `ProjectError`."""
        values: dict[str, str] = {}
        secret: set[str] = set()
        for key, raw in stack_file.config.items():
            value, is_secret = _open(raw, crypter)
            full = full_key(project, key)
            _check_type(project, full, value, stack_file.path)
            values[full] = value if isinstance(value, str) else json.dumps(value)
            if is_secret:
                secret.add(full)
        for key, declared in project.schema.items():
            full = full_key(project, key)
            if full in values:
                continue
            default = (
                declared.get("default", declared.get("value")) if isinstance(declared, dict) else declared
            )
            if default is not None:
                values[full] = default if isinstance(default, str) else json.dumps(default)
            elif isinstance(declared, dict) and "type" in declared:
                name = key if ":" in key else f"{project.name}:{key}"
                raise ProjectError(
                    f"Stack '{_stack_of(stack_file)}' is missing configuration value "
                    f"'{name.split(':', 1)[1]}'"
                )
        return Config(values=values, secret_keys=frozenset(secret))


def _stack_of(stack_file: StackFile) -> str:
    return stack_file.path.name.removeprefix("Pulumi.").removesuffix(".yaml")


def full_key(project: Project, key: str) -> str:
    """Return a configuration key with its namespace."""
    return key if ":" in key else f"{project.name}:{key}"


def _open(raw: Any, crypter: "Crypter") -> tuple[Any, bool]:
    """Decrypt every `secure:` in a value; tells whether there was one."""
    if isinstance(raw, dict):
        if set(raw) == {"secure"} and isinstance(raw["secure"], str):
            return crypter.decrypt(raw["secure"]), True
        opened = {key: _open(value, crypter) for key, value in raw.items()}
        return {k: v for k, (v, _) in opened.items()}, any(secret for _, secret in opened.values())
    if isinstance(raw, list):
        items = [_open(value, crypter) for value in raw]
        return [value for value, _ in items], any(secret for _, secret in items)
    return raw, False


def _check_type(project: Project, key: str, value: Any, path: Path) -> None:
    for name, declared in project.schema.items():
        if full_key(project, name) != key or not isinstance(declared, dict):
            continue
        wanted = declared.get("type", "")
        if wanted in _TYPES and not _is_a(value, wanted):
            raise ProjectError(f"{path}: {key} must be of type '{wanted}'")


def _is_a(value: Any, wanted: str) -> bool:
    if wanted == "integer" and isinstance(value, str):
        return re.fullmatch(r"-?\d+", value) is not None
    if wanted == "boolean" and isinstance(value, str):
        return value in {"true", "false"}
    if wanted == "integer" and isinstance(value, bool):
        return False
    if wanted == "string":
        return isinstance(value, str | int | float | bool)
    return isinstance(value, _TYPES[wanted])
