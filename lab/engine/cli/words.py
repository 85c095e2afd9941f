"""How a command is typed: its words and options, read by argparse.

Not by typer: that takes longer to start than most commands take in all.
"""

import argparse
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from lab.engine.cli.context import CommandError

__all__ = [
    "CWD",
    "STACK",
    "YES",
    "Command",
    "Group",
    "Option",
    "hidden",
    "repeated",
    "run",
    "switch",
    "value",
]

_PROGRAM: Final = "python -m lab.engine"
_MISUSED: Final = 2
"""The exit code of a command line that cannot be read."""
_TRUE: Final = frozenset(("1", "true", "t", "yes", "y", "on"))
_FALSE: Final = frozenset(("0", "false", "f", "no", "n", "off"))


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option, as argparse takes it. `variable` of the environment is its value where it is not given."""

    names: tuple[str, ...]
    settings: Mapping[str, Any]
    variable: str = ""

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Let a parser take the option."""
        settings = dict(self.settings)
        found = os.environ.get(self.variable) if self.variable else None
        if found:
            settings["default"] = self._read(found, parser)
        if self.variable and "help" in settings:
            settings["help"] += f" (environment: {self.variable})"
        parser.add_argument(*self.names, **settings)

    def _read(self, found: str, parser: argparse.ArgumentParser) -> Any:
        if self.settings.get("action") != "store_true":
            return found  # argparse reads it as if it were typed
        if found.lower() not in _TRUE | _FALSE:
            parser.error(f"{self.variable} is {found!r}, but must be true or false")
        return found.lower() in _TRUE


def switch(*names: str, does: str = "", variable: str = "", into: str | None = None) -> Option:
    """Return an option without a value."""
    settings: dict[str, Any] = {"action": "store_true", "help": does}
    return Option(names=names, settings=settings | ({"dest": into} if into else {}), variable=variable)


def value(*names: str, shown: str, does: str = "", kind: Callable[[str], Any] = str, **more: Any) -> Option:
    """Return an option with a value, in help `shown` as a word.

    `more` is `default`, `variable`, or `into` for its name in Python.
    """
    settings: dict[str, Any] = {"type": kind, "help": does, "metavar": shown, "default": more.get("default")}
    if "into" in more:
        settings["dest"] = more["into"]
    return Option(names=names, settings=settings, variable=more.get("variable", ""))


def repeated(*names: str, does: str, into: str) -> Option:
    """Return an option with a URN that may be given several times; `into` is its name in Python."""
    settings = {"action": "append", "metavar": "URN", "help": f"{does}; repeatable.", "dest": into}
    return Option(names=names, settings=settings)


def hidden(option: Option) -> Option:
    """Return an option that is taken and not told of: of Pulumi's, those that change nothing here."""
    return Option(names=option.names, settings={**option.settings, "help": argparse.SUPPRESS})


CWD: Final = value("--cwd", "-C", shown="FOLDER", does="Run in this folder.", kind=Path)
STACK: Final = value("--stack", "-s", shown="NAME", does="The stack's name.", into="stack_name")
YES: Final = switch("--yes", "-y", does="Do not ask for confirmation.")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command. `takes` names its words, `[...]` what may be missing; `run` gets words and options."""

    run: Callable[..., None]
    options: tuple[Option, ...] = ()
    takes: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def does(self) -> str:
        """What is said of it: the first line of its function's docstring."""
        return (self.run.__doc__ or "").partition("\n")[0]

    def call(self, name: str, words: Sequence[str]) -> None:
        """Read the words after the command's name, and run it. Raises `SystemExit`, `CommandError`."""
        taken, options = self.read(name, words)
        self.run(*taken, **options)

    def read(
        self, name: str, words: Sequence[str], among: Collection[str] = ()
    ) -> tuple[list[str], dict[str, Any]]:
        """Return words and options. Raises `SystemExit` where it does not take them.

        Raises `CommandError` where options stand before the name of a command that is `among` others.
        """
        takes = "".join(f" {word}" for word in self.takes)
        parser = _parser(f"{name}{takes} [options]", self.does)
        for option in self.options:
            option.add(parser)
        parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
        given, after = _parted(words)
        found = vars(parser.parse_intermixed_args(given))
        taken = [*found.pop("words"), *after]
        if taken and taken[0] in among:
            raise CommandError(
                f"write --stack and --cwd after `{name.removeprefix(_PROGRAM).strip()} {taken[0]}`"
            )
        least = sum(not word.startswith("[") for word in self.takes)
        if len(taken) < least:
            parser.error(f"{self.takes[len(taken)]} is missing")
        if len(taken) > len(self.takes) and not takes.endswith("..."):
            parser.error(f"unexpected: {' '.join(taken[len(self.takes) :])}")
        return taken, found


@dataclass(frozen=True, kw_only=True)
class Group:
    """Commands whose names begin with the same word; `overview` is run where no command is named."""

    does: str
    hidden: bool = False
    commands: Mapping[str, "Command | Group"]
    overview: Command | None = None

    def call(self, name: str, words: Sequence[str]) -> None:
        """Run the command that the first word names. Raises `SystemExit` where there is none."""
        first, *rest = words or [""]
        if first in self.commands:
            self.commands[first].call(f"{name} {first}", rest)
        elif first in {"--help", "-h"}:
            self._help(name, 0)
        elif self.overview is not None and (not words or first.startswith("-")):
            _, options = self.overview.read(name, words, among=self.commands)
            self.overview.run(**options)
        elif words:
            _parser(f"{name} COMMAND ...", self.does).error(
                f"there is no command {first!r} here; --help lists them"
            )
        else:
            self._help(name, _MISUSED)

    def _help(self, name: str, code: int) -> NoReturn:
        named = {each: one.does for each, one in self.commands.items() if not one.hidden}
        width = max(map(len, named))
        lines = [f"  {each.ljust(width)}  {does}" for each, does in named.items()]
        parser = _parser(f"{name} COMMAND ...", self.does, "\n".join(["commands:", *lines]))
        for option in self.overview.options if self.overview else ():
            option.add(parser)
        parser.print_help(sys.stdout if code == 0 else sys.stderr)
        raise SystemExit(code)


def run(group: Group, words: Sequence[str]) -> None:
    """Run the command that the words of a command line name."""
    group.call(_PROGRAM, words)


def _parser(usage: str, does: str, more: str | None = None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=_PROGRAM,
        usage=usage,
        description=does,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words before and after `--`, behind which nothing is an option."""
    given = [*words]
    if "--" not in given:
        return given, []
    place = given.index("--")
    return given[:place], given[place + 1 :]
