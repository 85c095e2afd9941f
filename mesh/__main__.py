"""`python -m mesh`: the commands of day two."""

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from mesh.cli import check, status
from mesh.cli.engine import CliError
from mesh.cli.outputs import read_outputs
from mesh.cli.reach import measure, table
from mesh.cli.shell import ssh
from mesh.cli.state import read_state

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)

Pulumi = Annotated[str, typer.Option(envvar="WGMESH_PULUMI", help="The engine's command line.")]
Stack = Annotated[str | None, typer.Option(help="The stack; the selected one when not given.")]


@app.command("reach")
def reach_command(
    *,
    stack: Stack = None,
    pulumi: Pulumi = "pulumi",
    via: Annotated[
        str | None, typer.Option(help="Instead of SSH: a command line with {node} or {public_ip} in it.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often to try the pairs that fail.")] = 10,
) -> None:
    """Ping every node from every node through the tunnel; exit code 0 only if all answer."""
    mesh = read_outputs(pulumi, stack)
    reach = asyncio.run(measure(mesh, via=via, rounds=rounds))
    Console(width=max(80, 12 * (len(mesh.nodes) + 1))).print(table(mesh, reach))
    lost = [f"{a} -> {b}" for (a, b), time in reach.pairs.items() if time is None]
    if lost:
        raise CliError(f"no answer: {', '.join(lost)}")
    print(f"all {len(reach.pairs)} pairs reach each other")


@app.command("ssh", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ssh_command(context: typer.Context, node: str, *, stack: Stack = None, pulumi: Pulumi = "pulumi") -> None:
    """Open a shell on a node, or run a command there."""
    raise typer.Exit(ssh(read_outputs(pulumi, stack), node, context.args))


@app.command("check")
def check_command(
    *,
    stack: Stack = None,
    pulumi: Pulumi = "pulumi",
    repair: Annotated[
        bool, typer.Option(help="Bring the nodes that differ back, by trial and commit.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare every node with what the stack says; exit code 0 only if nothing differs (any more)."""
    mesh = read_outputs(pulumi, stack)
    files = read_state(pulumi, stack, mesh.nodes)
    found = asyncio.run(check.check_mesh(mesh, files))
    if repair:
        found = asyncio.run(check.repair_mesh(mesh, files, found))
    if as_json:
        print(check.as_json(found))
    elif any(not node.good or node.repaired for node in found):
        _console().print(check.table(found))
    bad = [node.node for node in found if not node.good]
    if bad:
        print(f"not what the stack says: {', '.join(bad)}", file=sys.stderr)
        raise typer.Exit(1)
    if not as_json:
        print(f"all {len(found)} nodes are what the stack says")


@app.command("status")
def status_command(
    *,
    stack: Stack = None,
    pulumi: Pulumi = "pulumi",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show each node's state, generation and agent, and its peers' handshakes and traffic."""
    mesh = read_outputs(pulumi, stack)
    found = asyncio.run(status.read_status(mesh))
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        _console().print(status.table(mesh, found))
    down = [node for node, report in found.items() if isinstance(report, str)]
    if down:
        raise CliError(f"no answer: {', '.join(down)}")


def _console() -> Console:
    """A pipe has no width: leave room for paths and rules there."""
    return Console() if sys.stdout.isatty() else Console(width=180)


def main() -> None:
    """Run the command line; an error is one line on stderr, exit code 1."""
    try:
        app()
    except CliError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
