"""How a program ends: with one wait for all that it has declared."""

import asyncio
from collections.abc import Callable

import pulumi

__all__ = ["run"]


def run(declare: Callable[[], None]) -> None:
    """Have Pulumi run `declare`, and wait for all that this declares at once; last in a program, and once.

    Without this call a program does the same. But the SDK then waits for one output at a time, and looks at
    all that are left each time: the time that takes grows with the square of the number of nodes. Raises
    `pulumi.RunError` when called a second time; what `declare` raises comes out where Pulumi runs it.
    """
    pulumi.run(lambda: _declare_and_wait(declare))


async def _declare_and_wait(declare: Callable[[], None]) -> None:
    """Return once everything declared is done, or the first of it has failed: the SDK then tells of that."""
    before = asyncio.all_tasks()
    declare()
    begun = asyncio.all_tasks() - before
    if begun:
        await asyncio.wait(begun, return_when=asyncio.FIRST_EXCEPTION)
