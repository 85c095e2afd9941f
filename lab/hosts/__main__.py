"""`python -m lab.hosts`: build host images, run commands in hosts, stop hosts."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.hosts.errors import HostError
from lab.hosts.image import RELEASES, build_image
from lab.hosts.lab import Lab
from lab.hosts.repository import build_repository, offer
from lab.hosts.supervisor import supervise
from lab.interrupts import end_in_order

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)

State = Annotated[Path, typer.Option(help="The folder that keeps the hosts.")]


@app.command()
def image(
    directory: Annotated[Path, typer.Option(help="The folder that keeps the images.")],
    name: Annotated[str, typer.Option(help=f"One of {', '.join(RELEASES)}.")] = "debian-12",
) -> None:
    """Build a host image, unless it exists."""
    build_image(directory.resolve(), name, lambda line: print(f"image: {line}", flush=True))


@app.command()
def packages(
    names: Annotated[list[str], typer.Argument(help="The names of the packages.")],
    directory: Annotated[Path, typer.Option(help="The folder that keeps the packages.")],
    images: Annotated[Path, typer.Option(help="The folder that keeps the images.")],
    name: Annotated[str, typer.Option(help=f"One of {', '.join(RELEASES)}.")] = "debian-12",
) -> None:
    """Download packages for hosts, unless they exist, and print their folder."""
    root = build_image(images.resolve(), name, lambda line: print(f"image: {line}", file=sys.stderr))
    print(build_repository(directory.resolve(), root, name, names, lambda line: print(line, file=sys.stderr)))


@app.command()
def offer_packages(host: str, repository: Path, state: State) -> None:
    """Give a running host the folder that `packages` printed, as its only source of packages."""
    lab = Lab(state, state)
    offer(lab, lab.find(host), repository.resolve())


@app.command("list")
def list_hosts(state: State) -> None:
    """List the hosts and their states."""
    lab = Lab(state, state)
    states = lab.states()
    for machine in lab.machines():
        if machine.exists:
            spec = machine.spec()
            print(f"{machine.key}\t{spec['hostname']}\t{spec['address'] or '-'}\t{states[machine.key]}")


@app.command()
def operator(state: State) -> None:
    """Print the address of this machine in the lab: where every host sees its SSH connections come from."""
    print(Lab(state, state).pool[1])


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def enter(context: typer.Context, host: str, state: State) -> None:
    """Run a command in a host, with root's shell, as SSH does; without a command, open a shell.

    Name the host by its key or its name.
    """
    lab = Lab(state, state)
    key, words = lab.find(host), context.args
    words = lab.login(key, shlex.join(words)) if words else lab.enter(key, ["bash", "-l"])
    os.execvp(words[0], words)  # noqa: S606 - replaces this process on purpose


@app.command()
def link_size(host: str, size: int, state: State) -> None:
    """Let a host's link carry packets of at most SIZE bytes; larger ones are lost, and nobody is told."""
    lab = Lab(state, state)
    lab.set_link_size(lab.find(host), size)


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
        end_in_order()
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as a shell has it
    except HostError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
