"""Asking the engine: Pulumi's command line, or whatever takes its words."""

import json
import re
import shlex
import subprocess
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Final

__all__ = ["CliError", "ask", "refuse_two_stacks"]


# What a stack's name may be made of, with its organization and project before it or not.
_NAME: Final = re.compile(r"[A-Za-z0-9_./-]{1,300}")


class CliError(Exception):
    """A command cannot go on; the message says where, what was found and what to do."""


def ask(pulumi: str, stack: str | None, *words: str, what: str) -> Any:
    """Run the engine with these words and return the JSON it prints.

    `pulumi` is the engine's command line as a shell would read it, `stack` the stack's name; None for the
    one that is selected; `what` is what an error says is missing. Raises `CliError`.
    """
    if stack is not None:
        _refuse_another(pulumi, stack)
    return json.loads(_run(pulumi, stack, *words, what=what))


def refuse_two_stacks(words: Sequence[str]) -> None:
    """Raise `CliError` when a command line names two stacks, of which a parser takes the last."""
    given = [*words[: words.index("--")]] if "--" in words else [*words]
    found = {word.partition("=")[2] for word in given if word.startswith("--stack=")}
    found |= {after for word, after in pairwise(given) if word == "--stack"}
    if len(found) > 1:
        raise CliError(
            f"two stacks are named, {' and '.join(sorted(found))}: name one (write the options of a "
            f"command on a node after `--`)"
        )


def _run(pulumi: str, stack: str | None, *words: str, what: str) -> str:
    command = [*shlex.split(pulumi), *words]
    if stack is not None:
        command += ["--stack", stack]
    try:
        result = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise CliError(f"`{command[0]}` is not on PATH; name the engine with --pulumi") from None
    if result.returncode != 0:
        raise CliError(f"the engine did not return the stack's {what}; its message is above")
    return result.stdout


@cache
def _refuse_another(pulumi: str, stack: str) -> None:
    """See to it that the engine speaks of the stack that was named: of two, it may take the last."""
    found = _run(pulumi, stack, "stack", "--show-name", what="name").strip()
    if _NAME.fullmatch(found) and found.rpartition("/")[2] != stack.rpartition("/")[2]:
        raise CliError(
            f"--stack is {stack}, but `{pulumi}` answers for the stack {found}: that command line has its "
            f"own --stack; remove this option there, or name the same stack"
        )
