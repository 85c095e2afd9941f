"""`config ...`: a stack's configuration file."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from lab.engine.cli.context import CommandError, Session, Stack
from lab.engine.cli.outputs import as_json
from lab.engine.project import full_key

app = typer.Typer()

Cwd = Annotated[Path | None, typer.Option("--cwd", "-C")]
StackName = Annotated[str | None, typer.Option("--stack", "-s")]
AsPath = Annotated[bool, typer.Option("--path", help="The key is a path into a structure.")]


def _stack(cwd: Path | None, name: str | None) -> Stack:
    session = Session(cwd=(cwd or Path()).resolve(), stack_option=name)
    stack = Stack(session=session, name=session.stack_name())
    if not stack.file.path.exists() and not session.backend.exists(session.project.name, stack.name):
        raise CommandError(f"no stack named '{stack.name}' found")
    return stack


@app.callback(invoke_without_command=True)
def overview(
    context: typer.Context, *, cwd: Cwd = None, stack_name: StackName = None,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Show secrets decrypted.")] = False,
    json: Annotated[bool, typer.Option("--json", "-j", help="Print JSON.")] = False,
) -> None:  # fmt: skip
    """Without a command, print the configuration."""
    if context.invoked_subcommand is not None:
        if cwd or stack_name:
            raise CommandError(f"write --stack and --cwd after `config {context.invoked_subcommand}`")
        return
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


@app.command("set")
def set_value(
    key: str, value: Annotated[str | None, typer.Argument()] = None, *, cwd: Cwd = None,
    stack_name: StackName = None,
    secret: Annotated[bool, typer.Option("--secret", help="Encrypt the value.")] = False,
    plaintext: Annotated[bool, typer.Option("--plaintext", help="Do not encrypt the value.")] = False,
    path: AsPath = False,
    non_interactive: Annotated[bool, typer.Option("--non-interactive", hidden=True)] = False,
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
def rm(key: str, *, cwd: Cwd = None, stack_name: StackName = None, path: AsPath = False) -> None:
    """Remove a value."""
    stack = _stack(cwd, stack_name)
    stack.file.remove(_parts(stack, key) if path else [full_key(stack.session.project, key)])
