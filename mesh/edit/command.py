"""`mesh add`, `mesh remove`, `mesh rename` and `mesh rotate`, as typed."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.edit.errors import EditError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.edit.document import Document
    from mesh.edit.edit import Check, Edit

__all__ = ["add_command", "remove_command", "rename_command", "rotate_command"]

Stack = Annotated[
    str | None, typer.Option(help="The name of the stack. Default: PULUMI_STACK, or the selected stack.")
]
File = Annotated[Path | None, typer.Option("--file", help="The stack file, instead of a stack's name.")]
Key = Annotated[str | None, typer.Option(help="The mesh's key under `config:`. Default: PROJECT:mesh.")]
Text = Annotated[str | None, typer.Option(help="As this key of the stack file.")]
Texts = Annotated[list[str] | None, typer.Option(help="As this key of the stack file; once for each.")]


def add_command(  # noqa: PLR0913 - a command's parameters are its options
    name: str,
    *,
    address: Annotated[str | None, typer.Option(help="Default: the next free address.")] = None,
    like: Annotated[str | None, typer.Option(help="A node whose settings the new node gets.")] = None,
    provider: Text = None,
    location: Text = None,
    type_: Annotated[str | None, typer.Option("--type", help="As this key of the stack file.")] = None,
    image: Text = None,
    host: Text = None,
    host_key: Text = None,
    user: Text = None,
    ssh_port: Annotated[int | None, typer.Option(help="As this key of the stack file.")] = None,
    first_key: Text = None,
    group: Annotated[list[str] | None, typer.Option(help="A group of the node; once for each.")] = None,
    public: Annotated[list[str] | None, typer.Option(help="A port such as tcp/80; once for each.")] = None,
    trusted_interface: Annotated[
        list[str] | None, typer.Option(help="An interface such as docker0; once for each.")
    ] = None,
    metadata: Text = None,
    forward: Annotated[bool | None, typer.Option("--forward/--no-forward", help="As this key.")] = None,
    stack: Stack = None,
    file: File = None,
    key: Key = None,
) -> None:
    """Add a node to the stack file, with the next free address; the rest of the file stays as it is."""
    given: dict[str, Any] = {
        "address": address, "provider": provider, "location": location, "type": type_, "image": image,
        "host": host, "hostKey": host_key, "user": user, "sshPort": ssh_port, "firstKey": first_key,
        "groups": group, "public": public, "forward": forward, "trustedInterfaces": trusted_interface,
        "metadata": metadata,
    }  # fmt: skip
    settings = {word: value for word, value in given.items() if value is not None and value != []}

    def add(document: "Document", check: "Check") -> "Edit":
        from mesh.edit.adding import add_node  # noqa: PLC0415 - of use to this command alone

        return add_node(document, name, settings, check, like)

    _edit(add, stack=stack, file=file, key=key)


def remove_command(name: str, *, stack: Stack = None, file: File = None, key: Key = None) -> None:
    """Remove a node from the stack file, and its name from policy and tests."""

    def remove(document: "Document", check: "Check") -> "Edit":
        from mesh.edit.removing import remove_node  # noqa: PLC0415 - of use to this command alone

        return remove_node(document, name, check)

    _edit(remove, stack=stack, file=file, key=key)


def rename_command(old: str, new: str, *, stack: Stack = None, file: File = None, key: Key = None) -> None:
    """Rename a node in the whole stack file; the node keeps its server, its addresses and its keys."""

    def rename(document: "Document", check: "Check") -> "Edit":
        from mesh.edit.renaming import rename_node  # noqa: PLC0415 - of use to this command alone

        return rename_node(document, old, new, check)

    _edit(rename, stack=stack, file=file, key=key)


def rotate_command(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NODE]...", show_default=False)] = None,
    *,
    preshared: Annotated[
        bool, typer.Option("--preshared", help="Other pre-shared keys; without names, nothing else.")
    ] = False,
    ssh: Annotated[
        bool,
        typer.Option(
            "--ssh", help="Another management key and other host keys; without names, nothing else."
        ),
    ] = False,
    stack: Stack = None,
    file: File = None,
    key: Key = None,
) -> None:
    """Ask for other keys in the stack file: of all nodes, or of the nodes that are named."""

    def rotate(document: "Document", check: "Check") -> "Edit":
        from mesh.edit.rotating import rotate_keys  # noqa: PLC0415 - of use to this command alone

        return rotate_keys(document, names or (), check, preshared=preshared, ssh=ssh)

    _edit(rotate, stack=stack, file=file, key=key)


def _edit(
    change: "Callable[[Document, Check], Edit]", *, stack: str | None, file: Path | None, key: str | None
) -> None:
    """Read a stack file, change and write it, show what has changed."""
    # the parsers and the program's checks take longer to import than the other commands take to run
    from mesh.edit import files  # noqa: PLC0415
    from mesh.edit.checking import checker  # noqa: PLC0415
    from mesh.edit.document import parse  # noqa: PLC0415
    from mesh.edit.shown import diff  # noqa: PLC0415

    if file is not None and stack is not None:
        raise EditError("--stack and --file both name a stack file: give one of them")
    found = files.find(Path.cwd(), stack, os.environ) if file is None else files.find_named(file)
    text = files.read(found.path)
    shown = os.path.relpath(found.path) if file is None else str(file)
    try:
        edit = change(parse(text, project=found.project, key=key), checker(found.stack))
    except EditError as error:
        raise EditError(f"{shown}: {error}") from None
    files.write(found.path, text, edit.after.text)
    print(diff(edit, shown))
    for remark in edit.remarks:
        print(remark, file=sys.stderr)
    print(
        f"{shown} is changed, nothing else yet. Next: pulumi preview --diff{_stack_option(stack)}",
        file=sys.stderr,
    )


def _stack_option(stack: str | None) -> str:
    return "" if stack is None else f" --stack {stack}"
