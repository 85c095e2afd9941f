"""`python -m lab.hosts`: build images, look into hosts, clean up."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.hosts.errors import HostError
from lab.hosts.image import RELEASES, build_image
from lab.hosts.lab import Lab
from lab.hosts.supervisor import supervise

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)

State = Annotated[Path, typer.Option(help="The folder that keeps the hosts.")]


@app.command()
def image(
    directory: Annotated[Path, typer.Option(help="The folder that keeps the images.")],
    name: Annotated[str, typer.Option(help=f"One of {', '.join(RELEASES)}.")] = "debian-12",
) -> None:
    """Build a host image, unless it is there."""
    build_image(directory.resolve(), name, lambda line: print(f"image: {line}", flush=True))


@app.command("list")
def list_hosts(state: State) -> None:
    """List the hosts and what they do."""
    lab = Lab(state, state)
    states = lab.states()
    for machine in lab.machines():
        if machine.exists:
            spec = machine.spec()
            print(f"{machine.key}\t{spec['hostname']}\t{spec['address'] or '-'}\t{states[machine.key]}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def enter(context: typer.Context, host: str, state: State) -> None:
    """Run a command inside a host (its key or name), a shell when none is given."""
    lab = Lab(state, state)
    words = lab.enter(lab.find(host), context.args or ["bash", "-l"])
    os.execvp(words[0], words)  # noqa: S606 - replaces this process on purpose


@app.command()
def down(state: State) -> None:
    """Stop every host and remove the network between them."""
    if state.exists():
        Lab(state, state).down()


def main() -> None:
    """Run the command line; an error is one line on stderr, exit code 1."""
    if sys.argv[1:2] == ["supervise"]:  # called by the lab itself, once per running host
        raise SystemExit(supervise(Path(sys.argv[3]), Path(sys.argv[5]), sys.argv[6]))
    try:
        app()
    except HostError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
