"""`stack ...`: stacks and their state."""

import json as json_module
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.engine.cli.context import CommandError, Session, Stack
from lab.engine.cli.outputs import as_json, outputs, print_table, text
from lab.engine.cli.overview import print_overview
from lab.engine.state.format import refusal, stamp
from lab.engine.state.model import STACK_TYPE, StateError
from lab.engine.values import Secret, to_json

app = typer.Typer()

Cwd = Annotated[Path | None, typer.Option("--cwd", "-C")]
StackName = Annotated[str | None, typer.Option("--stack", "-s")]
Name = Annotated[str | None, typer.Argument()]
ShowSecrets = Annotated[bool, typer.Option("--show-secrets", help="Decrypted.")]
Ignored = Annotated[bool, typer.Option("--non-interactive", hidden=True)]
_UNDECRYPTED = (
    "could not deserialize deployment: failed to decrypt: incorrect passphrase, please set "
    "PULUMI_CONFIG_PASSPHRASE to the correct passphrase or set PULUMI_CONFIG_PASSPHRASE_FILE to a file "
    "containing the passphrase"
)


def _session(cwd: Path | None, name: str | None) -> Session:
    return Session(cwd=(cwd or Path()).resolve(), stack_option=name)


@app.callback(invoke_without_command=True)
def overview(
    context: typer.Context, *, cwd: Cwd = None, stack_name: StackName = None,
    show_urns: Annotated[bool, typer.Option("--show-urns", "-u", help="With their URNs.")] = False,
    show_ids: Annotated[bool, typer.Option("--show-ids", "-i", help="With their ids.")] = False,
    show_secrets: ShowSecrets = False,
    show_name: Annotated[bool, typer.Option("--show-name", help="Only the stack's name.")] = False,
) -> None:  # fmt: skip
    """Without a command: print the stack's resources as a tree, and its outputs."""
    if context.invoked_subcommand is not None:
        if cwd or stack_name:
            raise CommandError(f"--stack and --cwd belong behind `stack {context.invoked_subcommand}`")
        return
    stack = _session(cwd, stack_name).stack()
    if show_name:
        print(stack.name)
    else:
        print_overview(stack, urns=show_urns, ids=show_ids, show_secrets=show_secrets)


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
    session.backend.write(session.project.name, made, "{}")
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
    show_secrets: ShowSecrets = False,
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
    if not isinstance(deployment, dict):
        raise CommandError("what is to be imported is no exported state; nothing was changed")
    snapshot, checkpoint = stack.load(deployment)
    foreign = [resource.urn for resource in snapshot.resources if not resource.urn.startswith(prefix)]
    if foreign and not force:
        raise CommandError(f"resource '{foreign[0]}' belongs to another stack; nothing was changed")
    with stack.session.backend.locked(stack.session.project.name, stack.name):
        stack.write(checkpoint.encode(snapshot))
    print("Import complete.")


@app.command()
def output(
    name: Name = None, *, cwd: Cwd = None, stack_name: StackName = None,
    json: Annotated[bool, typer.Option("--json", "-j")] = False,
    show_secrets: ShowSecrets = False,
    shell: Annotated[bool, typer.Option("--shell", help="As assignments of a shell.")] = False,
) -> None:  # fmt: skip
    """Print the stack's outputs, secrets hidden unless asked for."""
    if json and shell:
        raise CommandError("only one of --json and --shell may be set")
    stack = _session(cwd, stack_name).stack()
    found = outputs(stack, show_secrets=show_secrets)
    if name is not None and name not in found:
        raise CommandError(f"current stack does not have output property '{name}'")
    wanted = found if name is None else {name: found[name]}
    if shell:
        for key in sorted(wanted):
            print(f"{key}={shlex.quote(text(wanted[key]))}")
    elif json:
        print(as_json(wanted if name is None else wanted[name], indent=2))
    elif name is None:
        print_table(found)
    else:
        print(text(wanted[name]))
