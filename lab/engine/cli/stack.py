"""`stack ...`: stacks and their state."""

import json as json_module
import os
import shlex
import sys
from pathlib import Path
from typing import Any, Final

from lab.engine.cli.context import CommandError, Session, Stack
from lab.engine.cli.outputs import as_json, outputs, print_table, text
from lab.engine.cli.overview import print_overview
from lab.engine.cli.words import CWD, STACK, YES, Command, Group, hidden, switch, value
from lab.engine.state.format import refusal, stamp
from lab.engine.state.model import StateError
from lab.engine.values import Secret, to_json

__all__ = ["GROUP", "STILL_THERE", "forget"]

_KEPT_BY: Final = "passphrase"
STILL_THERE = """\
'{stack}' still has resources; removal rejected. Possible actions:
- Make sure that '{stack}' is the stack that you want to destroy
- Run `pulumi destroy` to delete the resources, then run `pulumi stack rm`
- Run `pulumi stack rm --force` to override this error"""
_UNDECRYPTED = (
    "could not deserialize deployment: failed to decrypt: incorrect passphrase, please set "
    "PULUMI_CONFIG_PASSPHRASE to the correct passphrase or set PULUMI_CONFIG_PASSPHRASE_FILE to a file "
    "containing the passphrase"
)


def _session(cwd: Path | None, name: str | None) -> Session:
    return Session(cwd=(cwd or Path()).resolve(), stack_option=name)


def overview(
    *, cwd: Path | None, stack_name: str | None, show_urns: bool, show_ids: bool, show_secrets: bool,
    show_name: bool,
) -> None:  # fmt: skip
    """Without a command, print the stack's resources as a tree, and its outputs."""
    stack = _session(cwd, stack_name).stack()
    if show_name:
        print(stack.name)
    else:
        print_overview(stack, urns=show_urns, ids=show_ids, show_secrets=show_secrets)


def init(
    name: str | None = None, *, cwd: Path | None, stack_name: str | None = None,
    secrets_provider: str = _KEPT_BY, no_select: bool = False, non_interactive: bool = False,
) -> None:  # fmt: skip
    """Create a new, empty stack."""
    del non_interactive
    session = _session(cwd, name or stack_name)
    made = session.stack_name()
    if secrets_provider not in {_KEPT_BY, "default"}:
        raise CommandError(f"--secrets-provider {secrets_provider!r}: this engine has passphrase only")
    if session.backend.exists(session.project.name, made):
        raise CommandError(f"stack '{made}' already exists")
    stack = Stack(session=session, name=made)
    stack.keep_salt()
    session.backend.write(session.project.name, made, "{}")
    if not no_select:
        session.select(made)
    print(f"Created stack '{made}'")


def list_stacks(*, cwd: Path | None, stack_name: str | None, output: str, json: bool) -> None:
    """List the project's stacks; `*` marks the default stack."""
    session = _session(cwd, stack_name)
    current = session.stack_option or os.environ.get("PULUMI_STACK") or session.selected()
    rows = [_summary(session, name, current) for name in session.backend.stacks(session.project.name)]
    if json or output == "json":
        print(as_json(rows, indent=2))
        return
    lines = [("NAME", "LAST UPDATE", "RESOURCE COUNT")]
    for row in rows:
        star = "*" if row["current"] else ""
        when, count = row.get("lastUpdate", "n/a"), str(row["resourceCount"])
        lines.append((f"{row['name']}{star}", when, count))
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    for line in lines:
        print("  ".join([line[0].ljust(widths[0]), line[1].ljust(widths[1]), line[2]]).rstrip())


def _summary(session: Session, name: str, current: str | None) -> dict[str, Any]:
    deployment = session.backend.read(session.project.name, name)
    found: dict[str, Any] = {
        "name": name,
        "current": name == (current or "").rpartition("/")[2],
        "resourceCount": len(deployment.get("resources") or []),
    }
    written = (deployment.get("manifest") or {}).get("time")
    return {**found, "lastUpdate": written} if written else found


def select(name: str | None = None, *, cwd: Path | None, stack_name: str | None, create: bool) -> None:
    """Select the default stack."""
    session = _session(cwd, name or stack_name)
    chosen = session.stack_name()
    if not session.backend.exists(session.project.name, chosen):
        if not create:
            raise CommandError(f"no stack named '{chosen}' found")
        init(chosen, cwd=cwd)
    session.select(chosen)


def rm(
    name: str | None = None, *, cwd: Path | None, stack_name: str | None, yes: bool, force: bool,
    preserve_config: bool,
) -> None:  # fmt: skip
    """Remove a stack and its configuration file; destroy its resources first."""
    if name and stack_name:
        raise CommandError("only one of --stack or argument stack name may be specified, not both")
    stack = _session(cwd, name or stack_name).stack()
    if not yes:
        _confirm_removal(stack.name)
    if stack.deployment().get("resources") and not force:
        raise CommandError(STILL_THERE.format(stack=stack.name))
    forget(stack, preserve_config=preserve_config)
    print(f"Stack '{stack.name}' has been removed!")


def forget(stack: Stack, *, preserve_config: bool) -> None:
    """Remove a stack from the backend, and its configuration file unless it is to be kept."""
    session = stack.session
    session.backend.remove(session.project.name, stack.name)
    if not preserve_config:
        stack.file.path.unlink(missing_ok=True)
    if session.selected() == stack.name:
        session.unselect()


def _confirm_removal(stack: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError("--yes must be passed in to proceed when running in non-interactive mode")
    print(f"This will permanently remove the '{stack}' stack!")
    if input(f"Please confirm that this is what you'd like to do by typing `{stack}`: ").strip() != stack:
        raise CommandError("confirmation declined")


def export_state(
    *, cwd: Path | None, stack_name: str | None, show_secrets: bool, file: Path | None
) -> None:  # fmt: skip
    """Print the state in Pulumi's format."""
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


def import_state(*, cwd: Path | None, stack_name: str | None, file: Path | None, force: bool) -> None:
    """Replace the state by an exported state."""
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


def output(
    name: str | None = None, *, cwd: Path | None, stack_name: str | None, json: bool, show_secrets: bool,
    shell: bool,
) -> None:  # fmt: skip
    """Print the stack's outputs; secrets are hidden without --show-secrets."""
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


_SHOW_SECRETS: Final = switch("--show-secrets", does="Show secrets decrypted.")
_JSON: Final = switch("--json", "-j", does="Print JSON.")
_IGNORED: Final = hidden(switch("--non-interactive"))
_NAME: Final = ("[NAME]",)

GROUP: Final = Group(
    does="Manage stacks and show their state.",
    overview=Command(
        run=overview,
        options=(
            CWD, STACK, switch("--show-urns", "-u", does="Show the URNs."),
            switch("--show-ids", "-i", does="Show the ids."), _SHOW_SECRETS,
            switch("--show-name", does="Print only the stack's name."),
        ),
    ),
    commands={
        "init": Command(
            run=init,
            takes=_NAME,
            options=(
                CWD, STACK, _IGNORED,
                value(
                    "--secrets-provider", shown="PROVIDER", does="What keeps the secrets: passphrase.",
                    default=_KEPT_BY,
                ),
                switch("--no-select", does="Do not make it the default stack."),
            ),
        ),
        "ls": Command(
            run=list_stacks,
            options=(
                CWD, hidden(STACK), _JSON,
                value("--output", shown="FORM", does="default or json", default="default"),
            ),
        ),
        "select": Command(
            run=select,
            takes=_NAME,
            options=(CWD, STACK, switch("--create", "-c", does="Create a missing stack.")),
        ),
        "rm": Command(
            run=rm,
            takes=_NAME,
            options=(
                CWD, STACK, YES, switch("--force", "-f", does="Even with resources."),
                switch("--preserve-config", does="Keep Pulumi.<stack>.yaml."),
            ),
        ),
        "export": Command(
            run=export_state,
            options=(
                CWD, STACK, _SHOW_SECRETS,
                value("--file", shown="FILE", does="Write to this file instead of stdout.", kind=Path),
            ),
        ),
        "import": Command(
            run=import_state,
            options=(
                CWD, STACK, value("--file", shown="FILE", does="Read this file instead of stdin.", kind=Path),
                switch("--force", "-f", does="Even from another stack."),
            ),
        ),
        "output": Command(
            run=output,
            takes=_NAME,
            options=(
                CWD, STACK, _JSON, _SHOW_SECRETS, switch("--shell", does="Print shell assignments."),
            ),
        ),
    },
)  # fmt: skip
