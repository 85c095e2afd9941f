"""`config ...`: a stack's configuration file."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from lab.engine.cli.context import CommandError, Session, Stack
from lab.engine.project import full_key

app = typer.Typer(no_args_is_help=True)

Cwd = Annotated[Path | None, typer.Option("--cwd", "-C")]
StackName = Annotated[str | None, typer.Option("--stack", "-s")]
AsPath = Annotated[bool, typer.Option("--path", help="The key is a path into a structure.")]


def _stack(cwd: Path | None, name: str | None) -> Stack:
    session = Session(cwd=(cwd or Path()).resolve(), stack_option=name)
    return Stack(session=session, name=session.stack_name())


@app.command("set")
def set_value(
    key: str, value: Annotated[str | None, typer.Argument()] = None, *, cwd: Cwd = None,
    stack_name: StackName = None,
    secret: Annotated[bool, typer.Option("--secret", help="Encrypt it.")] = False,
    plaintext: Annotated[bool, typer.Option("--plaintext", help="Do not encrypt it.")] = False,
    path: AsPath = False,
    non_interactive: Annotated[bool, typer.Option("--non-interactive", hidden=True)] = False,
) -> None:  # fmt: skip
    """Set a value; without one it is read from stdin."""
    del plaintext, non_interactive
    stack = _stack(cwd, stack_name)
    text = value if value is not None else sys.stdin.read().rstrip("\n")
    stored: Any = {"secure": stack.crypter.encrypt(text)} if secret else text
    if not path:
        stack.file.set(full_key(stack.session.project, key), stored)
        return
    if not secret:
        stored = _typed(text)
    from lab.engine.deploy.paths import parse_path  # noqa: PLC0415 - it brings the SDK, which others do without

    head, *rest = parse_path(key)
    name = full_key(stack.session.project, str(head))
    stack.file.set(name, _placed(stack.file.config.get(name), rest, stored))


def _typed(text: str) -> Any:
    """A value in a structure keeps its kind, as Pulumi does it."""
    if text in {"true", "false"} or re.fullmatch(r"-?(0|[1-9]\d*)", text):
        return yaml.safe_load(text)
    return text


def _placed(container: Any, parts: list[str | int], value: Any) -> Any:
    if not parts:
        return value
    head, *rest = parts
    if isinstance(head, int):
        items = list(container or [])
        if head > len(items):
            raise CommandError(f"index {head} is beyond the end of a list of {len(items)}")
        items[head : head + 1] = [_placed(items[head] if head < len(items) else None, rest, value)]
        return items
    mapping = dict(container or {})
    mapping[head] = _placed(mapping.get(head), rest, value)
    return mapping


@app.command()
def get(key: str, *, cwd: Cwd = None, stack_name: StackName = None) -> None:
    """Print a value, decrypted."""
    stack = _stack(cwd, stack_name)
    values = stack.config().values
    name = full_key(stack.session.project, key)
    if name not in values:
        raise CommandError(f"configuration key '{key}' not found for stack '{stack.name}'")
    print(values[name])


@app.command()
def rm(key: str, *, cwd: Cwd = None, stack_name: StackName = None) -> None:
    """Remove a value."""
    stack = _stack(cwd, stack_name)
    stack.file.remove(full_key(stack.session.project, key))
