"""`python -m lab.cloud`: start and stop the lab's cloud, and show its status."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.cloud.errors import CloudError
from lab.cloud.guard import REQUESTS
from lab.cloud.process import Process, forget
from lab.hosts import HostError
from lab.interrupts import end_in_order

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)

State = Annotated[Path, typer.Option(help="The folder that keeps the cloud's state.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")]
Token = Annotated[str, typer.Option(envvar="LAB_CLOUD_TOKEN", help="The only accepted token: 64 characters.")]
Images = Annotated[Path | None, typer.Option(help="The folder that keeps the host images.")]
NoHosts = Annotated[bool, typer.Option("--no-hosts", help="Serve only the API and simulate the hosts.")]
Requests = Annotated[int, typer.Option(min=1, help="The limit of requests at once; one more each second.")]


def _process(
    state: Path, port: int, token: str, images: Path | None, requests: int, *, no_hosts: bool
) -> Process:
    if images is None and not no_hosts:
        raise CloudError(
            "name the folder of the host images with --images, or simulate the hosts with --no-hosts"
        )
    found = None if no_hosts or images is None else images.resolve()
    return Process(state=state.resolve(), port=port, token=token, images=found, requests=requests)


@app.command()
def serve(
    *,
    state: State,
    port: Port,
    token: Token,
    images: Images = None,
    requests: Requests = REQUESTS,
    no_hosts: NoHosts = False,
) -> None:
    """Serve in the foreground."""
    _process(state, port, token, images, requests, no_hosts=no_hosts).serve()


@app.command()
def start(
    *,
    state: State,
    port: Port,
    token: Token,
    images: Images = None,
    requests: Requests = REQUESTS,
    no_hosts: NoHosts = False,
) -> None:
    """Serve in the background; return when the cloud answers."""
    if _process(state, port, token, images, requests, no_hosts=no_hosts).start():
        print(f"the cloud answers on http://127.0.0.1:{port}/v1")
    else:
        print(f"the cloud already runs on http://127.0.0.1:{port}/v1")


@app.command()
def stop(*, state: State) -> None:
    """Stop serving; the hosts keep running."""
    process = Process(state=state.resolve(), port=0, token="", images=None)
    print("the cloud is stopped" if process.stop() else "the cloud does not run")


@app.command("forget")
def forget_command(*, state: State) -> None:
    """Remove everything that a stopped cloud keeps, and print the resources that were left."""
    for left in forget(state.resolve()):
        print(f"removed with the cloud, because no stack's state had this resource: {left}")


@app.command()
def status(*, state: State) -> None:
    """Say whether the cloud runs; exit code 0 if it runs, otherwise 1."""
    port = Process(state=state.resolve(), port=0, token="", images=None).running()
    print("the cloud does not run" if port is None else f"the cloud runs on http://127.0.0.1:{port}/v1")
    raise typer.Exit(0 if port is not None else 1)


def main() -> None:
    """Run the command line; an error is one line on stderr, exit code 1."""
    try:
        end_in_order()
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as a shell has it
    except (CloudError, HostError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
