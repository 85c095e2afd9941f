# ruff: noqa: F401 - each program begins with this and uses what it needs
from pathlib import Path
from typing import Any

import pulumi
from pulumi import Alias, ComponentResource, Output, ResourceOptions, Stash
from pulumi_command import local


def command(name: str, say: str = "1", opts: ResourceOptions | None = None, **more: Any) -> local.Command:
    """A command that writes what is done with it to a file."""

    def log(what: str) -> str:
        return f"echo {what} {name} >> log; echo {say}"

    made = {"create": log("create"), "update": log("update"), "delete": log("delete"), **more}
    return local.Command(name, dir=str(Path.cwd()), opts=opts, **{k: v for k, v in made.items() if v})


class Box(ComponentResource):
    def __init__(
        self, name: str, opts: ResourceOptions | None = None, type_: str = "t:m:Box", **inputs: Any
    ) -> None:
        super().__init__(type_, name, inputs, opts)
