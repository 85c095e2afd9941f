"""`python -m lab`: start and stop the rehearsal, and run an engine with Pulumi's own commands."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from lab.engine.state.model import StateError
from lab.interrupts import end_in_order
from lab.rehearsal import ENGINES, Rehearsal, RehearsalError
from lab.stacks import StackNameError, named_stack

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


_DEFAULT: Final = "lab"


@app.callback()
def options(
    context: typer.Context,
    *,
    stack: Annotated[
        str | None,
        typer.Option(
            envvar="PULUMI_STACK",
            help=f"The stack, with the file stacks/Pulumi.<stack>.yaml. Default: {_DEFAULT!r}.",
        ),
    ] = None,
    engine: Annotated[str, typer.Option(envvar="ENGINE", help=f"One of {', '.join(ENGINES)}.")] = "lab",
    project: Annotated[Path, typer.Option(help="The folder with Pulumi.yaml.")] = Path(),
) -> None:
    """Read the options of every command."""
    if engine not in ENGINES:
        raise RehearsalError(f"ENGINE is {engine!r}, but must be {' or '.join(ENGINES)}")
    context.obj = Rehearsal(project=project.resolve(), stack=stack or _DEFAULT, engine=engine)


@app.command()
def start(context: typer.Context) -> None:
    """Build the host image if it is missing, and start the cloud."""
    context.obj.start()


@app.command()
def down(context: typer.Context) -> None:
    """Destroy the stack, stop the cloud and every host. Nothing stays outside the folder .lab."""
    raise typer.Exit(context.obj.down())


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def run(context: typer.Context) -> None:
    """Run a command of the engine: `python -m lab run up --yes`, `python -m lab run preview --diff`..."""
    rehearsal: Rehearsal = context.obj
    named, words = named_stack(context.args)
    if named is not None:
        rehearsal = rehearsal.about(named, given=_given(context))
    raise typer.Exit(rehearsal.run(words))


def _given(context: typer.Context) -> bool:
    """Whether `--stack` was given to this very command, before `run`."""
    above = context.parent
    source = None if above is None else above.get_parameter_source("stack")
    return source is not None and source.name == "COMMANDLINE"


def main() -> None:
    """Run the command line; a rehearsal that cannot go on is one line on stderr, exit code 1."""
    try:
        end_in_order()
        named_stack(sys.argv[1:])  # refuses two, of which the parser would take the last
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as a shell has it
    except (RehearsalError, StackNameError, StateError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
