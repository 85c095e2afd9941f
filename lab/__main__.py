"""`python -m lab`: start and stop the rehearsal, and run an engine with Pulumi's own commands."""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from lab.engine.state.model import StateError
from lab.interrupts import end_in_order
from lab.rehearsal import ENGINES, Rehearsal, RehearsalError
from lab.stacks import StackNameError, named_stack

_DEFAULT: Final = "lab"
_COMMANDS: Final = """\
commands:
  start         build the host image if it is missing, and start the cloud
  down          destroy the stack, stop the cloud and every host; nothing stays outside the folder .lab
  run WORDS...  run a command of the engine: `python -m lab run up --yes`, `python -m lab run preview --diff`
"""


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line. Not typer's: that takes a tenth of a second to start.

    All that people type at the rehearsal begins here, and all that `mesh` asks its engine.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description=__doc__,
        epilog=_COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--stack",
        help=f"the stack, with the file stacks/Pulumi.<stack>.yaml; default: PULUMI_STACK, or {_DEFAULT!r}",
    )
    parser.add_argument("--engine", help=f"one of {', '.join(ENGINES)}; default: ENGINE, or 'lab'")
    parser.add_argument("--project", type=Path, default=Path(), help="the folder with Pulumi.yaml")
    parser.add_argument("command", choices=("start", "down", "run"), metavar="start|down|run")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="WORDS", help="what the engine is told")
    return parser


def _run(arguments: list[str]) -> int:
    parser = _parser()
    given = parser.parse_args(arguments or ["--help"])
    engine = given.engine or os.environ.get("ENGINE") or "lab"
    if engine not in ENGINES:
        raise RehearsalError(f"ENGINE is {engine!r}, but must be {' or '.join(ENGINES)}")
    stack = given.stack or os.environ.get("PULUMI_STACK") or _DEFAULT
    rehearsal = Rehearsal(project=given.project.resolve(), stack=stack, engine=engine)
    if given.command == "run":
        named, words = named_stack(given.words)
        if named is not None:
            rehearsal = rehearsal.about(named, given=given.stack is not None)
        return rehearsal.run(words, in_place=True)
    if given.words:
        parser.error(f"`{given.command}` takes nothing more, but was given {' '.join(given.words)}")
    if given.command == "down":
        return rehearsal.down()
    rehearsal.start()
    return 0


def main() -> int:
    """Run the command line; a rehearsal that cannot go on is one line on stderr. Returns the exit code."""
    try:
        end_in_order()
        named_stack(sys.argv[1:])  # refuses two, of which the parser would take the last
        return _run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130  # as a shell has it
    except (RehearsalError, StackNameError, StateError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    from lab.ending import end_with

    end_with(main)
