"""`python -m mesh`: the commands of day two."""

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console

from mesh.cli.outputs import CliError, read_outputs
from mesh.cli.reach import measure, table
from mesh.cli.shell import ssh

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


def main() -> None:
    """Run the command line; an error is one line on stderr, exit code 1."""
    try:
        app()
    except CliError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
