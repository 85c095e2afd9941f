"""Asking the engine: Pulumi's command line, or whatever takes its words."""

import json
import shlex
import subprocess
from typing import Any

__all__ = ["CliError", "ask"]


class CliError(Exception):
    """A command cannot go on; the message says where, what was found and what to do."""


def ask(pulumi: str, stack: str | None, *words: str, what: str) -> Any:
    """Run the engine with these words and return the JSON it prints.

    `pulumi` is the engine's command line as a shell would read it, `stack` the stack's name; None for the
    one that is selected; `what` is what an error says is missing. Raises `CliError`.
    """
    command = [*shlex.split(pulumi), *words]
    if stack is not None:
        command += ["--stack", stack]
    try:
        result = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise CliError(f"`{command[0]}` is not on PATH; name the engine with --pulumi") from None
    if result.returncode != 0:
        raise CliError(f"the engine did not give the stack's {what}; its message is above")
    return json.loads(result.stdout)
