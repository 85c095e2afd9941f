"""`python -m mesh`: edit and check stack files, review previews, look at nodes."""

# Each command about nodes asks the engine first, and imports its modules in the same time.

import io
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mesh.calls.errors import NodeError
from mesh.cli.ahead import importing
from mesh.cli.engine import CliError, refuse_two_stacks
from mesh.cli.outputs import read_outputs
from mesh.cli.state import read_state
from mesh.edit.command import add_command, remove_command, rename_command, rotate_command
from mesh.interrupts import end_in_order
from mesh.stackfile.command import schema_command, validate_command

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)

app.command("add")(add_command)
app.command("remove")(remove_command)
app.command("rename")(rename_command)
app.command("rotate")(rotate_command)
app.command("validate")(validate_command)
app.command("schema")(schema_command)

Pulumi = Annotated[str, typer.Option(envvar="WGMESH_PULUMI", help="The engine's command line.")]
Stack = Annotated[str | None, typer.Option(help="The name of the stack. Default: the selected stack.")]
Mesh = Annotated[str | None, typer.Option("--mesh", help="The name of the mesh, if the stack has several.")]


@app.command("reach")
def reach_command(
    *,
    stack: Stack = None,
    name: Mesh = None,
    pulumi: Pulumi = "pulumi",
    via: Annotated[
        str | None, typer.Option(help="A command line to use instead of SSH, with {node} or {public_ip}.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="The number of rounds for pairs that fail.")] = 10,
    mtu: Annotated[
        bool, typer.Option("--mtu", help="Send the largest packets, and name the pairs that lose them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Ping every node from every node through the tunnel; exit code 0 only if all nodes answer."""
    if mtu:
        from mesh.cli.paths_command import reach_mtu

        reach_mtu(pulumi, stack, name, via=via, as_json=as_json)
        return
    with importing("mesh.cli.reach", "mesh.cli.reach_table", "rich.status"):
        mesh = read_outputs(pulumi, stack, name)
    import asyncio

    from rich.console import Console

    from mesh.cli.reach import in_ipv6, measure, over, over_ssh
    from mesh.cli.reach_table import TITLE6, in_words, table
    from mesh.cli.reach_table import as_json as reach_as_json

    run = over_ssh(mesh, cache(lambda: read_state(pulumi, stack, mesh))) if via is None else over(via)
    mesh6, reach6 = in_ipv6(mesh), None
    with Console(stderr=True).status("asking the engine for the nodes") as progress:
        reach = asyncio.run(measure(mesh, run, rounds=rounds, say=progress.update))
        if mesh6 is not None:
            reach6 = asyncio.run(measure(mesh6, run, rounds=rounds, say=progress.update))
    problems = {**(reach6.problems if reach6 else {}), **reach.problems}
    if as_json:
        print(reach_as_json(reach, reach6))
    else:
        console = _console()
        console.print(table(mesh, reach, width=console.width))
        if mesh6 is not None and reach6 is not None:
            console.print(table(mesh6, reach6, width=console.width, title=TITLE6))
        for node, problem in problems.items():
            print(f"{node}: {problem}")
    if reach.lost or (reach6 and reach6.lost):
        raise CliError(in_words(reach, reach6))
    if problems:
        raise CliError(
            f"not tested, because it could not be reached or does not exist yet: {', '.join(problems)}"
        )
    if not as_json:
        print(f"all {len(reach.pairs)} pairs reach each other{'' if reach6 is None else ' in IPv4 and IPv6'}")


@app.command("ssh", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ssh_command(
    context: typer.Context, node: str, *, stack: Stack = None, name: Mesh = None, pulumi: Pulumi = "pulumi"
) -> None:
    """Open a shell on a node, or run a command there."""
    from mesh.cli.shell import ssh

    raise typer.Exit(ssh(read_outputs(pulumi, stack, name), node, context.args))


@app.command("scan-host-key")
def scan_host_key_command(
    host: str, *, port: Annotated[int, typer.Option(min=1, max=65535, help="The port of sshd.")] = 22
) -> None:
    """Print a server's SSH host key as a line of the stack file, and its fingerprint, to be compared."""
    from mesh.cli.scan import scan, to_compare

    found = scan(host, port)
    print(f"hostKey: {found.line}", flush=True)
    print(to_compare(found), file=sys.stderr)


@app.command("client")
def client_command(  # noqa: PLR0913 - one for each option
    client: str,
    *,
    stack: Stack = None,
    name: Mesh = None,
    pulumi: Pulumi = "pulumi",
    qr: Annotated[bool, typer.Option("--qr", help="Draw a QR code in the terminal.")] = False,
    png: Annotated[Path | None, typer.Option(help="Write the QR code into this file, as PNG.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the file, readable by you only.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Print the configuration of a client, with its keys: a file for wg-quick, or a QR code for a phone."""
    with importing("mesh.cli.client"):
        mesh = read_outputs(pulumi, stack, name)
    from mesh.cli import client as clients

    found = clients.client_of(mesh, client)
    if png is not None:
        clients.write_private(png, clients.png(found), force=force)
    if output is not None:
        clients.write_private(output, clients.as_file(found).encode(), force=force)
    if qr:
        sys.stdout.write(clients.in_terminal(found))
    elif png is None and output is None:
        sys.stdout.write(clients.as_file(found))
    remark = clients.own_key_remark(found)
    if remark is not None:
        print(remark, file=sys.stderr)


@app.command("check")
def check_command(
    *,
    stack: Stack = None,
    name: Mesh = None,
    pulumi: Pulumi = "pulumi",
    repair: Annotated[bool, typer.Option(help="Repair nodes that differ, each by a trial.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare every node with the stack; exit code 0 only if no node differs, or all are repaired."""
    with importing("mesh.cli.check", "mesh.cli.paths_command", "mesh.cli.results"):
        mesh = read_outputs(pulumi, stack, name)
        state = read_state(pulumi, stack, mesh)
    import asyncio

    from mesh.ages import old_keys_of
    from mesh.cli import check, paths_command, results, rotation, settle

    found = asyncio.run(paths_command.check_with_paths(mesh, state))
    if repair:
        found = asyncio.run(check.repair_mesh(mesh, state, found))
    if repair and any(node.rotation for node in found):
        found = check.with_rotations(found, asyncio.run(settle.settle_mesh(mesh, state)))
    old = old_keys_of(state.generations)
    if as_json:
        print(results.as_json(found, old_keys=old.record() if old else None))
    else:
        if any(node.differences or node.repaired or node.paths for node in found):
            _console().print(check.table(found))
        results.print_remarks(found)
        rotation.print_rotations({node.node: node.rotation for node in found})
        if old:
            print(f"warning: {old}")
    bad = results.bad(found)
    if bad:
        print(check.verdict(found), file=sys.stderr)
        raise typer.Exit(1)
    if not as_json:
        print(f"all {sum(node.enabled for node in found)} nodes match the stack")


@app.command("status")
def status_command(
    *,
    stack: Stack = None,
    name: Mesh = None,
    pulumi: Pulumi = "pulumi",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show each node's state, generation and agent, and its peers' handshakes and traffic."""
    with importing("mesh.cli.status", "mesh.cli.results"):
        mesh = read_outputs(pulumi, stack, name)
        state = read_state(pulumi, stack, mesh)
    import asyncio

    from mesh.cli import results, rotation, status

    found = asyncio.run(status.read_status(mesh, state))
    if as_json:
        print(results.as_json(found))
    else:
        _console().print(status.table(mesh, found))
        results.print_remarks(found)
        rotation.print_rotations({node.node: node.report.rotation for node in found if node.report})
    bad = results.bad(found)
    if bad:
        raise CliError(f"no report: {', '.join(bad)}")


@app.command("settle")
def settle_command(
    *,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE", help="A node that nobody waits for any more; once for each."),
    ] = None,
    stack: Stack = None,
    name: Mesh = None,
    pulumi: Pulumi = "pulumi",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Tell nodes that wait in a rotation of keys who has finished; exit code 0 only if no node waits."""
    with importing("mesh.cli.settle"):
        mesh = read_outputs(pulumi, stack, name)
        state = read_state(pulumi, stack, mesh)
    import asyncio

    from mesh.cli import results, rotation, settle

    settle.refuse_unknown(mesh, without or ())
    found = asyncio.run(settle.settle_mesh(mesh, state, without=without or ()))
    if as_json:
        print(results.as_json(found))
    else:
        results.print_remarks(found)
        rotation.print_rotations({node.node: node.rotation for node in found})
    bad = results.bad(found)
    if bad:
        raise CliError(f"keys are not settled, or not known to be: {', '.join(bad)}")
    if not as_json:
        print(f"no keys are being rotated on {sum(node.enabled for node in found)} nodes")


@app.command("review")
def review_command(
    file: Annotated[
        str, typer.Argument(help="The output of `pulumi preview --json`; `-` is standard input.")
    ] = "-",
    *,
    form: Annotated[
        Literal["markdown", "terminal"] | None,
        typer.Option("--format", help="The form. Default: terminal on a terminal, otherwise markdown."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1000, help="The most bytes that are written. Default: 60000.")
    ] = None,
) -> None:
    """Say what a preview would do: servers, who reaches whom, sessions, SSH access, files."""
    from mesh.review import LIMIT, ReviewError, as_markdown, as_terminal, review

    try:
        found = review(_read(file))
    except ReviewError as error:
        raise CliError(str(error)) from None
    plain = sys.stdout.isatty() if form is None else form == "terminal"
    most = LIMIT if limit is None else limit
    sys.stdout.write(as_terminal(found, most) if plain else as_markdown(found, most))


def _read(file: str) -> str:
    """Return the text of a file, or of standard input. Raises `CliError`."""
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CliError(f"{file}: {error.strerror}") from None
    return raw.decode(errors="replace")


def _console() -> "Console":
    """A pipe has no width: leave room for paths and rules there."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=180)


def _print_in_order() -> None:
    """Have an error come after what was printed before, also where both go to one pipe or file."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)


def main() -> None:
    """Run the command line; an error is one line on stderr, exit code 1."""
    try:
        end_in_order()
        _print_in_order()
        refuse_two_stacks(sys.argv[1:])
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as a shell has it
    except (CliError, NodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
