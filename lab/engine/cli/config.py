"""`config ...`: a stack's configuration file."""

import re
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from lab.engine.cli.context import CommandError, Session, Stack
from lab.engine.cli.outputs import as_json
from lab.engine.cli.words import CWD, STACK, Command, Group, hidden, switch
from lab.engine.project import full_key

__all__ = ["GROUP"]


def _stack(cwd: Path | None, name: str | None) -> Stack:
    session = Session(cwd=(cwd or Path()).resolve(), stack_option=name)
    stack = Stack(session=session, name=session.stack_name())
    if not stack.file.path.exists() and not session.backend.exists(session.project.name, stack.name):
        raise CommandError(f"no stack named '{stack.name}' found")
    return stack


def overview(*, cwd: Path | None, stack_name: str | None, show_secrets: bool, json: bool) -> None:
    """Without a command, print the configuration."""
    stack = _stack(cwd, stack_name)
    found = stack.config()
    names = sorted(found.values)
    shown = {
        name: "[secret]" if name in found.secret_keys and not show_secrets else found.values[name]
        for name in names
    }
    if json:
        print(
            as_json(
                {name: _told(shown[name], name in found.secret_keys, show_secrets) for name in names},
                indent=2,
            )
        )
        return
    rows = [(name.removeprefix(f"{stack.session.project.name}:"), value) for name, value in shown.items()]
    width = max(len(key) for key, _ in [("KEY", ""), *rows])
    for key, value in [("KEY", "VALUE"), *rows]:
        print(f"{key.ljust(width)}  {value}")


def _told(value: str, secret: bool, shown: bool) -> dict[str, Any]:  # noqa: FBT001 - passed on
    return {"secret": secret} if secret and not shown else {"value": value, "secret": secret}


def set_value(
    key: str, value: str | None = None, *, cwd: Path | None, stack_name: str | None, secret: bool,
    plaintext: bool, path: bool, non_interactive: bool,
) -> None:  # fmt: skip
    """Set a value; without a value, read the value from stdin."""
    del plaintext, non_interactive
    stack = _stack(cwd, stack_name)
    text = value if value is not None else sys.stdin.read().rstrip("\n")
    stored: Any = {"secure": stack.crypter.encrypt(text)} if secret else text
    if secret:
        stack.keep_salt()
    if not path:
        stack.file.set([full_key(stack.session.project, key)], stored)
        return
    where = _parts(stack, key)
    try:
        stack.file.set(where, stored if secret else _typed(text))
    except IndexError as error:
        raise CommandError(f"{key}: the index is too large for a list of length {error}") from None


def _typed(text: str) -> Any:
    """A value in a structure keeps its kind, as Pulumi does it."""
    if text in {"true", "false"} or re.fullmatch(r"-?(0|[1-9]\d*)", text):
        return yaml.safe_load(text)
    return text


def _parts(stack: Stack, key: str) -> list[str | int]:
    """Return the place that a path such as `mesh.nodes["web-1"].public[0]` names."""
    from lab.engine.deploy.paths import parse_path  # noqa: PLC0415 - it brings the SDK, which others do without

    head, *rest = parse_path(key)
    return [full_key(stack.session.project, str(head)), *rest]


def get(key: str, *, cwd: Path | None, stack_name: str | None) -> None:
    """Print a value, decrypted."""
    stack = _stack(cwd, stack_name)
    values = stack.config().values
    name = full_key(stack.session.project, key)
    if name not in values:
        raise CommandError(f"configuration key '{key}' not found for stack '{stack.name}'")
    print(values[name])


def rm(key: str, *, cwd: Path | None, stack_name: str | None, path: bool) -> None:
    """Remove a value."""
    stack = _stack(cwd, stack_name)
    stack.file.remove(_parts(stack, key) if path else [full_key(stack.session.project, key)])


_PATH: Final = switch("--path", does="The key is a path into a structure.")

GROUP: Final = Group(
    does="Manage a stack's configuration.",
    overview=Command(
        run=overview,
        options=(
            CWD, STACK, switch("--show-secrets", does="Show secrets decrypted."),
            switch("--json", "-j", does="Print JSON."),
        ),
    ),
    commands={
        "set": Command(
            run=set_value,
            takes=("KEY", "[VALUE]"),
            options=(
                CWD, STACK, switch("--secret", does="Encrypt the value."),
                switch("--plaintext", does="Do not encrypt the value."), _PATH,
                hidden(switch("--non-interactive")),
            ),
        ),
        "get": Command(run=get, takes=("KEY",), options=(CWD, STACK)),
        "rm": Command(run=rm, takes=("KEY",), options=(CWD, STACK, _PATH)),
    },
)  # fmt: skip
