"""`stack ...`: stacks and their state."""

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.engine.cli.context import CommandError, Session, Stack
from lab.engine.state.format import refusal, stamp
from lab.engine.state.model import STACK_TYPE, StateError
from lab.engine.values import SECRET_SIGNATURE, SIGNATURE, Secret, to_json

app = typer.Typer(no_args_is_help=True)

Cwd = Annotated[Path | None, typer.Option("--cwd", "-C")]
StackName = Annotated[str | None, typer.Option("--stack", "-s")]
Name = Annotated[str | None, typer.Argument()]
Ignored = Annotated[bool, typer.Option("--non-interactive", hidden=True)]
_UNDECRYPTED = (
    "could not deserialize deployment: failed to decrypt: incorrect passphrase, please set "
    "PULUMI_CONFIG_PASSPHRASE to the correct passphrase or set PULUMI_CONFIG_PASSPHRASE_FILE to a file "
    "containing the passphrase"
)


def _session(cwd: Path | None, name: str | None) -> Session:
    return Session(cwd=(cwd or Path()).resolve(), stack_option=name)


@app.command()
def init(
    name: Name = None, *, cwd: Cwd = None, stack_name: StackName = None,
    secrets_provider: Annotated[str, typer.Option()] = "passphrase",
    no_select: Annotated[bool, typer.Option("--no-select")] = False, non_interactive: Ignored = False,
) -> None:  # fmt: skip
    """Make a new, empty stack."""
    del non_interactive
    session = _session(cwd, name or stack_name)
    made = session.stack_name()
    if secrets_provider not in {"passphrase", "default"}:
        raise CommandError(f"--secrets-provider {secrets_provider!r}: this engine has passphrase only")
    if session.backend.exists(session.project.name, made):
        raise CommandError(f"stack '{made}' already exists")
    stack = Stack(session=session, name=made)
    if stack.file.salt is None:
        _ = stack.crypter  # asks for the passphrase and writes the salt
    session.backend.write(session.project.name, made, {})
    if not no_select:
        session.select(made)
    print(f"Created stack '{made}'")


@app.command("ls")
def list_stacks(*, cwd: Cwd = None) -> None:
    """List the project's stacks."""
    session = _session(cwd, None)
    for name in session.backend.stacks(session.project.name):
        print(name)


@app.command()
def select(
    name: Name = None, *, cwd: Cwd = None, stack_name: StackName = None,
    create: Annotated[bool, typer.Option("--create", "-c", help="Make it if there is none.")] = False,
) -> None:  # fmt: skip
    """Choose the stack for commands that do not name one."""
    session = _session(cwd, name or stack_name)
    chosen = session.stack_name()
    if not session.backend.exists(session.project.name, chosen):
        if not create:
            raise CommandError(f"no stack named '{chosen}' found")
        init(chosen, cwd=cwd)
    session.select(chosen)


@app.command()
def rm(
    name: Name = None, *, cwd: Cwd = None, stack_name: StackName = None,
    yes: Annotated[bool, typer.Option("--yes", "-y")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Though it has resources.")] = False,
) -> None:  # fmt: skip
    """Forget a stack; its resources must have been destroyed."""
    stack = _session(cwd, name or stack_name).stack()
    resources = [r for r in stack.deployment().get("resources") or [] if r["type"] != STACK_TYPE]
    if resources and not force:
        raise CommandError(
            f"'{stack.name}' still has resources; removal rejected: destroy it first, or pass --force"
        )
    if not yes:
        raise CommandError("--yes must be passed in to proceed")
    stack.session.backend.remove(stack.session.project.name, stack.name)
    print(f"Stack '{stack.name}' has been removed!")


@app.command("export")
def export_state(
    *, cwd: Cwd = None, stack_name: StackName = None,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Decrypted.")] = False,
    file: Annotated[Path | None, typer.Option(help="Write here instead of printing.")] = None,
) -> None:  # fmt: skip
    """Print the state as Pulumi's deployment."""
    stack = _session(cwd, stack_name).stack()
    deployment = stack.deployment()
    if show_secrets:
        try:
            checkpoint = stack.state_checkpoint(deployment)
            snapshot = checkpoint.load(deployment)
        except StateError as error:
            if "passphrase" in str(error):
                raise CommandError(_UNDECRYPTED) from None
            raise
        for kept, resource in zip(deployment.get("resources") or [], snapshot.resources, strict=True):
            kept.update(
                {n: to_json(getattr(resource, n), _plaintext) for n in ("inputs", "outputs") if n in kept}
            )
        for kept, pending in zip(
            deployment.get("pending_operations") or [], snapshot.pending_operations, strict=True
        ):
            record = kept["resource"]
            record.update(
                {
                    n: to_json(getattr(pending.resource, n), _plaintext)
                    for n in ("inputs", "outputs")
                    if n in record
                }
            )
    text = json_module.dumps({**stamp(deployment), "deployment": deployment}, indent=4)
    if file is None:
        print(text)
    else:
        file.write_text(text + "\n")


def _plaintext(secret: Secret) -> dict[str, Any]:
    return {"plaintext": json_module.dumps(to_json(secret.value, _plaintext))}


@app.command("import")
def import_state(
    *, cwd: Cwd = None, stack_name: StackName = None,
    file: Annotated[Path | None, typer.Option(help="Read from here instead of stdin.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Although it is another stack's.")] = False,
) -> None:  # fmt: skip
    """Replace the state by an exported one."""
    stack = _session(cwd, stack_name).stack()
    try:
        document = json_module.loads(file.read_text() if file else sys.stdin.read())
        refused, deployment = refusal(document), document["deployment"]
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}; nothing was changed") from None
    except (ValueError, KeyError, TypeError):
        raise CommandError("what is to be imported is no exported state; nothing was changed") from None
    if refused:
        raise CommandError(f"the exported state {refused}; nothing was changed")
    prefix = f"urn:pulumi:{stack.name}::{stack.session.project.name}::"
    foreign = [r["urn"] for r in deployment.get("resources") or [] if not r["urn"].startswith(prefix)]
    if foreign and not force:
        raise CommandError(f"resource '{foreign[0]}' belongs to another stack; nothing was changed")
    snapshot = stack.state_checkpoint(deployment).load(deployment)
    from lab.engine.state.checkpoint import Checkpoint  # noqa: PLC0415

    with stack.session.backend.locked(stack.session.project.name, stack.name):
        stack.write(Checkpoint(stack.crypter).dump(snapshot))
    print("Import complete.")


@app.command()
def output(
    name: Name = None, *, cwd: Cwd = None, stack_name: StackName = None,
    json: Annotated[bool, typer.Option("--json", "-j")] = False,
    show_secrets: Annotated[bool, typer.Option("--show-secrets")] = False,
    shell: Annotated[bool, typer.Option("--shell", help="As assignments of a shell.")] = False,
) -> None:  # fmt: skip
    """Print the stack's outputs, secrets hidden unless asked for."""
    stack = _session(cwd, stack_name).stack()
    outputs = _outputs(stack, show_secrets=show_secrets or name is not None)
    if name is not None:
        if name not in outputs:
            raise CommandError(f"current stack does not have output property '{name}'")
        _print_value(
            outputs[name] if show_secrets or not _is_secret(stack, name) else "[secret]", as_json=json
        )
    elif json:
        print(json_module.dumps(outputs, indent=2))
    elif shell:
        for key, value in outputs.items():
            text = value if isinstance(value, str) else json_module.dumps(value)
            print(f"{key}='{text.replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}'")
    else:
        _print_table(outputs)


def _stack_outputs(stack: Stack) -> dict[str, Any]:
    for resource in stack.deployment().get("resources") or []:
        if resource["type"] == STACK_TYPE:
            return dict(resource.get("outputs") or {})
    return {}


def _is_secret(stack: Stack, name: str) -> bool:
    value = _stack_outputs(stack).get(name)
    return isinstance(value, dict) and value.get(SIGNATURE) == SECRET_SIGNATURE


def _outputs(stack: Stack, *, show_secrets: bool) -> dict[str, Any]:
    raw = _stack_outputs(stack)
    if not show_secrets:
        return {name: _masked(value) for name, value in raw.items()}
    for resource in stack.snapshot().resources:
        if resource.type == STACK_TYPE:
            shown: dict[str, Any] = _revealed(resource.outputs)
            return shown
    return {}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return "[secret]"
        return {name: _masked(item) for name, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return _revealed(value.value)
    if isinstance(value, dict):
        return {name: _revealed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_revealed(item) for item in value]
    return to_json(value, lambda _: {})


def _print_value(value: Any, *, as_json: bool) -> None:
    print(json_module.dumps(value) if as_json or not isinstance(value, str) else value)


def _print_table(outputs: dict[str, Any]) -> None:
    print(f"Current stack outputs ({len(outputs)}):")
    if not outputs:
        print("    No output values currently in this stack")
        return
    width = max(len("OUTPUT"), *(len(name) for name in outputs))
    print(f"    {'OUTPUT'.ljust(width)}  VALUE")
    for name in sorted(outputs):
        value = outputs[name]
        print(f"    {name.ljust(width)}  {value if isinstance(value, str) else json_module.dumps(value)}")
